package downstream

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
)

// RFC 9132, Section 4.7: only missed heartbeats lose a session. Whatever else ends one gives its client the time in which they would have been missed, by
// what is in force there.
func TestEndingsBeginCountdown(t *testing.T) {
	const (
		sixty  = "a11821a11824183c"                  // heartbeat-interval 60
		off    = "a11821a1182400"                    // heartbeat-interval 0
		twenty = "a21821a11824183c" + "1825a1182414" // and missing-hb-allowed 20
	)
	closes := func(c *client) { _ = c.Close() }
	for _, tt := range []struct {
		name   string
		tcp    bool
		config string
		end    func(*client)
		want   string
	}{
		{"close_notify", false, "", closes, "gone a 7m30s"},
		{"FIN", true, "", closes, "gone a 7m30s"},
		{"reset", true, "", func(c *client) { c.served.InputClosed(errors.New("connection reset")) }, "gone a 7m30s"},
		{"ours", false, "", func(c *client) { _ = c.served.Close() }, "gone a 7m30s"},
		{"negotiated interval", false, sixty, closes, "gone a 15m0s"},
		{"negotiated interval and number", false, twenty, closes, "gone a 20m0s"},
		{"heartbeats off", false, off, closes, "gone a 7m30s"},
		{"missed heartbeats", false, "", func(c *client) { c.mute(true) }, "lost a"},
		{"missed heartbeats over TCP", true, "", func(c *client) { c.mute(true) }, "lost a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, nil, func(r *rig) {
				c := r.join(clientConfig{name: "a.example", tcp: tt.tcp, handler: answerChanged})
				if tt.config != "" {
					if got := code(c.do(request(putCode, pathConfig+"/sid=1", putIdle(tt.config)))); got != "2.01" {
						t.Fatal(got)
					}
				}
				tt.end(c)
				r.wait(10 * time.Minute)
				got := r.core.presences()
				if last := got[len(got)-1]; last != tt.want || slices.Contains(got[:len(got)-1], tt.want) {
					t.Errorf("%q; want %q at the end, once", got, tt.want)
				}
			})
		})
	}
}

// Where sessions begin without heartbeats while idle, who closes one has time to come back all the same.
func TestCountdownWithoutHeartbeats(t *testing.T) {
	off := dots.Bounds[uint16]{Min: dots.Some[uint16](0), Current: dots.Some[uint16](0), Max: dots.Some[uint16](240)}
	for _, tt := range []struct {
		name             string
		idle, mitigating dots.Bounds[uint16]
		want             string
	}{
		{"idle", off, dots.Bounds[uint16]{}, "gone a 7m30s"},
		{"idle, and others under attack", off, bounds[uint16](60, 15, 240), "gone a 15m0s"},
		{"always", off, off, "gone a 7m30s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			offered := func(c *Config) {
				c.Session.Idle.HeartbeatInterval, c.Session.Mitigating.HeartbeatInterval = tt.idle, tt.mitigating
			}
			inRig(t, offered, func(r *rig) {
				c := r.connect("a.example")
				_ = c.Close()
				r.wait(2 * time.Second)
				if diff := cmp.Diff([]string{"back a", tt.want}, r.core.presences()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// A client with several sessions is gone with the last of them, and has the time of that which ended last.
func TestCountdownOfSeveralSessions(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		long, short := r.connect("a.example"), r.connect("a.example")
		long.do(request(putCode, pathConfig+"/sid=1", putIdle("a11821a1182418f0"))) // 240 s: an hour
		r.wait(time.Minute)
		_ = long.Close()
		r.wait(10 * time.Minute)
		_ = short.Close()
		r.wait(2 * time.Second)
		got := r.core.presences()
		if diff := cmp.Diff([]string{"back a", "back a", "back a", "gone a 50m0s"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// What a client negotiates is told, so that it counts after a restart of ours too: the longer of both sets, which does not change with every attack.
func TestSpansAreTold(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c := r.connect("a.example")
		c.do(request(putCode, pathConfig+"/sid=1", putIdle("a11821a11824183c")))
		c.do(request(putCode, pathConfig+"/sid=2", "a1181ea11820a11821a11824183c")) // in mitigating-config
		c.do(request(putCode, pathConfig+"/sid=3", putIdle("a11821a118240f")))      // 15 s: the other set's is longer
		c.do(request(putCode, pathConfig+"/sid=4", putIdle("a11821a1182401")))      // refused
		c.do(request(deleteCode, pathConfig, ""))
		r.srv.Mitigating("a", true)
		want := []time.Duration{450 * time.Second, 900 * time.Second, 450 * time.Second} // what is the same is not told again
		if diff := cmp.Diff(want, r.core.spans); diff != "" {
			t.Error(diff)
		}
	})
}

// Our own stop and start with 1,000 clients: nobody is lost, be it that they are told good-bye, that they are not, or that their sessions go on in the new
// process. The core does the rest (gateway/testdata/restart-armed.txt).
func TestRestartLosesNobody(t *testing.T) {
	const many = 1000
	inRig(t, nil, func(r *rig) {
		r.core.set(func(c *fakeCore) {
			for i := range many {
				c.names[fmt.Sprint("client", i)] = fmt.Sprint("c", i)
			}
		})
		var sessions []*coap.Session
		for i := range many {
			link := newMemoryLink(false)
			sess, err := coap.NewSession(coap.SessionConfig{
				Link: link, Timers: r.timers, Handler: r.srv, Limits: SessionLimits(), Peer: coap.Identity{PSKIdentity: fmt.Sprint("client", i)},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.srv.Attach(sess, Listener{}); err != nil {
				t.Fatal(err)
			}
			sessions = append(sessions, sess)
		}
		next, err := New(r.srv.cfg)
		if err != nil {
			t.Fatal(err)
		}
		for i, sess := range sessions { // a third goes on, a third is closed, of a third nothing is heard
			switch carried, _ := r.srv.Carry(sess); i % 3 {
			case 0:
				if err := next.Resume(sess, Listener{}, carried); err != nil {
					t.Fatal(err)
				}
			case 1:
				_ = sess.Close()
			}
		}
		r.wait(400 * time.Second)
		if i := slices.IndexFunc(r.core.presences(), func(s string) bool { return s[:4] == "lost" }); i >= 0 {
			t.Errorf("%s", r.core.presences()[i])
		}
		for _, sess := range sessions {
			_ = sess.Close()
		}
	})
}
