package gateway

import (
	"slices"

	"github.com/dotsgate/dotsgate/dots"
)

// outbox holds back what must not be visible before its commit. Wants and forgets keep their order leg by leg, because a
// later one replaces an earlier one; nothing else waits for more than it rests on.
type outbox struct {
	held   []Ready
	newest uint64   // the batch that the last of what is held waits for, of those that wait longest
	spare  []Ready  // what was released last, until the next time; its room is used again
	one    [1]Ready // what was returned last
}

// hold takes a Ready in and returns those parts of it that may be seen now. What it returns is good until the next call.
func (o *outbox) hold(r Ready, durable uint64) []Ready {
	r.Seq, r.Records, r.Notes, r.Questions, r.Live, r.Over, r.Activity = 0, nil, nil, nil, nil, nil, nil
	if r.empty() {
		return nil
	}
	if len(o.held) == 0 {
		o.newest = 0
	}
	after := o.legsAfter(&r)
	switch {
	case max(r.After, after) <= durable:
		o.one[0] = r
		return o.one[:]
	case after == r.After: // nearly always: all of it waits for its own batch
		o.keep(r)
		return nil
	}
	legs := Ready{Wants: r.Wants, Forgets: r.Forgets, Stated: r.Stated, After: after}
	r.Wants, r.Forgets, r.Stated = nil, nil, false
	o.keep(legs)
	switch {
	case r.empty():
	case r.After <= durable:
		o.one[0] = r
		return o.one[:]
	default:
		o.keep(r)
	}
	return nil
}

func (o *outbox) keep(r Ready) {
	o.newest = max(o.newest, r.After)
	o.held = append(o.held, r)
}

// legsAfter is the batch that the wants and forgets of a Ready must wait for: its own, or a later one for which something of the same leg waits.
func (o *outbox) legsAfter(r *Ready) uint64 {
	after := r.After
	if after >= o.newest || len(r.Wants)+len(r.Forgets) == 0 { // what is held is released no later
		return after
	}
	for i := range o.held {
		if h := &o.held[i]; h.After > after && slices.ContainsFunc(r.legKeys(), h.concerns) {
			after = h.After
		}
	}
	return after
}

// legKeys are the keys of the legs that a Ready wants or forgets.
func (r *Ready) legKeys() []dots.LegKey {
	keys := make([]dots.LegKey, 0, len(r.Wants)+len(r.Forgets))
	for i := range r.Wants {
		keys = append(keys, r.Wants[i].Key)
	}
	return append(keys, r.Forgets...)
}

// concerns reports whether a Ready wants or forgets a leg.
func (r *Ready) concerns(k dots.LegKey) bool {
	return slices.ContainsFunc(r.Wants, func(l dots.Leg) bool { return l.Key == k }) || slices.Contains(r.Forgets, k)
}

// release returns what may be seen now that everything up to durable is durable, in order. What it returns is good until the next call.
func (o *outbox) release(durable uint64) []Ready {
	clear(o.spare)
	o.spare = o.spare[:0]
	if o.newest <= durable {
		o.held, o.spare = o.spare, o.held
		return o.spare
	}
	kept := o.held[:0]
	for i := range o.held {
		if r := &o.held[i]; r.After <= durable {
			o.spare = append(o.spare, *r)
		} else {
			kept = append(kept, *r)
		}
	}
	clear(o.held[len(kept):])
	o.held = kept
	return o.spare
}

// fail empties the outbox after a failed commit. All that is held waits for the batch that failed or for a later one, since what
// waited for an earlier one was released.
func (o *outbox) fail() []Ready {
	unsaid := o.held
	o.held = nil
	return unsaid
}
