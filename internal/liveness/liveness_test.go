package liveness

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The rows of the table of heartbeats: who, in which situation, comes to which verdict at which second. Interval 30 s,
// missing-hb-allowed 3; the last answer comes with the heartbeat of second 300.
func TestVerdicts(t *testing.T) {
	up := network{answered: true}
	deaf := network{from: 301} // nothing comes any more
	for name, test := range map[string]struct {
		cfg    Config
		phases []network
		want   []change
	}{
		// RFC 9132, Section 4.7: all is answered.
		"client, good network": {Config{Role: Client}, []network{up}, nil},
		"server, good network": {Config{Role: Server}, []network{up}, nil},

		// RFC 9132, Section 4.7: no attack, missing-hb-allowed consecutive heartbeats unanswered, those of 330, 360 and
		// 390: the client's session is disconnected when the last has waited its interval.
		"client, no attack, silence": {Config{Role: Client}, []network{up, deaf}, []change{
			{360, Suspect, false}, {420, Lost, true},
		}},

		// RFC 9132, Section 4.7: under attack the client must not treat the session as terminated after the threshold.
		"client, attack, silence": {Config{Role: Client, Mitigating: true}, []network{up, deaf}, []change{
			{360, Suspect, false}, {420, Suspect, true},
		}},

		// RFC 9132, Section 4.7: one less than missing-hb-allowed leaves the session active.
		"client, one less than the threshold": {Config{Role: Client}, []network{up, deaf, {from: 390, answered: true}}, []change{
			{360, Suspect, false}, {420, Alive, false},
		}},

		// RFC 9132, Section 4.7: the client hears its server though nothing is answered: it looks for another session,
		// and keeps this one.
		"client, answers lost": {Config{Role: Client}, []network{up, {from: 301, heard: true}}, []change{
			{360, Suspect, false}, {420, Suspect, true},
		}},

		// RFC 9132, Section 4.7: the server still hears the client but gets no 2.04: it must not treat it as disconnected.
		"server, answers lost": {Config{Role: Server}, []network{up, {from: 301, heard: true}}, []change{
			{360, Suspect, false}, {420, Suspect, true},
		}},
		"server, only heartbeats come": {Config{Role: Server}, []network{up, {from: 301, peer: true}}, []change{
			{360, Suspect, false}, {420, Suspect, true},
		}},

		// RFC 9132, Section 4.7: the server hears nothing for the span needed to exhaust missing-hb-allowed.
		"server, silence": {Config{Role: Server}, []network{up, deaf}, []change{
			{360, Suspect, false}, {390, Lost, true},
		}},

		// RFC 9132, Section 4.7: the exception for an attack is the client's alone.
		"server, attack, silence": {Config{Role: Server, Mitigating: true}, []network{up, deaf}, []change{
			{360, Suspect, false}, {390, Lost, true},
		}},

		// RFC 9132, Section 4.7: over TCP a reply is waited for up to heartbeat-interval, that of 330 until 360.
		"client, TCP, silence": {Config{Role: Client, Reliable: true}, []network{up, deaf}, []change{{360, Lost, true}}},
		"server, TCP, silence": {Config{Role: Server, Reliable: true}, []network{up, deaf}, []change{{360, Lost, true}}},
		"client, TCP, attack": {Config{Role: Client, Reliable: true, Mitigating: true}, []network{up, deaf}, []change{
			{360, Suspect, true},
		}},
		"client, TCP, answers lost": {Config{Role: Client, Reliable: true}, []network{up, {from: 301, heard: true}}, []change{
			{360, Suspect, true},
		}},
		"server, TCP, answers lost": {Config{Role: Server, Reliable: true}, []network{up, {from: 301, heard: true}}, []change{
			{360, Suspect, true},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := test.cfg
			cfg.Interval, cfg.MissingAllowed = 30*time.Second, 3
			s := newSim(t, cfg, test.phases...)
			s.runUntil(3000)
			if diff := cmp.Diff(test.want, s.changes); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
		})
	}
}

// RFC 9132, Section 4.7: both agents send heartbeats at regular intervals, also while they are not answered.
func TestSchedule(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  Config
		want []float64 // up to second 150
	}{
		"client":                   {Config{Role: Client}, []float64{30, 60, 90, 120, 150}},
		"server starts":            {Config{Role: Server, MissingAllowed: 99}, []float64{0, 30, 60, 90, 120, 150}},
		"client goes on in attack": {Config{Role: Client, MissingAllowed: 1, Mitigating: true}, []float64{30, 60, 90, 120, 150}},
		"lost stops":               {Config{Role: Client, MissingAllowed: 1}, []float64{30}},
		"lost stops, server":       {Config{Role: Server, MissingAllowed: 1}, []float64{0}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := test.cfg
			cfg.Interval = 30 * time.Second
			s := newSim(t, cfg)
			s.runUntil(150)
			if diff := cmp.Diff(test.want, s.sent); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
		})
	}
}

// RFC 9132, Section 4.5: missing-hb-allowed is 15 unless negotiated.
func TestDefaultMissingAllowed(t *testing.T) {
	s := newSim(t, Config{Role: Server, Interval: 30 * time.Second})
	s.runUntil(10_000)
	want := []change{{30, Suspect, false}, {450, Lost, true}}
	if diff := cmp.Diff(want, s.changes); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}

// RFC 9132, Section 4.7: heartbeat-interval 0 stops the heartbeats.
func TestIntervalZero(t *testing.T) {
	for _, role := range []Role{Client, Server} {
		m := New(start(), Config{Role: role}, nil)
		if next := m.Next(); !next.IsZero() {
			t.Errorf("role %d: next at %v, want never", role, next)
		}
		m.PeerHeartbeat(at(10), false)
		want := Action{State: Alive, PeerHBStatus: true}
		if got := m.Due(at(1e6)); got != want {
			t.Errorf("role %d: got %+v, want %+v", role, got, want)
		}
		// Switched on, everything counts from then.
		m.SetConfig(at(1e6), Config{Role: role, Interval: 30 * time.Second, MissingAllowed: 3})
		if next := m.Next(); !next.Equal(at(1e6 + 30)) {
			t.Errorf("role %d: next at %v, want 30 s later", role, next)
		}
		if got := m.Due(at(1e6)); got != want {
			t.Errorf("role %d: after switching on: got %+v, want %+v", role, got, want)
		}
		// Switched off while waiting for an answer.
		m.HeartbeatSent(at(1e6 + 30))
		m.SetConfig(at(1e6+31), Config{Role: role})
		if got := m.Due(at(2e6)); got != want || !m.Next().IsZero() {
			t.Errorf("role %d: after switching off: got %+v, next %v", role, got, m.Next())
		}
	}
}

// RFC 9132, Section 4.7: peer-hb-status says whether heartbeats were received within the last 2 * heartbeat-interval.
func TestPeerHBStatus(t *testing.T) {
	m := New(start(), Config{Interval: 30 * time.Second}, nil)
	for _, step := range []struct {
		second float64
		peer   bool // a heartbeat comes at this second
		heard  bool // something else comes
		want   bool
	}{
		{second: 0, want: true},
		{second: 60, want: true},
		{second: 60.001, want: false},
		{second: 61, heard: true, want: false}, // only heartbeats count
		{second: 70, peer: true, want: true},
		{second: 130, want: true},
		{second: 130.5, want: false},
	} {
		if step.peer {
			m.PeerHeartbeat(at(step.second), true)
		}
		if step.heard {
			m.Heard(at(step.second))
		}
		for next := m.Next(); next.Before(at(step.second)); next = m.Next() {
			m.Due(next)
		}
		if got := m.Due(at(step.second)).PeerHBStatus; got != step.want {
			t.Errorf("second %v: got %v, want %v", step.second, got, step.want)
		}
	}
}

// RFC 9132, Section 4.7: told by peer-hb-status false that nothing arrives, an agent sends right after it has received a
// heartbeat; but not more often than every 15 seconds.
func TestPeerHearsNothing(t *testing.T) {
	for name, test := range map[string]struct {
		sent, peer float64
		status     bool
		want       float64
	}{
		"peer hears us":           {sent: 0, peer: 20, status: true, want: 30},
		"right after":             {sent: 0, peer: 20, status: false, want: 20},
		"not within 15 s":         {sent: 0, peer: 5, status: false, want: 15},
		"not later than anyway":   {sent: 0, peer: 29, status: false, want: 29},
		"nothing was sent so far": {sent: -1, peer: 2, status: false, want: 2},
	} {
		t.Run(name, func(t *testing.T) {
			m := New(start(), Config{Interval: 30 * time.Second}, nil)
			if test.sent >= 0 {
				m.HeartbeatSent(at(test.sent))
			}
			m.PeerHeartbeat(at(test.peer), test.status)
			if got := m.Next(); !got.Equal(at(test.want)) {
				t.Errorf("next at %v, want %v", got.Sub(start()), test.want)
			}
			if !m.Due(at(test.want)).SendHeartbeat {
				t.Error("nothing is sent then")
			}
		})
	}
}

func TestLostIsAliveAgainWhenHeard(t *testing.T) {
	for _, role := range []Role{Client, Server} {
		s := newSim(t, Config{Role: role, Interval: 30 * time.Second, MissingAllowed: 3})
		s.runUntil(5000)
		if s.last.State != Lost || !s.m.Next().IsZero() {
			t.Fatalf("role %d: %v, next %v; want lost and never", role, s.last.State, s.m.Next())
		}
		s.m.Heard(at(7000))
		if next := s.m.Next(); !next.Equal(at(7000)) {
			t.Errorf("role %d: next at %v, want at once", role, next)
		}
		want := Action{State: Alive, SendHeartbeat: true}
		if got := s.m.Due(at(7000)); got != want {
			t.Errorf("role %d: got %+v, want %+v", role, got, want)
		}
	}
}

func TestSetConfig(t *testing.T) {
	slow := Config{Role: Server, Interval: 240 * time.Second, MissingAllowed: 3}
	fast := Config{Role: Server, Interval: 20 * time.Second, MissingAllowed: 3}
	s := newSim(t, slow, network{answered: true, peer: true}, network{from: 1})
	s.runUntil(200)
	m := s.m
	// RFC 9132, Section 4.5: the sets are switched when mitigation starts. The long silence under the slow set is no
	// evidence under the fast one.
	m.SetConfig(at(200), fast)
	want := Action{State: Alive, SendHeartbeat: true, PeerHBStatus: true}
	if got := m.Due(at(200)); got != want {
		t.Errorf("after the switch: got %+v, want %+v", got, want)
	}
	m.HeartbeatSent(at(200))
	s.runUntil(1000)
	if diff := cmp.Diff([]change{{220, Suspect, false}, {260, Lost, true}}, s.changes); diff != "" {
		t.Errorf("verdicts under the fast set (-want +got):\n%s", diff)
	}
	// What was not received under the old set stays not received.
	m.SetConfig(at(1000), slow)
	if got := m.Due(at(1000)); got.PeerHBStatus || got.State != Alive {
		t.Errorf("back to slow: got %+v, want alive without the peer's heartbeats", got)
	}
}

// RFC 9132, Section 4.5: the sets are switched when mitigation starts and ends. What was missed stays missed, however often.
func TestSwitchingKeepsWhatWasMissed(t *testing.T) {
	slow := Config{Interval: 60 * time.Second, MissingAllowed: 3}
	fast := Config{Interval: 20 * time.Second, MissingAllowed: 3, Mitigating: true}
	t.Run("once", func(t *testing.T) {
		s := newSim(t, slow)
		s.runUntil(150) // the heartbeat of second 60 is missed, that of 120 is not yet
		s.m.SetConfig(at(150), fast)
		s.runUntil(300)
		// That of 120 is late by then, and those of 150 and 170 follow.
		if diff := cmp.Diff([]change{{120, Suspect, false}, {170, Suspect, true}}, s.changes); diff != "" {
			t.Errorf("verdicts (-want +got):\n%s", diff)
		}
	})
	for _, every := range []float64{7, 50} {
		t.Run("again and again", func(t *testing.T) {
			s := newSim(t, slow, network{answered: true}, network{from: 301})
			for i := range 200 {
				s.runUntil(float64(i) * every)
				cfg := slow
				if i%2 == 0 {
					cfg = fast
				}
				cfg.Mitigating = true
				s.m.SetConfig(at(float64(i)*every), cfg)
			}
			if !s.last.Exhausted {
				t.Errorf("switched each %v s, a peer that is gone is never missed: %+v", every, s.last)
			}
			// Heard, it is as good as new.
			s.m.HeartbeatAnswered(at(200 * every))
			s.m.SetConfig(at(200*every), slow)
			if got := s.m.Due(at(200 * every)); got.State != Alive || got.Missed != 0 {
				t.Errorf("after an answer: %+v", got)
			}
		})
	}
}

// The end of an attack lets the verdict through that the attack held back, and its start takes it back.
func TestMitigatingAloneKeepsTheCount(t *testing.T) {
	attack := Config{Interval: 30 * time.Second, MissingAllowed: 3, Mitigating: true}
	peace := attack
	peace.Mitigating = false
	s := newSim(t, attack)
	s.runUntil(1000)
	if s.last.State != Suspect || !s.last.Exhausted {
		t.Fatalf("under attack: %+v", s.last)
	}
	s.m.SetConfig(at(1001), peace)
	if got := s.m.Due(at(1001)); got.State != Lost || got.SendHeartbeat {
		t.Errorf("in peace: %+v, want lost", got)
	}
	s.m.SetConfig(at(9000), attack)
	if got := s.m.Due(at(9000)); got.State != Suspect || !got.Exhausted || !got.SendHeartbeat {
		t.Errorf("under attack again: %+v, want a heartbeat and suspect", got)
	}
}

// RFC 9132, Section 4.7: a heartbeat counts as unanswered only when its interval is over, also when somebody asks earlier.
func TestAnswerHasItsInterval(t *testing.T) {
	s := newSim(t, Config{Interval: 30 * time.Second, MissingAllowed: 3}, network{answered: true}, network{from: 301})
	for _, step := range []struct {
		second float64
		want   State
	}{{331, Alive}, {359, Alive}, {360, Suspect}, {391, Suspect}, {419, Suspect}, {420, Lost}} {
		s.runUntil(step.second)
		if got := s.m.Due(at(step.second)).State; got != step.want {
			t.Errorf("at %v s: %v, want %v", step.second, got, step.want)
		}
	}
}

// A process that stood still must not call its peers lost for it.
func TestStandstillIsNoSilence(t *testing.T) {
	for _, cfg := range []Config{
		{Role: Client}, {Role: Server}, {Role: Client, Reliable: true}, {Role: Server, Reliable: true},
	} {
		cfg.Interval, cfg.MissingAllowed = 30*time.Second, 3
		s := newSim(t, cfg, network{answered: true, peer: true}, network{from: 301})
		s.runUntil(331) // the heartbeat of second 330 waits for its answer
		s.step(at(7000))
		if s.last.State == Lost || !s.last.PeerHBStatus {
			t.Errorf("%+v: after the standstill: %+v", cfg, s.last)
		}
		// The silence goes on, and now it counts.
		s.runUntil(7300)
		if s.last.State != Lost {
			t.Errorf("%+v: in the end %v, want lost", cfg, s.last.State)
		}
	}
}

// Whoever is told to send and cannot is asked again an interval later, and does not spin.
func TestUnsentHeartbeatIsAskedForAgain(t *testing.T) {
	m := New(start(), Config{Interval: 30 * time.Second}, nil)
	m.Heard(at(29))
	if !m.Due(at(30)).SendHeartbeat || m.Due(at(30)).SendHeartbeat {
		t.Error("want one request at 30 s")
	}
	if next := m.Next(); !next.Equal(at(60)) {
		t.Errorf("next at %v, want 60 s", next.Sub(start()))
	}
}

func TestJitter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for interval, least := range map[time.Duration]time.Duration{
		2 * time.Second:   1900 * time.Millisecond,
		15 * time.Second:  15 * time.Second, // RFC 9132, Section 4.7: not more often
		16 * time.Second:  15200 * time.Millisecond,
		30 * time.Second:  28500 * time.Millisecond,
		240 * time.Second: 228 * time.Second,
	} {
		m := New(start(), Config{Interval: interval}, rng.Float64)
		low, high := time.Hour, time.Duration(0)
		for range 1000 {
			m.HeartbeatSent(start())
			wait := m.Next().Sub(start())
			low, high = min(low, wait), max(high, wait)
		}
		spread := interval - least
		if low < least || high > interval || low > least+spread/20 || high < interval-spread/20 {
			t.Errorf("interval %v: waits from %v to %v, want all of %v to %v", interval, low, high, least, interval)
		}
	}
}

// TestRandomHistories: whatever happens, Next gets on, a session that hears is never lost, and a client under attack
// neither.
func TestRandomHistories(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		cfg := Config{
			Interval: time.Duration(1+rng.IntN(60)) * time.Second, MissingAllowed: 1 + rng.IntN(5),
			Role: Role(rng.IntN(2)), Reliable: rng.IntN(2) == 0, Mitigating: rng.IntN(2) == 0,
		}
		m := New(start(), cfg, rng.Float64)
		heard, now := start(), start()
		for range 200 {
			next := m.Next()
			if next.IsZero() {
				break
			}
			now = later(now, next)
			if rng.IntN(4) == 0 {
				heard = now
				m.PeerHeartbeat(now, rng.IntN(2) == 0)
			}
			action := m.Due(now)
			if action.State == Lost {
				if silence := now.Sub(heard); silence < m.span() || cfg.Role == Client && cfg.Mitigating {
					t.Fatalf("%+v: lost after a silence of %v", cfg, silence)
				}
			}
			if action.SendHeartbeat {
				m.HeartbeatSent(now)
			}
			if after := m.Next(); !after.IsZero() && !after.After(now) {
				t.Fatalf("%+v: Next stays at %v", cfg, after.Sub(start()))
			}
		}
	}
}

func TestStateString(t *testing.T) {
	for state, want := range map[State]string{Alive: "alive", Suspect: "suspect", Lost: "lost", 9: "unknown"} {
		if got := state.String(); got != want {
			t.Errorf("state %d: got %s, want %s", state, got, want)
		}
	}
}
