package upstream

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
)

// tardy runs f in a farm whose dials over TCP may be followed by better sessions, which f makes; better is that of the first dial.
func tardy(t *testing.T, f func(w *farm, better func(*coap.Session), dial func() *coap.Session)) {
	t.Helper()
	var better func(*coap.Session)
	farming(t, func(c *Config) {
		inner := c.Links[0].DialTo
		c.Links[0].DialTo = func(ctx context.Context, to Destination) (*coap.Session, error) {
			if better == nil {
				better = to.Better
			}
			return inner(ctx, to)
		}
	}, func(w *farm) {
		w.reliable = true
		w.run()
		f(w, better, func() *coap.Session {
			w.set(func() { w.reliable = false })
			defer w.set(func() { w.reliable = true })
			s, err := w.dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.set(func() { w.at[w.server] = home })
			return s
		})
	})
}

// A session over UDP to the server that we were at comes when a redirect has been followed: it is closed, and we stay where we were sent.
func TestLateSessionToAnotherServer(t *testing.T) {
	tardy(t, func(w *farm, better func(*coap.Session), dial func() *coap.Session) {
		w.send(home, "other.example", 3600)
		w.want(putLeg(1, 1))
		if i := w.info(); i.Redirected != "other.example" {
			t.Fatalf("shown as %+v", i)
		}
		late := dial()
		better(late)
		w.sleep(time.Second)
		if i := w.info(); !i.Up || !i.Reliable || i.Redirected != "other.example" || !w.open("other.example") {
			t.Errorf("shown as %+v", i)
		}
		if !errors.Is(late.Err(), coap.ErrClosed) {
			t.Errorf("the late session: %v", late.Err())
		}
	})
}

// One that has ended before it is looked at does not take the place of one that lives.
func TestLateSessionThatHasEnded(t *testing.T) {
	tardy(t, func(w *farm, better func(*coap.Session), dial func() *coap.Session) {
		first := w.info().Session
		late := dial()
		_ = late.Close()
		better(late)
		w.sleep(time.Second)
		if i := w.info(); !i.Up || i.Session != first {
			t.Errorf("shown as %+v", i)
		}
		if lost := w.events.drain("down"); len(lost) != 0 {
			t.Errorf("told %q", lost)
		}
	})
}

// One that comes when there is none is used, and not left to itself until the next attempt.
func TestLateSessionWhileThereIsNone(t *testing.T) {
	tardy(t, func(w *farm, better func(*coap.Session), dial func() *coap.Session) {
		w.mu.Lock()
		w.gone[home] = true
		first := w.ours[home]
		w.mu.Unlock()
		_ = first.Close()
		w.sleep(time.Second)
		if w.info().Up {
			t.Fatal("there is a session")
		}
		late := dial()
		better(late)
		w.sleep(time.Second)
		if i := w.info(); !i.Up || i.Session != late.ID() {
			t.Errorf("shown as %+v", i)
		}
	})
}

// A new session to the alternate server that we are at does not bring the next attempt at the provisioned one nearer.
func TestASessionToTheSameServer(t *testing.T) {
	now := time.Unix(1000, 0)
	c := course{home: home}
	c.told(now, dots.Redirect{Server: "other.example"}, dots.Some[uint32](60))
	c.reached(now, c.heading(now, true), netip.Addr{})
	now = now.Add(time.Minute)
	c.missed(now, stay{}, true, now.Add(5*time.Minute))
	if c.reached(now, c.at, netip.Addr{}); c.due(now, false) || !c.due(now.Add(5*time.Minute), false) {
		t.Errorf("the way home is due after %v", c.deadline(false).Sub(now))
	}
}
