package gateway

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/dotsgate/dotsgate/store"
)

// TestTheWholeSetIsStatedOnce: an uplink must know from when on what nobody named is wanted by nobody, and not before.
func TestTheWholeSetIsStatedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := store.NewMemory()
		w := newWorld(t, disk, nil)
		for i, prefix := range []string{"192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32"} {
			w.put(uint32(i+1), prefix)
		}
		synctest.Wait()
		w.stop()
		w.says(0)
		again := newWorld(t, disk, nil)
		again.says(3)
	})
}

// says compares how many legs were wanted each time that the whole set was stated.
func (w *world) says(want ...int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.stated, want) {
		w.t.Fatalf("stated with %v wanted, want %v", w.stated, want)
	}
}

// TestStatedIsHeldWithItsLegs: it becomes visible with the wants of its step, and is lost with them.
func TestStatedIsHeldWithItsLegs(t *testing.T) {
	var o outbox
	if seen := o.hold(Ready{Stated: true, After: 1, Wants: nil}, 0); len(seen) != 0 {
		t.Fatalf("seen before its commit: %+v", seen)
	}
	if seen := o.release(1); len(seen) != 1 || !seen[0].Stated {
		t.Fatalf("released %+v", seen)
	}
	o.hold(Ready{Stated: true, After: 2}, 1)
	o.fail()
	if seen := o.release(2); len(seen) != 0 {
		t.Fatalf("seen after its commit failed: %+v", seen)
	}
	if seen := o.hold(Ready{Stated: true}, 2); len(seen) != 1 || !seen[0].Stated {
		t.Fatalf("nothing to wait for: %+v", seen)
	}
}
