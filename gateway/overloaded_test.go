package gateway

import (
	"testing"
	"testing/synctest"

	"github.com/dotsgate/dotsgate/store"
)

// Under pressure only what is new is refused: what stands is refreshed and withdrawn, and told of.
func TestOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		overloaded := false
		w := newWorld(t, store.NewMemory(), func(c *Config) { c.Overloaded = func() bool { return overloaded } })
		w.put(1, "192.0.2.1/32")
		w.put(3, "192.0.2.3/32")
		w.want("put 1: 2.01", "put 3: 2.01")
		overloaded = true
		w.put(2, "192.0.2.2/32")
		w.want("put 2: 5.03 busy")
		w.put(1, "192.0.2.1/32")
		w.delete(3)
		w.get(1)
		w.want("put 1: 2.04", "delete 3: 2.02", "get 1: in-progress")
		overloaded = false
		w.put(2, "192.0.2.2/32")
		w.want("put 2: 2.01")
	})
}

func TestFillOfTheMailbox(t *testing.T) {
	b := newMailbox(8)
	for i, want := range []float64{0, 1.0 / 6, 2.0 / 6} {
		if got := b.fill(); got != want {
			t.Errorf("%d items: %v, want %v", i, got, want)
		}
		b.deliver(i)
	}
	for b.offer(0, true) {
	}
	if got := b.fill(); got != 1 {
		t.Errorf("full for what is ordinary: %v", got)
	}
}
