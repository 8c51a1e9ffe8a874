package downstream

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNewRefusesBadConfig(t *testing.T) {
	good := Config{Core: newFakeCore(), Profiles: []wire.Profile{rfc9132.New()}, NodeID: "gate-1"}
	if _, err := New(good); err != nil {
		t.Fatalf("a good config: %v", err)
	}
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no core", func(c *Config) { c.Core = nil }, "core is required"},
		{"no profile", func(c *Config) { c.Profiles = nil }, "at least one profile"},
		{"no node id", func(c *Config) { c.NodeID = "" }, "node id"},
		{"node id with a space", func(c *Config) { c.NodeID = "gate 1" }, "node id"},
		{"node id too long", func(c *Config) { c.NodeID = strings.Repeat("x", 65) }, "node id"},
		{"negative gap", func(c *Config) { c.MinNotifyGap = -1 }, "a time"},
		{"retry below a second", func(c *Config) { c.RetryAfter = time.Millisecond }, "a time"},
		{"negative limit", func(c *Config) { c.MaxObserversPerClient = -1 }, "a limit"},
		{
			"default outside its range",
			func(c *Config) { c.Session.Idle.HeartbeatInterval = bounds[uint16](10, 15, 240) },
			"heartbeat-interval of the idle set",
		},
		{
			"ack-random-factor below one",
			func(c *Config) { c.Session.Mitigating.AckRandomFactor = bounds[dots.Decimal](90, 90, 400) },
			"ack-random-factor of the mitigating set",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good
			tt.change(&cfg)
			if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v; want one about %q", err, tt.want)
			}
		})
	}
}

// A default alone, outside the example's range, widens that; heartbeats may be off by default.
func TestSessionDefaultsAreFilledIn(t *testing.T) {
	cfg := Config{}
	cfg.Session.Idle.HeartbeatInterval.Current = dots.Some[uint16](5)
	cfg.Session.Mitigating.HeartbeatInterval.Current = dots.Some[uint16](0)
	got := cfg.withDefaults()
	if got.Session.Idle.HeartbeatInterval != bounds[uint16](5, 5, 240) {
		t.Errorf("idle: %+v", got.Session.Idle.HeartbeatInterval)
	}
	if got.Session.Idle.MissingHBAllowed != bounds[uint16](15, 3, 20) {
		t.Errorf("missing-hb-allowed: %+v", got.Session.Idle.MissingHBAllowed)
	}
	for _, set := range []dots.ConfigSet{got.Session.Idle, got.Session.Mitigating} {
		if err := checkSet("a", set); err != nil {
			t.Error(err)
		}
	}
}

func TestAttach(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c := r.connect("a.example")
		if err := r.srv.Attach(c.served, Listener{Profiles: []string{"rfc1"}}); !errors.Is(err, ErrProfile) {
			t.Errorf("unknown profile: %v", err)
		}
		if err := r.srv.Attach(c.served, Listener{}); err != nil {
			t.Errorf("a second time: %v", err)
		}
		if n := len(r.srv.Sessions()); n != 1 || r.meter.up != 1 {
			t.Errorf("%d sessions, %d counted; want 1, 1", n, r.meter.up)
		}
		if err := c.served.Close(); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Second)
		if err := r.srv.Attach(c.served, Listener{}); !errors.Is(err, coap.ErrClosed) {
			t.Errorf("an ended session: %v", err)
		}
		if n := len(r.srv.Sessions()); n != 0 || r.meter.down != 1 {
			t.Errorf("%d sessions, %d counted as ended; want 0, 1", n, r.meter.down)
		}
	})
}

// A session nobody attached is served nothing.
func TestNotAttached(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		link := newMemoryLink(false)
		sess, err := coap.NewSession(coap.SessionConfig{Link: link, Timers: r.timers, Handler: r.srv})
		if err != nil {
			t.Fatal(err)
		}
		p := &rawPeer{t: t, sess: sess, link: link}
		if got := p.message(mitigate(pathMID1, bodyPut)); len(got) != 1 || got[0] != "5.03 session is not served" {
			t.Errorf("%q", got)
		}
	})
}

// RFC 9132, Section 4.7: a client is there with its first session, and when its last one ends by anything but missed heartbeats it has their time to
// come back.
func TestPresence(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		first, second, other := r.connect("a.example"), r.connect("a.example"), r.connect("b.example")
		if err := first.Close(); err != nil { // close_notify of the client
			t.Fatal(err)
		}
		if err := second.served.Close(); err != nil { // ours
			t.Fatal(err)
		}
		other.served.InputClosed(errors.New("connection reset"))
		r.wait(time.Hour)
		r.connect("a.example")
		want := []string{"back a", "back a", "back b", "gone", "gone", "back a"} // the core counts down; which ends first is open
		got := r.core.presences()
		for i, word := range got {
			if word == "gone a 7m30s" || word == "gone b 7m30s" {
				got[i] = "gone"
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if r.meter.up != 4 || r.meter.down != 3 || r.meter.lost != 0 {
			t.Errorf("%d up, %d down, %d lost; want 4, 3, 0", r.meter.up, r.meter.down, r.meter.lost)
		}
	})
}

func TestSessions(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		a := r.connect("a.example")
		r.wait(5 * time.Second)
		b := r.join(clientConfig{name: "stranger.example", tcp: true})
		a.do(request(putCode, pathConfig+"/sid=9", putIdle("a11821a11824183c")))
		want := []SessionInfo{
			{
				ID: a.served.ID(), Client: "a", Peer: "192.0.2.2:40000", Profile: "rfc9132", Since: r.start,
				LastHeard: r.start.Add(5 * time.Second), HeartbeatInterval: time.Minute, SID: 9, Negotiated: true,
			},
			{
				ID: b.served.ID(), Peer: "192.0.2.2:40000", Reliable: true, Profile: "rfc9132",
				Since: r.start.Add(5 * time.Second), LastHeard: r.start.Add(5 * time.Second), HeartbeatInterval: 30 * time.Second,
			},
		}
		if diff := cmp.Diff(want, r.srv.Sessions()); diff != "" {
			t.Error(diff)
		}
	})
}

// The same over TCP: requests, refusals and notifications.
func TestOverTCP(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c := r.join(clientConfig{name: "a.example", tcp: true, handler: answerChanged})
		for _, step := range []struct {
			request *coap.Message
			want    string
		}{
			{request(putCode, pathMID1, bodyPut), "2.01"},
			{request(putCode, pathMID1, "ff"), "4.00 body: not well-formed CBOR, or beyond the limits"},
			{request(deleteCode, pathMID1, ""), "2.02"},
			{request(putCode, pathHB, bodyHBTrue), "2.04"},
			{request(getCode, pathAll, ""), "4.04 no such mitigation"},
			{with(request(getCode, pathAll, ""), 9, 1), "4.02 unrecognised critical option 9"},
		} {
			if got := code(c.do(step.request)); got != step.want {
				t.Errorf("%s; want %s", got, step.want)
			}
		}
		r.core.report(status(dots.StatusMitigated))
		w := c.observe(pathMID1)
		r.wait(10 * time.Second)
		r.core.report(status(dots.StatusStopped))
		r.srv.Changed(keyA1)
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		if diff := cmp.Diff([]string{"0 2.05 2", "10 2.05 3"}, w.told); diff != "" {
			t.Error(diff)
		}
	})
}

// Every request is counted by its method and the code of its answer.
func TestRequestsAreCounted(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c := r.connect("a.example")
		c.do(request(putCode, pathMID1, bodyPut))
		c.do(request(putCode, pathMID1, "ff"))
		c.do(request(getCode, pathAll, ""))
		c.do(request(getCode, "/nowhere", ""))
		r.core.set(func(c *fakeCore) { c.answer = dots.Answer{} })
		c.do(with(request(putCode, pathMID1, bodyEfficacy), coap.IfMatch))
		want := map[string]int{"3 2.01": 1, "3 4.00": 1, "1 4.04": 2, "3 0.00": 1}
		if diff := cmp.Diff(want, r.meter.requests); diff != "" {
			t.Error(diff)
		}
	})
}
