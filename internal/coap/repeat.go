package coap

import (
	"encoding/binary"
	"slices"
	"time"
)

// repeats are the NON requests of a session whose repeat is due, and waits for its turn. There are at most as many as requests under way.
type repeats struct {
	s       *Session
	waiting []*call
	timer   timer
}

// repeatAfter is how long a NON request waits for its answer: RFC 9132, Section 4.4 wants 3 s at least where the round-trip time is not known.
// That is kept where it is, since under attack it is loss that repeats are for, and one that is sent sooner takes another's place.
func (s *Session) repeatAfter() time.Duration {
	return max(s.params.RepeatInterval, s.flow.rtt.smoothed)
}

// fired is called when the repeat of a NON request is due.
func (c *call) fired() {
	s := c.s
	defer s.guard()
	s.mu.Lock()
	defer s.unlock()
	if !s.unanswered(c) {
		return
	}
	if s.flow.late == nil {
		s.flow.late = &repeats{s: s}
		s.flow.late.timer.fire = s.flow.late
	}
	s.flow.late.waiting = append(s.flow.late.waiting, c)
	s.flow.late.send()
}

// unanswered reports whether a NON request is still to be repeated.
func (s *Session) unanswered(c *call) bool { return s.calls[c.token] == c && c.buf != nil }

// fired is called when there may be room for one more.
func (r *repeats) fired() {
	defer r.s.guard()
	r.s.mu.Lock()
	defer r.s.unlock()
	r.send()
}

// send repeats what may be repeated now, the most urgent first and of these the one that waits longest, and arms the timer for the rest.
func (r *repeats) send() {
	r.waiting = slices.DeleteFunc(r.waiting, func(c *call) bool { return !r.s.unanswered(c) })
	for r.s.err == nil && len(r.waiting) > 0 {
		now, f := time.Now(), &r.s.flow
		first := 0
		for i, c := range r.waiting {
			if f.needs(c.urgency, true) < f.needs(r.waiting[first].urgency, true) {
				first = i
			}
		}
		pace := r.s.pace(r.s.clockAt(now))
		if wait := pace.wait(r.waiting[first].urgency, true); wait > 0 {
			r.s.timers.set(&r.timer, now.Add(wait))
			return
		}
		c := r.waiting[first]
		r.waiting = slices.Delete(r.waiting, first, first+1)
		c.again(now)
	}
}

// again sends a NON request again under a fresh message id: RFC 9132, Section 4.4.
func (c *call) again(now time.Time) {
	s := c.s
	c.mid = s.nextMID()
	binary.BigEndian.PutUint16(c.buf[2:], c.mid)
	s.counters.Retransmissions.Add(1)
	_ = s.write(c.buf) // loss is what the repetition is for
	s.counted(!c.mitigates, s.clockAt(now), len(c.buf))
	if c.mitigates {
		s.flow.took(min(c.urgency, MostUrgent-1))
	}
	c.sent.sent(s.clockAt(now))
	s.timers.set(&c.repeat, now.Add(s.repeatAfter()))
}

// stop ends all repeats for good.
func (r *repeats) stop() {
	if r != nil {
		r.s.timers.stop(&r.timer)
		r.waiting = nil
	}
}
