package gateway

import (
	"slices"

	"github.com/dotsgate/dotsgate/dots"
)

// outbox holds back what must not be visible before its commit. Wants and forgets keep their order leg by leg, because a
// later one replaces an earlier one; nothing else waits for more than it rests on.
type outbox struct {
	held  []Ready
	spare []Ready                // what was released last, until the next time; its room is used again
	one   [1]Ready               // what was returned last
	legs  map[dots.LegKey]uint64 // the batch that the newest thing held of a leg waits for
}

// hold takes a Ready in and returns those parts of it that may be seen now. What it returns is good until the next call.
func (o *outbox) hold(r Ready, durable uint64) []Ready {
	r.Seq, r.Records, r.Notes, r.Questions, r.Live, r.Over, r.Activity = 0, nil, nil, nil, nil, nil, nil
	if r.empty() {
		return nil
	}
	if r.After <= durable && len(o.legs) == 0 {
		o.one[0] = r
		return o.one[:]
	}
	var seen []Ready
	legs := Ready{Wants: r.Wants, Forgets: r.Forgets, Stated: r.Stated, After: o.legsAfter(r)}
	r.Wants, r.Forgets, r.Stated = nil, nil, false
	for _, part := range []Ready{legs, r} {
		switch {
		case part.empty():
		case part.After <= durable:
			seen = append(seen, part)
		default:
			o.held = append(o.held, part)
		}
	}
	if legs.After > durable {
		o.remember(legs)
	}
	return seen
}

// legsAfter is the batch that the wants and forgets of a Ready must wait for.
func (o *outbox) legsAfter(r Ready) uint64 {
	after := r.After
	for _, w := range r.Wants {
		after = max(after, o.legs[w.Key])
	}
	for _, k := range r.Forgets {
		after = max(after, o.legs[k])
	}
	return after
}

func (o *outbox) remember(r Ready) {
	if o.legs == nil {
		o.legs = map[dots.LegKey]uint64{}
	}
	for _, w := range r.Wants {
		o.legs[w.Key] = r.After
	}
	for _, k := range r.Forgets {
		o.legs[k] = r.After
	}
}

// release returns what may be seen now that everything up to durable is durable, in order. What it returns is good until the next call.
func (o *outbox) release(durable uint64) []Ready {
	clear(o.spare)
	o.spare = o.spare[:0]
	if !slices.ContainsFunc(o.held, func(r Ready) bool { return r.After > durable }) {
		o.held, o.spare, o.legs = o.spare, o.held, nil
		return o.spare
	}
	kept := o.held[:0]
	for i := range o.held {
		if r := &o.held[i]; r.After <= durable {
			o.spare = append(o.spare, *r)
			o.drop(r)
		} else {
			kept = append(kept, *r)
		}
	}
	clear(o.held[len(kept):])
	o.held = kept
	return o.spare
}

// drop forgets the order of legs that waited for a part's commit.
func (o *outbox) drop(r *Ready) {
	for _, w := range r.Wants {
		if o.legs[w.Key] <= r.After {
			delete(o.legs, w.Key)
		}
	}
	for _, k := range r.Forgets {
		if o.legs[k] <= r.After {
			delete(o.legs, k)
		}
	}
}

// fail empties the outbox after a failed commit. All that is held waits for the batch that failed or for a later one, since what
// waited for an earlier one was released.
func (o *outbox) fail() []Ready {
	unsaid := o.held
	o.held, o.legs = nil, nil
	return unsaid
}
