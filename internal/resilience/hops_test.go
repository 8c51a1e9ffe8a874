package resilience

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hops is a pair of links that lose, and what must get through both of them: client, gateway, server.
type hops struct {
	near, far float64 // loss in each direction, of the client's link and of the uplink's
	within    time.Duration
	wanted    float64 // share that must have reached the server by then
}

// twoHops are the losses of both: each hop sends again every 3 s by itself.
func twoHops() []hops {
	return []hops{{0.5, 0.5, 30 * time.Second, 0.993}, {0.8, 0.5, 60 * time.Second, 0.97}}
}

// tally counts runs, from several goroutines.
type tally struct {
	mu              sync.Mutex
	runs, delivered int
}

func (c *tally) add(delivered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs++
	if delivered {
		c.delivered++
	}
}

func (c *tally) share() float64 { return float64(c.delivered) / float64(c.runs) }

// deliver plays runs one after the other: on an established session the links begin to lose, the client asks for a mitigation, and either the
// server has it in time or not.
func (h hops) deliver(w *world, runs int, enough *atomic.Bool, count *tally) {
	c := w.join(0)
	w.wait(10 * time.Second)
	for mid := range uint32(runs) {
		if enough.Load() {
			return
		}
		w.takeEntries()
		c.path.lossy(h.near)
		w.uplink.lossy(h.far)
		end := c.insist(c.put(mid+1, 1))
		_, arrived := w.until(h.within, func() bool { return w.server.Mitigations() > 0 })
		count.add(arrived)
		c.path.lossy(0)
		w.uplink.lossy(0)
		end()
		c.within(time.Minute, c.delete(mid+1))
		if _, gone := w.until(5*time.Minute, func() bool { return w.server.Mitigations() == 0 }); !gone {
			w.t.Fatalf("run %d: a mitigation that was withdrawn stands", mid)
		}
	}
}

// TestTwoHops is a small part of the row, with a bound that chance does not miss.
func TestTwoHops(t *testing.T) {
	for _, h := range twoHops() {
		var count tally
		inWorld(t, 1, func(w *world) { h.deliver(w, 60, new(atomic.Bool), &count) })
		if count.share() < h.wanted-0.12 {
			t.Errorf("%.0f %% and %.0f %% loss: %d of %d delivered within %v", 100*h.near, 100*h.far, count.delivered, count.runs, h.within)
		}
	}
}

// hopRow is the whole of it.
func hopRow(t *testing.T) {
	for _, h := range twoHops() {
		count := h.many(t, counts.runs.get(t))
		must(t, count.share() >= h.wanted, "%.0f %% and %.0f %% loss each way, RTT 40 ms: %.2f %% of %d requests at the server within %.0f s (at least %.1f %%)",
			100*h.near, 100*h.far, 100*count.share(), count.runs, h.within.Seconds(), 100*h.wanted)
	}
}

// many plays runs in several worlds at once, for as long as the row may take.
func (h hops) many(t *testing.T, runs int) *tally {
	const worlds = 4
	var count tally
	var enough atomic.Bool
	defer time.AfterFunc(2*time.Minute, func() { enough.Store(true) }).Stop()
	t.Run("worlds", func(t *testing.T) {
		for i := range worlds {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				inWorld(t, uint64(i), func(w *world) { h.deliver(w, runs/worlds, &enough, &count) })
			})
		}
	})
	return &count
}
