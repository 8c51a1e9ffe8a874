package gateway

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// outboxTrial puts numbered things into an outbox in a random order of commits, and notes what becomes visible.
type outboxTrial struct {
	t       *testing.T
	box     outbox
	durable uint64
	waits   map[Ticket]uint64   // batch that a reply waits for
	said    map[uint32][]uint64 // by mid: revisions in the order of their steps
	seen    map[uint32][]uint64 // and as they became visible
	replies map[Ticket]bool
}

func (o *outboxTrial) see(parts []Ready) {
	o.t.Helper()
	for _, r := range parts {
		if r.After > o.durable {
			o.t.Fatalf("visible with %d durable: %+v", o.durable, r)
		}
		for _, l := range r.Wants {
			o.seen[l.Key.MID] = append(o.seen[l.Key.MID], l.Revision)
		}
		for _, k := range r.Forgets {
			o.seen[k.MID] = append(o.seen[k.MID], 0)
		}
		for _, p := range r.Replies {
			o.replies[p.Ticket] = true
		}
	}
	for ticket, after := range o.waits {
		if seen := o.replies[ticket]; seen != (after <= o.durable) {
			o.t.Fatalf("reply %d waits for batch %d, %d is durable, visible: %v", ticket, after, o.durable, seen)
		}
	}
	for mid, seen := range o.seen {
		if said := o.said[mid]; len(seen) > len(said) || !slices.Equal(seen, said[:len(seen)]) {
			o.t.Fatalf("leg %d was to be %v and is seen as %v", mid, said, seen)
		}
	}
}

// Whatever waits for what: nothing is visible before its commit, a reply waits for nothing but its own, and what is wanted of a leg keeps its order.
func TestOutboxKeepsTheOrderOfLegs(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		o := &outboxTrial{
			t: t, waits: map[Ticket]uint64{}, said: map[uint32][]uint64{}, seen: map[uint32][]uint64{}, replies: map[Ticket]bool{},
		}
		var seq uint64
		for n := range uint64(100) {
			r := Ready{After: o.durable + rng.Uint64N(seq-o.durable+1)} // what it rests on
			if rng.IntN(2) == 0 {
				seq++
				r.After = seq // it writes something
			}
			for range rng.IntN(3) {
				mid := rng.Uint32N(4)
				if rng.IntN(4) == 0 {
					r.Forgets = append(r.Forgets, dots.LegKey{MID: mid})
					continue
				}
				r.Wants = append(r.Wants, dots.Leg{Key: dots.LegKey{MID: mid}, Revision: n + 1})
			}
			for _, l := range r.Wants {
				o.said[l.Key.MID] = append(o.said[l.Key.MID], l.Revision)
			}
			for _, k := range r.Forgets {
				o.said[k.MID] = append(o.said[k.MID], 0)
			}
			if rng.IntN(3) > 0 {
				r.Replies = []Reply{{Ticket: Ticket(n + 1)}}
				o.waits[Ticket(n+1)] = r.After
			}
			o.see(o.box.hold(r, o.durable))
			if rng.IntN(3) == 0 {
				o.durable += rng.Uint64N(seq - o.durable + 1)
				o.see(o.box.release(o.durable))
			}
		}
		o.durable = seq
		o.see(o.box.release(seq))
		for mid, said := range o.said {
			if len(o.seen[mid]) != len(said) {
				t.Fatalf("of leg %d %d levels were seen, want %d", mid, len(o.seen[mid]), len(said))
			}
		}
	}
}

// Lists that are cut from one piece never reach into each other, however they grow.
func TestOnesKeepToThemselves(t *testing.T) {
	var o ones[int]
	var lists [][]int
	for i := range 3 * onesAtATime {
		lists = append(lists, o.add(nil, i))
	}
	for i := range lists {
		lists[i] = o.add(lists[i], -i)
	}
	for i, l := range lists {
		if !slices.Equal(l, []int{i, -i}) {
			t.Fatalf("list %d is %v", i, l)
		}
	}
}
