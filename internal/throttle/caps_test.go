package throttle

import (
	"math/rand/v2"
	"sync"
	"testing"
)

func TestCapsHold(t *testing.T) {
	type step struct {
		do   byte // a: acquire, r: release
		who  int
		want bool
	}
	cases := []struct {
		name  string
		most  int
		steps []step
	}{
		{"up to the cap", 2, []step{{'a', 1, true}, {'a', 1, true}, {'a', 1, false}}},
		{"a place that was given back", 1, []step{{'a', 1, true}, {'r', 1, true}, {'a', 1, true}, {'a', 1, false}}},
		{"others have their own", 1, []step{{'a', 1, true}, {'a', 2, true}, {'a', 1, false}, {'a', 2, false}}},
		{"nothing to give back", 1, []step{{'r', 1, true}, {'a', 1, true}, {'r', 2, true}, {'a', 1, false}}},
		{"a refusal holds nothing", 1, []step{{'a', 1, true}, {'a', 1, false}, {'r', 1, true}, {'a', 1, true}}},
		{"as good as without cap", 1 << 32, []step{{'a', 1, true}, {'a', 1, true}}},
		{"nobody may", 0, []step{{'a', 1, false}}},
		{"nor with less than nothing", -1, []step{{'a', 1, false}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			caps := NewCaps(16, c.most)
			for i, s := range c.steps {
				if s.do == 'r' {
					caps.Release(stranger(s.who))
				} else if got := caps.Acquire(stranger(s.who)); got != s.want {
					t.Errorf("step %d: %v", i, got)
				}
			}
		})
	}
}

// A full table refuses newcomers and forgets nobody.
func TestCapsWhenTheTableIsFull(t *testing.T) {
	c := NewCaps(1, 2)
	for n := range capWays {
		if !c.Acquire(stranger(n)) {
			t.Fatalf("source %d was refused", n)
		}
	}
	if c.Acquire(stranger(100)) {
		t.Error("there was room for one too many")
	}
	if got, want := c.Stats(), (Stats{Size: capWays, Fill: capWays, Overflows: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if !c.Acquire(stranger(3)) || c.Acquire(stranger(3)) {
		t.Error("who is in the table may hold two")
	}
	c.Release(stranger(4))
	if !c.Acquire(stranger(100)) {
		t.Error("no room where one has left")
	}
}

func TestCapsOfNobodyTakeNoRoom(t *testing.T) {
	c := NewCaps(1, 0)
	for n := range 100 {
		c.Acquire(stranger(n))
	}
	if got := c.Stats(); got.Fill != 0 || got.Overflows != 0 {
		t.Errorf("%+v", got)
	}
}

// With a quarter of the slots in use, no set runs full by chance.
func TestCapsAtAQuarter(t *testing.T) {
	c := NewCaps(16384, 1)
	for n := range 4096 {
		if !c.Acquire(stranger(n)) {
			t.Fatalf("source %d was refused", n)
		}
	}
}

func TestCapsFromManyGoroutines(t *testing.T) {
	c := NewCaps(256, 3)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for range 2000 {
				if a := stranger(r.IntN(4)); c.Acquire(a) {
					c.Release(a)
				}
			}
		})
	}
	all.Wait()
	if got := c.Stats(); got.Fill != 0 || got.Overflows != 0 {
		t.Errorf("something is held after all was given back: %+v", got)
	}
}
