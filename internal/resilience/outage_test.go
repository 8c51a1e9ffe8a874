package resilience

import (
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/impair"
)

// longOutage is how long the answers are lost in the row.
const longOutage = 30 * time.Minute

// kept is what an outage has left.
type kept struct {
	sessions bool          // nobody ended one, and nobody thought it ended
	inForce  time.Duration // what the slowest mitigation took to be in force
	gaps     int           // seconds in which one of them was not
	mids     int           // that the server was ever asked for
	executed int           // times that the server put something in force
	told     time.Duration // until the client is told so, from the outage's end
}

// effect is a mitigation that the server put in force.
type effect struct {
	mid   uint32
	since time.Time
}

// oneWayOutage loses the answers on one path, that of the uplink or that of the client, while a mitigation is in force; another one is asked
// for meanwhile.
func oneWayOutage(w *world, bad *impair.Way, c *client, lasts time.Duration) (k kept) {
	w.wait(10 * time.Second)
	c.within(10*time.Second, c.put(1, 1))
	w.until(10*time.Second, func() bool { return len(w.server.Held()) == 1 })
	before := w.sessions()
	dead(bad, true)
	end := c.insist(c.put(1, 1), c.put(2, 2))
	k.inForce, _ = w.until(lasts, func() bool { return len(w.server.Held()) == 2 })
	k.sessions = true
	began := map[effect]bool{}
	for range int((lasts - k.inForce).Seconds()) {
		w.wait(time.Second)
		held := w.server.Held()
		if len(held) != 2 {
			k.gaps++
		}
		for _, h := range held {
			began[effect{h.MID, h.Since}] = true
		}
		k.sessions = k.sessions && w.sessions() == before
	}
	dead(bad, false)
	k.told, _ = w.until(5*time.Minute, func() bool { return c.sees(1) == dots.StatusMitigated && c.sees(2) == dots.StatusMitigated })
	end()
	mids := map[uint32]bool{}
	for _, e := range w.takeEntries() {
		if e.Op == "put mitigation" {
			mids[*e.MID] = true
		}
	}
	k.mids, k.executed = len(mids), len(began)
	return k
}

// outages are the two paths whose answers are lost.
func outages() map[string]func(*world, *client) *impair.Way {
	return map[string]func(*world, *client) *impair.Way{
		"uplink": func(w *world, _ *client) *impair.Way { return w.uplink.back },
		"client": func(_ *world, c *client) *impair.Way { return c.path.back },
	}
}

// TestOneWayOutage is a short one.
func TestOneWayOutage(t *testing.T) {
	for name, of := range outages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, 1, func(w *world) {
				c := w.join(0)
				k := oneWayOutage(w, of(w, c), c, 10*time.Minute)
				if !k.sessions || k.gaps > 0 || k.mids != 2 || k.executed != 2 || k.inForce > 5*time.Second || k.told > 60*time.Second {
					t.Errorf("%+v", k)
				}
			})
		})
	}
}

// outageRow is a long one.
func outageRow(t *testing.T) {
	for name, of := range outages() {
		inWorld(t, 1, func(w *world) {
			c := w.join(0)
			k := oneWayOutage(w, of(w, c), c, longOutage)
			must(t, k.sessions && k.gaps == 0 && k.mids == 2 && k.executed == 2 && k.told <= 30*time.Second,
				"answers lost for %v on the path of the %s: sessions kept: %v; a new mitigation in force after %.1f s; seconds in which one was not: %d; "+
					"mids that the server saw: %d of 2, put in force %d times; status again after %.1f s (at most 30)",
				longOutage, name, k.sessions, k.inForce.Seconds(), k.gaps, k.mids, k.executed, k.told.Seconds())
		})
	}
}

// sessions names the sessions that the gateway holds; 0: none.
func (w *world) sessions() (named [2]uint64) {
	w.mu.Lock()
	g := w.gate
	w.mu.Unlock()
	named[0] = g.up.Links()[0].Session
	for _, s := range g.down.Sessions() {
		named[1] = s.ID
	}
	return named
}

// sees asks for the status of a mitigation, as long as the probing rate may delay it; 0: no answer, or not known.
func (c *client) sees(mid uint32) dots.Status {
	resp, err := c.try(5*time.Minute, c.get(mid))
	if err != nil || len(resp.Reports) != 1 {
		return 0
	}
	return resp.Reports[0].Status
}
