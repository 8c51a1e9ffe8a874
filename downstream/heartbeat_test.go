package downstream

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/internal/coap"
)

// beat is a heartbeat as a client hears it.
func beat(at time.Duration, body string) heard {
	return heard{at: at, path: ".well-known/dots/hb", body: body, non: true}
}

// RFC 9132, Section 4.7: a NON PUT each heartbeat-interval, with whether the peer's own heartbeats are coming in; the first
// a moment after the session began.
func TestServerHeartbeats(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c := r.connect("a.example")
		r.wait(70 * time.Second)
		want := []heard{beat(5*time.Second, bodyHBTrue), beat(35*time.Second, bodyHBTrue), beat(65*time.Second, bodyHBFalse)}
		if diff := cmp.Diff(want, c.heartbeats(), cmp.AllowUnexported(heard{})); diff != "" {
			t.Fatal(diff)
		}
		if got := code(c.do(request(putCode, pathHB, bodyHBTrue))); got != "2.04" {
			t.Errorf("the client's heartbeat: %s", got)
		}
		r.wait(30 * time.Second)
		want = append(want, beat(95*time.Second, bodyHBTrue))
		if diff := cmp.Diff(want, c.heartbeats(), cmp.AllowUnexported(heard{})); diff != "" {
			t.Error(diff)
		}
		if r.meter.missed != 0 {
			t.Errorf("%d heartbeats missed; want 0", r.meter.missed)
		}
	})
}

// RFC 9132, Section 4.7: a peer that does not receive our heartbeats is sent one right after its own.
func TestHeartbeatFollowsPeer(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c := r.connect("a.example")
		r.wait(25 * time.Second)
		c.do(request(putCode, pathHB, bodyHBFalse))
		want := []heard{beat(5*time.Second, bodyHBTrue), beat(25*time.Second, bodyHBTrue)}
		if diff := cmp.Diff(want, c.heartbeats(), cmp.AllowUnexported(heard{})); diff != "" {
			t.Error(diff)
		}
	})
}

// RFC 9132, Section 4.5: the negotiated interval holds at once, 0 stops the heartbeats, and the default comes back.
func TestHeartbeatsFollowConfig(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c := r.connect("a.example")
		r.wait(10 * time.Second)
		c.do(request(putCode, pathConfig+"/sid=1", putIdle("a11821a11824183c"))) // 60 s
		r.wait(60 * time.Second)                                                 // 70 s
		c.do(request(putCode, pathConfig+"/sid=2", putIdle("a11821a1182400")))
		r.wait(time.Hour)
		want := []heard{beat(5*time.Second, bodyHBTrue), beat(65*time.Second, bodyHBTrue)}
		if diff := cmp.Diff(want, c.heartbeats(), cmp.AllowUnexported(heard{})); diff != "" {
			t.Fatal(diff)
		}
		if n := len(r.srv.Sessions()); n != 1 {
			t.Fatalf("%d sessions without heartbeats; want 1", n)
		}
		c.do(request(deleteCode, pathConfig, ""))
		r.wait(time.Minute)
		if n := len(c.heartbeats()); n < 3 {
			t.Errorf("%d heartbeats after the DELETE; want them to go on", n)
		}
	})
}

// RFC 9132, Section 4.7: nothing heard for the time that uses missing-hb-allowed up: disconnected. The client is lost with
// its last session, and back with its next.
func TestLostClient(t *testing.T) {
	for _, tt := range []struct {
		name string
		tcp  bool
		lost time.Duration // after the client fell silent
	}{
		// 15 intervals since it was heard last
		{"UDP", false, 15 * 30 * time.Second},
		// the heartbeat at 35 s is waited for until 65 s
		{"TCP", true, 60 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, nil, func(r *rig) {
				c := r.join(clientConfig{name: "a.example", tcp: tt.tcp, handler: answerChanged})
				r.wait(5 * time.Second) // its answer to our first heartbeat is the last that is heard
				c.mute(true)
				r.wait(tt.lost - time.Millisecond)
				if len(r.srv.Sessions()) != 1 {
					t.Fatal("lost too early")
				}
				r.wait(time.Millisecond)
				if len(r.srv.Sessions()) != 0 || r.meter.lost != 1 {
					t.Fatalf("%d sessions, %d lost; want 0, 1", len(r.srv.Sessions()), r.meter.lost)
				}
				select {
				case <-c.served.Done():
				default:
					t.Error("the session is not closed")
				}
				r.connect("a.example")
				if diff := cmp.Diff([]string{"back a", "lost a", "back a"}, r.core.presences()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// A client is lost only with the last of its sessions, and not by one that it closed.
func TestLostWithLastSessionOnly(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		silentOne, closing := r.connect("a.example"), r.connect("a.example")
		r.wait(time.Minute)
		silentOne.mute(true)
		r.wait(20 * time.Minute)
		if diff := cmp.Diff([]string{"back a", "back a"}, r.core.presences()); diff != "" || r.meter.lost != 1 {
			t.Fatalf("%d lost, %s", r.meter.lost, diff)
		}
		if err := closing.Close(); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Hour)
		if diff := cmp.Diff([]string{"back a", "back a", "gone a 7m30s"}, r.core.presences()); diff != "" {
			t.Error(diff)
		}
	})
}

// A client that ended one session a moment before the other is lost was heard a moment before.
func TestLostRightAfterClose(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		dying := r.connect("a.example")
		r.wait(5 * time.Second)
		dying.mute(true)
		r.wait(449*time.Second + 500*time.Millisecond)
		closing := r.connect("a.example")
		if err := closing.Close(); err != nil { // less than a sweep before the loss
			t.Fatal(err)
		}
		r.wait(500 * time.Millisecond)
		if diff := cmp.Diff([]string{"back a", "back a", "gone a 7m30s"}, r.core.presences()); diff != "" {
			t.Error(diff)
		}
	})
}

// RFC 9132, Section 4.7: a server that hears its client keeps the session usable, whatever becomes of its heartbeats: a
// client without the resource answers 4.04 or RST, or nothing at all and sends something else now and then.
func TestClientWithoutHeartbeats(t *testing.T) {
	for _, tt := range []struct {
		name    string
		tcp     bool
		handler coap.HandlerFunc
		talks   bool
		missed  bool
	}{
		{"4.04", false, func(ex *coap.Exchange) { ex.Respond(&coap.Message{Code: coap.NotFound}) }, false, false},
		{"4.04 over TCP", true, func(ex *coap.Exchange) { ex.Respond(&coap.Message{Code: coap.NotFound}) }, false, false},
		{"4.05", false, func(ex *coap.Exchange) { ex.Respond(&coap.Message{Code: coap.MethodNotAllowed}) }, false, false},
		{"no answer, but requests", false, silent, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, nil, func(r *rig) {
				c := r.join(clientConfig{name: "a.example", tcp: tt.tcp, handler: tt.handler})
				for range 60 {
					if tt.talks {
						c.do(request(getCode, pathConfig, ""))
					}
					r.wait(time.Minute)
				}
				if len(r.srv.Sessions()) != 1 || len(r.core.presences()) != 1 {
					t.Errorf("%d sessions, %v", len(r.srv.Sessions()), r.core.presences())
				}
				if (r.meter.missed > 0) != tt.missed {
					t.Errorf("%d heartbeats missed", r.meter.missed)
				}
			})
		})
	}
}

// A peer that rejects every heartbeat with RST is there, and each heartbeat goes out once.
func TestHeartbeatReset(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		p := r.raw("a.example", false)
		beats := 0
		for range 3600 {
			r.wait(time.Second)
			for len(p.link.out) > 0 {
				b := <-p.link.out
				if coap.Code(b[1]) == coap.PUT {
					beats++
					p.sess.Input([]byte{1<<6 | rst<<4, 0, b[2], b[3]})
				}
			}
		}
		if want := 120; beats != want {
			t.Errorf("%d heartbeats in an hour; want %d", beats, want)
		}
		if len(r.srv.Sessions()) != 1 || r.meter.missed != 0 {
			t.Errorf("%d sessions, %d missed; want 1, 0", len(r.srv.Sessions()), r.meter.missed)
		}
	})
}

// A client that does not hear us, but is heard, keeps its session (RFC 9132, Section 4.7).
func TestOneWayLoss(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c := r.connect("a.example")
		c.deafen(true)
		for range 120 {
			c.do(request(putCode, pathHB, bodyHBFalse))
			r.wait(28 * time.Second)
		}
		if len(r.srv.Sessions()) != 1 || r.meter.lost != 0 || len(c.heartbeats()) != 0 {
			t.Errorf("%d sessions, %d lost, %d heartbeats heard", len(r.srv.Sessions()), r.meter.lost, len(c.heartbeats()))
		}
		if r.meter.missed == 0 {
			t.Error("no heartbeat was missed")
		}
	})
}

// When too many heartbeats await their answer, further ones are left out, and come again.
func TestHeartbeatsAreBounded(t *testing.T) {
	inRig(t, func(c *Config) { c.MaxHeartbeats = 2 }, func(r *rig) {
		var clients []*client
		for range 5 {
			clients = append(clients, r.join(clientConfig{name: "a.example", handler: silent}))
		}
		count := func() (n int) {
			for _, c := range clients {
				n += len(c.heartbeats())
			}
			return n
		}
		r.wait(6 * time.Second)
		if n := count(); n != 2 {
			t.Errorf("%d heartbeats at first; want 2", n)
		}
		r.wait(30 * time.Second)
		if n := count(); n != 4 {
			t.Errorf("%d heartbeats after an interval; want 4", n)
		}
		synctest.Wait()
	})
}
