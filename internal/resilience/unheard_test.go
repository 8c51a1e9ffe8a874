package resilience

import (
	"sync"
	"testing"
	"time"
)

// unheard is what becomes of many mitigations on a session whose answers never come: nothing is known of its round-trip time.
type unheard struct {
	sent int           // requests on the uplink, heartbeats among them
	all  time.Duration // until the server had every one

	another time.Duration // until it had one more, asked for beside all these
}

// ask lets a client ask for many mitigations at once, on an uplink that was never heard.
func ask(w *world, many int, lasts time.Duration) (u unheard) {
	c := w.join(0)
	w.stopGateway()
	w.startGateway()
	w.until(time.Minute, func() bool { return w.link().Up })
	dead(w.uplink.back, true)
	c.connect()
	var sent pace
	w.uplink.there.Choose(func(b []byte) int {
		if isRequest(b) {
			sent.note()
		}
		return 1
	})
	begin := time.Now()
	var asking sync.WaitGroup
	for n := range many {
		r := c.put(uint32(n+1), n+1)
		asking.Go(func() { _, _ = c.try(time.Minute, r) })
	}
	w.until(lasts, func() bool { return len(w.server.Held()) == many })
	u.all = time.Since(begin)
	asking.Wait()
	w.wait(lasts - time.Since(begin))
	u.sent = len(sent.times)
	asking.Go(func() { _, _ = c.try(time.Minute, c.put(uint32(many+1), many+1)) })
	u.another, _ = w.until(lasts, func() bool { return len(w.server.Held()) == many+1 })
	asking.Wait()
	return u
}

// most is how many requests may go out within a time where nothing is known of the round trip: one in 3 s, and some at once in the beginning
// (RFC 9132, Section 4.4).
func most(lasts time.Duration) int { return int(lasts/(3*time.Second)) + 12 }

// The row's figures.
const (
	unheardMany  = 100
	unheardLasts = 20 * time.Minute
)

func (u unheard) good() bool {
	return u.sent <= most(unheardLasts) && u.all <= 4*time.Second*unheardMany && u.another <= 10*time.Second
}

// TestUnheard plays it once.
func TestUnheard(t *testing.T) {
	inWorld(t, 1, func(w *world) {
		if u := ask(w, unheardMany, unheardLasts); !u.good() {
			t.Errorf("%+v, at most %d", u, most(unheardLasts))
		}
	})
}

// unheardRow tells its figures.
func unheardRow(t *testing.T) {
	inWorld(t, 1, func(w *world) {
		u := ask(w, unheardMany, unheardLasts)
		must(t, u.good(), "%d mitigations on a session whose answers never come: all at the server after %.0f s; %d requests in %v (at most %d); another one there after %.1f s",
			unheardMany, u.all.Seconds(), u.sent, unheardLasts, most(unheardLasts), u.another.Seconds())
	})
}
