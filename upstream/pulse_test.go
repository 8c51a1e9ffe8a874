package upstream

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// beats returns the heartbeats that reached the server.
func (w *world) beats() []string {
	got := []string{}
	for _, m := range w.log() {
		if m.What[:2] == "HB" {
			got = append(got, m.String())
		}
	}
	return got
}

// fromServer sends a request on the server's side of the newest session.
func (w *world) fromServer(m *coap.Message) *coap.Message {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	resp, err := w.server.Do(ctx, m)
	if err != nil {
		w.Fatal(err)
	}
	return resp
}

// beat is a heartbeat of the server's.
func (w *world) heartbeat(receiving bool) *coap.Message {
	out, err := w.profile.EncodeRequest(wire.Request{Op: wire.PutHeartbeat, PeerHB: receiving})
	if err != nil {
		w.Fatal(err)
	}
	return carry.RequestMessage(out, carry.NON)
}

// RFC 9132, Section 4.7: a heartbeat each interval, with what we receive of the peer's in it.
func TestHeartbeats(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.run()
		w.sleep(95 * time.Second)
		// The server sends none: after 2 x 30 s we say so.
		if d := gocmp.Diff([]string{"30s HB true", "1m0s HB true", "1m30s HB false"}, w.beats()); d != "" {
			t.Fatal(d)
		}
		if m := w.fromServer(w.heartbeat(true)); m.Code != coap.Changed || len(m.Payload) != 0 {
			t.Fatalf("answered %v", m)
		}
		w.set(func() { w.asked = nil })
		w.sleep(26 * time.Second)
		if d := gocmp.Diff([]string{"2m0s HB true"}, w.beats()); d != "" {
			t.Fatal(d)
		}
	})
}

// RFC 9132, Section 4.7: a peer that says it does not hear us gets our next heartbeat right after one of its own, no
// sooner than 15 s after our last.
func TestAPeerThatDoesNotHearUs(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.run()
		w.sleep(35 * time.Second)
		w.fromServer(w.heartbeat(false))
		w.sleep(15 * time.Second)
		if d := gocmp.Diff([]string{"30s HB true", "45s HB true"}, w.beats()); d != "" {
			t.Fatal(d)
		}
	})
}

// RFC 9132, Section 4.7: without an attack, missing-hb-allowed heartbeats without an answer or any sign of life end the session.
func TestASilentServerIsLostInIdleTime(t *testing.T) {
	virtual(t, func(c *Config) { c.MissingAllowed = 3 }, func(w *world) {
		w.run()
		w.sleep(10 * time.Second)
		w.set(func() { w.deaf = true })
		w.sleep(200 * time.Second)
		w.events.take(t, "0s up a", "2m0s down a: heartbeats unanswered and nothing heard", "2m0s up a")
		if d := gocmp.Diff([]time.Duration{0, 120 * time.Second}, w.dials); d != "" {
			t.Fatal(d)
		}
	})
}

// A server that is heard is not lost, whatever it does with our heartbeats.
func TestAServerWithoutHeartbeatsIsKept(t *testing.T) {
	answers := map[string]func(*coap.Exchange) bool{
		"4.04":   func(ex *coap.Exchange) bool { ex.Respond(&coap.Message{Code: coap.NotFound}); return true },
		"4.05":   func(ex *coap.Exchange) bool { ex.Respond(&coap.Message{Code: coap.MethodNotAllowed}); return true },
		"silent": func(ex *coap.Exchange) bool { ex.Silence(); return true },
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(c *Config) { c.MissingAllowed = 3 }, func(w *world) {
				w.raw = func(r wire.Request, ex *coap.Exchange) bool { return r.Op == wire.PutHeartbeat && answer(ex) }
				w.run()
				for range 20 {
					w.sleep(25 * time.Second)
					w.fromServer(w.heartbeat(true))
				}
				w.events.take(t, "0s up a")
			})
		})
	}
}

// RFC 9132, Section 4.7: while mitigating the session is not lost by missed heartbeats; a new one is tried beside it, at most every
// 60 s, and takes its place once it is made. The core never hears of a loss.
func TestASilentServerUnderAttack(t *testing.T) {
	virtual(t, func(c *Config) { c.MissingAllowed = 3 }, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.events.take(t, "0s up a", "0s PUT 1 r1: 2.01 for 3600", "0s a/cuid all 1=1")
		w.set(func() { w.deaf, w.refuse = true, errors.New("no route") })
		w.sleep(250 * time.Second)
		if i := w.manager.Links()[0]; !i.Up || i.Session != w.clients[0].ID() {
			t.Fatalf("info %+v", i)
		}
		w.set(func() { w.deaf, w.refuse, w.asked = false, nil, nil })
		w.server = nil // what it sent is lost: only the new session shows that it is back
		w.sleep(60 * time.Second)
		if len(w.clients) == 2 {
			if i := w.manager.Links()[0]; i.Session != w.clients[1].ID() {
				t.Fatalf("info %+v", i)
			}
		}
		for i := range w.dials[1:] {
			if gap := w.dials[i+1] - w.dials[i]; gap < time.Minute {
				t.Errorf("dialled %v apart", gap)
			}
		}
		w.events.mu.Lock()
		defer w.events.mu.Unlock()
		for _, m := range w.events.told {
			if m.What[:4] == "down" {
				t.Errorf("told %v", m)
			}
		}
	})
}

// The server restarted and has forgotten the session: a new handshake succeeds and the legs are PUT again.
func TestAServerThatRestartedUnderAttack(t *testing.T) {
	virtual(t, func(c *Config) { c.MissingAllowed = 3 }, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.set(func() {
			w.forgets = w.server // what comes from the old session leads nowhere
			w.asked, w.standing = nil, map[uint32]dots.Status{}
		})
		w.sleep(3 * time.Minute)
		if d := gocmp.Diff([]time.Duration{0, 120 * time.Second}, w.dials); d != "" {
			t.Fatal(d)
		}
		w.takeAsked("PUT 1", "OBSERVE0 cuid", "LIST cuid")
		if _, there := w.standing[1]; !there {
			t.Fatal("not put again")
		}
		if err := w.clients[0].Err(); !errors.Is(err, coap.ErrClosed) {
			t.Fatalf("the old session is kept: %v", err)
		}
	})
}

// RFC 9132, Section 4.7: the operator is alerted: when a session is under suspicion, from the third heartbeat in a row that goes unanswered, when
// it answers again, and when it is given up.
func TestAlerts(t *testing.T) {
	m := &meter{}
	log := &strings.Builder{}
	virtual(t, func(c *Config) {
		c.Meter, c.MissingAllowed = m, 5
		c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}, func(w *world) {
		told := func(want ...string) {
			t.Helper()
			m.mu.Lock()
			defer m.mu.Unlock()
			got := slices.DeleteFunc(m.told, func(s string) bool { return s != "alive" && s != "suspect" && s != "lost" })
			m.told = nil
			if d := gocmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("at %v told (-want +got):\n%s", time.Since(w.start), d)
			}
		}
		w.run()
		w.set(func() { w.deaf = true })
		w.sleep(119 * time.Second) // heartbeats at 30, 60 and 90 s: the third is late at 120 s
		told()
		w.sleep(2 * time.Second)
		told("suspect")
		w.set(func() { w.deaf = false })
		w.sleep(30 * time.Second)
		told("alive")
		w.set(func() { w.deaf = true })
		w.sleep(120 * time.Second)
		told("suspect")
		w.sleep(60 * time.Second)
		told("lost")
		for _, line := range []string{`"uplink does not answer heartbeats"`, "missed=3", `"uplink session lost"`} {
			if !strings.Contains(log.String(), line) {
				t.Errorf("the log has no %s:\n%s", line, log)
			}
		}
	})
}

func TestNoHeartbeats(t *testing.T) {
	virtual(t, func(c *Config) { c.HeartbeatInterval = -1 }, func(w *world) {
		w.run()
		w.sleep(time.Hour)
		if got := w.beats(); len(got) != 0 {
			t.Fatal(got)
		}
		w.events.take(t, "0s up a")
	})
}

// Over TCP a connection that ends is a session that ends.
func TestOverTCP(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.reliable = true
		w.run()
		w.want(putLeg(1, 1))
		w.takeAsked("PUT 1", "OBSERVE0 cuid")
		_ = w.server.Close()
		w.sleep(time.Second)
		w.takeAsked("PUT 1", "OBSERVE0 cuid")
		w.events.take(t, "0s up a", "0s PUT 1 r1: 2.01 for 3600", "0s a/cuid all 1=1",
			"0s down a: session closed by peer", "1s up a", "1s PUT 1 r1: 2.04 for 3600", "1s a/cuid all 1=1")
	})
}

// RFC 9132, Section 4.7: over TCP a heartbeat's answer is waited for up to heartbeat-interval.
func TestASilentServerOverTCP(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.reliable = true
		w.raw = func(r wire.Request, _ *coap.Exchange) bool { return r.Op == wire.PutHeartbeat }
		w.run()
		w.sleep(65 * time.Second)
		w.events.take(t, "0s up a", "1m0s down a: heartbeats unanswered and nothing heard", "1m0s up a")
	})
}

// What the server may ask of us is a heartbeat, and nothing else.
func TestWhatTheServerAsks(t *testing.T) {
	request := func(code coap.Code, path ...string) *coap.Message {
		m := &coap.Message{Code: code, NonConfirmable: true}
		m.Options.SetPath(path...)
		return m
	}
	tests := map[string]struct {
		ask  *coap.Message
		want coap.Code
	}{
		"mitigation":      {request(coap.GET, ".well-known", "dots", "mitigate", "cuid=x"), coap.NotFound},
		"configuration":   {request(coap.GET, ".well-known", "dots", "config"), coap.NotFound},
		"heartbeat GET":   {request(coap.GET, ".well-known", "dots", "hb"), coap.MethodNotAllowed},
		"empty heartbeat": {request(coap.PUT, ".well-known", "dots", "hb"), coap.BadRequest},
		"other path":      {request(coap.GET, ".well-known", "core"), coap.NotFound},
		"no path":         {request(coap.POST), coap.NotFound},
		"draft path":      {request(coap.PUT, "v1", "dots-signal", "signal"), coap.NotFound},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			virtual(t, nil, func(w *world) {
				w.run()
				m := w.fromServer(test.ask)
				if m.Code != test.want || len(m.Payload) == 0 || len(m.Payload) > 64 {
					t.Errorf("answered %v %q, want %v", m.Code, m.Payload, test.want)
				}
				if m := w.fromServer(w.heartbeat(true)); m.Code != coap.Changed {
					t.Errorf("the session is not what it was: %v", m.Code)
				}
				w.events.take(t, "0s up a")
			})
		})
	}
}

// RFC 9132, Section 4.7: in idle time attempts to make a session are at least 60 s apart, however sessions end: by the peer, by an error, by
// silence, by a reload that restarts the link; refused or not.
func TestAttemptsAreApartWhateverHappens(t *testing.T) {
	for seed := range uint64(20) {
		for _, reliable := range []bool{false, true} {
			virtual(t, fewHeartbeats, func(w *world) {
				w.reliable = reliable
				rng := rand.New(rand.NewPCG(seed, 4))
				w.run()
				for range 200 {
					w.sleep(time.Duration(rng.IntN(40_000)) * time.Millisecond)
					var last *coap.Session
					w.set(func() { w.deaf, last = rng.IntN(3) == 0, w.clients[len(w.clients)-1] })
					switch rng.IntN(8) {
					case 0:
						last.InputClosed(nil)
					case 1:
						last.InputClosed(errors.New("reset"))
					case 2:
						w.set(func() { w.refuse = errNoRoute })
					case 3:
						w.set(func() { w.refuse = nil })
					case 4:
						if err := w.manager.Reload([]LinkConfig{{Name: "a", Profile: w.profile, Dial: w.dial, Fingerprint: strconv.Itoa(rng.IntN(9))}}); err != nil {
							t.Fatal(err)
						}
					}
				}
				w.sleep(time.Second)
				for i := range w.dials[1:] {
					if gap := w.dials[i+1] - w.dials[i]; gap < time.Minute {
						t.Errorf("seed %d, reliable %v: dialled at %v and %v later", seed, reliable, w.dials[i], gap)
					}
				}
				if len(w.dials) < 10 {
					t.Errorf("seed %d: only %d attempts", seed, len(w.dials))
				}
			})
		}
	}
}
