package coap

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// RFC 6298, Section 2 and 3: the first measurement is the estimate, each further one moves it by an eighth, and a request that was sent twice is
// none, but for what its last sending took at least.
func TestRoundTripArithmetic(t *testing.T) {
	const ms = time.Millisecond
	type answer struct {
		sends int
		took  time.Duration // since the last sending
	}
	tests := map[string]struct {
		answers []answer
		want    time.Duration
		known   bool
	}{
		"nothing":               {want: 3 * time.Second},
		"one":                   {[]answer{{1, 40 * ms}}, 40 * ms, true},
		"slower":                {[]answer{{1, 40 * ms}, {1, 80 * ms}}, 45 * ms, true},
		"faster":                {[]answer{{1, 80 * ms}, {1, 40 * ms}}, 75 * ms, true},
		"ambiguous first":       {[]answer{{2, 40 * ms}}, 3 * time.Second, false},
		"ambiguous and shorter": {[]answer{{1, 40 * ms}, {3, 8 * ms}}, 40 * ms, true},
		"at least so long":      {[]answer{{1, 40 * ms}, {2, 840 * ms}}, 140 * ms, true},
		"ambiguous jitter":      {[]answer{{1, 40 * ms}, {2, 80 * ms}}, 40 * ms, true},
		"slower than anything":  {[]answer{{1, time.Hour}}, 60 * time.Second, true},
		"a clock that is back":  {[]answer{{1, -time.Second}}, 0, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var r roundTrip
			now := time.Minute
			for _, a := range test.answers {
				var at sendings
				for range a.sends {
					at.sent(now - a.took)
				}
				r.answered(&at, now, false)
				r.answered(&at, now+time.Hour, false) // a duplicate of the answer, and notifications
			}
			if got, known := r.at(now, 3*time.Second); got != test.want || known != test.known {
				t.Fatalf("%v %v, want %v %v", got, known, test.want, test.known)
			}
		})
	}
}

// What a gateway takes to ask its own server is not the path's, as long as heartbeats tell what is.
func TestWhatIsBehindThePeer(t *testing.T) {
	const ms = time.Millisecond
	var r roundTrip
	now := time.Minute
	answer := func(took time.Duration, mitigates bool) time.Duration {
		var a sendings
		a.sent(now - took)
		r.answered(&a, now, mitigates)
		return r.smoothed
	}
	if got := answer(80*ms, true); got != 80*ms {
		t.Errorf("at first, when nothing else is known: %v", got)
	}
	if got := answer(40*ms, false); got != 75*ms {
		t.Errorf("after a heartbeat: %v", got)
	}
	before := r.smoothed
	if got, want := answer(2*time.Second, true), before-(before-40*ms)/8; got != want {
		t.Errorf("after a request that waited at the peer: %v, want %v", got, want)
	}
	before = r.smoothed
	if got, want := answer(160*ms, true), before+(160*ms-before)/8; got != want {
		t.Errorf("after one that may be the path's: %v, want %v", got, want)
	}
	now += staleAfter + 1
	before = r.smoothed
	if got, want := answer(2*time.Second, true), before+(2*time.Second-before)/8; got != want {
		t.Errorf("when no heartbeat was answered for long: %v, want %v", got, want)
	}
	answer(2*time.Second, false)
	before = r.smoothed
	if got, want := answer(2*time.Second, true), before+(2*time.Second-before)/8; got != want {
		t.Errorf("on a path that is slow: %v, want %v", got, want)
	}
}

// An estimate holds for two heartbeats, then grows until it is not better than none. One answer restores it, be it ambiguous.
func TestAnEstimateGrowsStale(t *testing.T) {
	const unknown = 3 * time.Second
	r := roundTrip{smoothed: 40 * time.Millisecond, known: true}
	tests := []struct {
		at, want time.Duration
		known    bool
	}{
		{0, 40 * time.Millisecond, true},
		{60 * time.Second, 40 * time.Millisecond, true},
		{61 * time.Second, 80 * time.Millisecond, true},
		{75 * time.Second, 80 * time.Millisecond, true},
		{76 * time.Second, 160 * time.Millisecond, true},
		{150 * time.Second, 2560 * time.Millisecond, true},
		{151 * time.Second, unknown, false},
		{1000 * time.Hour, unknown, false},
	}
	for _, test := range tests {
		if got, known := r.at(test.at, unknown); got != test.want || known != test.known {
			t.Errorf("after %v: %v %v, want %v %v", test.at, got, known, test.want, test.known)
		}
	}
	var a sendings
	a.sent(0)
	a.sent(1000*time.Hour - time.Millisecond)
	r.answered(&a, 1000*time.Hour, true)
	if got, known := r.at(1000*time.Hour, unknown); got != 40*time.Millisecond || !known {
		t.Errorf("after an answer: %v %v", got, known)
	}
	slow := roundTrip{smoothed: 5 * time.Second, known: true}
	if got, known := slow.at(time.Hour, unknown); got != 5*time.Second || !known {
		t.Errorf("a path that is slower than the repeats: %v %v", got, known)
	}
	fast := roundTrip{known: true}
	if got, known := fast.at(time.Hour, unknown); got != unknown || known {
		t.Errorf("a path without delay: %v %v", got, known)
	}
}

// What a session measures: RFC 6298, Section 3, for each kind of request.
func TestSessionRTT(t *testing.T) {
	nonPut := put(nil, "a")
	nonPut.NonConfirmable = true
	tests := map[string]struct {
		ask    func(r *rig)
		answer func(p packet) [][]byte // each 40 ms after the one before
		wait   time.Duration           // before the first answer, besides 40 ms
		want   time.Duration           // 0: not known
	}{
		"NON": {
			ask:    func(r *rig) { doLater(r, nonPut) },
			answer: func(p packet) [][]byte { return [][]byte{udp(non, Changed, 9, string(p.token), "")} }, want: 40 * time.Millisecond,
		},
		"NON that was repeated": {
			ask: func(r *rig) { doLater(r, nonPut) }, wait: 3 * time.Second,
			answer: func(p packet) [][]byte { return [][]byte{udp(non, Changed, 9, string(p.token), "")} },
		},
		"CON": {
			ask:    func(r *rig) { doLater(r, get("a")) },
			answer: func(p packet) [][]byte { return [][]byte{udp(ack, Content, p.mid, string(p.token), "")} }, want: 40 * time.Millisecond,
		},
		"CON that was repeated": {
			ask: func(r *rig) { doLater(r, get("a")) }, wait: 3 * time.Second,
			answer: func(p packet) [][]byte { return [][]byte{udp(ack, Content, p.mid, string(p.token), "")} },
		},
		"CON that is answered later": {
			ask: func(r *rig) { doLater(r, get("a")) },
			answer: func(p packet) [][]byte {
				return [][]byte{udp(ack, Empty, p.mid, "", ""), nil, nil, udp(con, Content, 9, string(p.token), "")}
			}, want: 40 * time.Millisecond,
		},
		"ping": {
			ask:    func(r *rig) { go func() { _ = r.Ping(context.Background()) }() },
			answer: func(p packet) [][]byte { return [][]byte{udp(rst, Empty, p.mid, "", "")} }, want: 40 * time.Millisecond,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, SessionConfig{})
				if _, known := r.RTT(); known {
					t.Fatal("known before anything was asked")
				}
				test.ask(r)
				synctest.Wait()
				time.Sleep(test.wait)
				synctest.Wait()
				p, _, err := readHeader(r.link.take()[0].b)
				if err != nil {
					t.Fatal(err)
				}
				for _, b := range test.answer(p) {
					time.Sleep(40 * time.Millisecond)
					if b != nil {
						r.Input(b)
					}
				}
				got, known := r.RTT()
				if got != test.want || known != (test.want > 0) {
					t.Fatalf("%v %v, want %v", got, known, test.want)
				}
			})
		})
	}
}

// A request that is given up after all its retransmissions measures nothing; over TCP nothing is measured at all.
func TestNoRTT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{})
		if err := <-doLater(r, get("a")); !errors.Is(err, ErrTimeout) {
			t.Fatal(err)
		}
		if _, known := r.RTT(); known {
			t.Error("known after silence")
		}
		p := newPair(t, true, SessionConfig{}, SessionConfig{Handler: HandlerFunc(echoHandler)})
		if _, err := p.a.Do(t.Context(), get("a")); err != nil {
			t.Fatal(err)
		}
		if _, known := p.a.RTT(); known {
			t.Error("known over TCP")
		}
		if pace := p.a.Pace(); pace.Wait(LeastUrgent) != 0 {
			t.Error("paced over TCP")
		}
	})
}
