package record

import (
	"math/rand/v2"
	"testing"
)

// RFC 6347, Section 4.1.2.6: each number once, none that is older than the window.
func TestWindow(t *testing.T) {
	type step struct {
		n             uint64
		fresh, newest bool
	}
	for name, c := range map[string]struct {
		next  uint64
		steps []step
	}{
		"in order":             {0, []step{{0, true, true}, {1, true, true}, {2, true, true}}},
		"twice":                {0, []step{{0, true, true}, {0, false, false}, {5, true, true}, {5, false, false}}},
		"out of order":         {0, []step{{3, true, true}, {1, true, false}, {1, false, false}, {2, true, false}, {0, true, false}, {0, false, false}}},
		"the oldest that fits": {0, []step{{63, true, true}, {0, true, false}, {64, true, true}, {0, false, false}, {1, true, false}}},
		"too old":              {0, []step{{64, true, true}, {0, false, false}, {1, true, false}}},
		"a leap of 63":         {0, []step{{0, true, true}, {63, true, true}, {0, false, false}, {1, true, false}}},
		"a leap of 64":         {0, []step{{0, true, true}, {64, true, true}, {0, false, false}, {63, true, false}}},
		"a leap of 65":         {0, []step{{0, true, true}, {65, true, true}, {1, false, false}, {2, true, false}}},
		"a wide leap":          {0, []step{{0, true, true}, {1 << 40, true, true}, {1<<40 - 63, true, false}, {1<<40 - 64, false, false}}},
		"the last":             {0, []step{{maxSequence, true, true}, {maxSequence, false, false}, {maxSequence - 1, true, false}}},
		"taken over":           {10, []step{{9, false, false}, {0, false, false}, {10, true, true}, {9, false, false}, {12, true, true}, {11, true, false}, {9, false, false}}},
		"taken over, late":     {1000, []step{{1000, true, true}, {1062, true, true}, {999, false, false}, {1001, true, false}}},
		"taken over at 2^48":   {maxSequence + 1, []step{{maxSequence, false, false}, {0, false, false}}},
	} {
		w := newWindow(c.next)
		for i, s := range c.steps {
			before := w
			if got := w.isFresh(s.n); got != s.fresh {
				t.Errorf("%s, step %d: isFresh(%d) = %t", name, i, s.n, got)
			}
			if w != before {
				t.Errorf("%s, step %d: isFresh(%d) moved the window", name, i, s.n)
			}
			if !s.fresh {
				continue
			}
			if got := w.mark(s.n); got != s.newest {
				t.Errorf("%s, step %d: mark(%d) = %t", name, i, s.n, got)
			}
		}
	}
}

// The window agrees with a plain model of it: a set, and the newest.
func TestWindowModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		floor := r.Uint64N(200)
		w, seen, next := newWindow(floor), map[uint64]bool{}, floor
		for range 500 {
			n := next + r.Uint64N(100)
			n -= min(n, r.Uint64N(150))
			want := n >= floor && !seen[n] && n+windowSize >= next
			if got := w.isFresh(n); got != want {
				t.Fatalf("floor %d, next %d: isFresh(%d) = %t", floor, next, n, got)
			}
			if want {
				if newest := w.mark(n); newest != (n >= next) {
					t.Fatalf("next %d: mark(%d) = %t", next, n, newest)
				}
				seen[n], next = true, max(next, n+1)
			}
		}
	}
}
