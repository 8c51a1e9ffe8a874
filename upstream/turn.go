package upstream

import (
	"context"
	"slices"
	"time"
)

// turn is a job in flight.
type turn struct {
	job job // fixed

	// under link.mu
	ends    time.Time // when others get its place, if it is not answered by then
	abandon abandoner // makes the session forget the request; nil: it is not sent yet
	also    func()    // the same on the session beside this one; nil: it was not sent there
	sent    bool      // to the server that a redirect names, for this request alone
	over    bool      // it was answered, given up, or its time has ended
}

// abandoner is a request that can be forgotten: a *coap.Pending, or abandonFunc.
type abandoner interface{ Abandon() }

// abandonFunc makes an abandoner of a function.
type abandonFunc func()

// Abandon calls f.
func (f abandonFunc) Abandon() { f() }

// begin makes a job's turn. link.mu is held.
func (s *session) begin(j job, ends time.Time) *turn {
	t := &turn{job: j, ends: ends}
	s.turns[j.id] = t
	if len(s.line) > 2*len(s.turns)+64 { // one that waits long has many behind it that are over
		s.line = slices.DeleteFunc(s.line, func(t *turn) bool { return t.over })
	}
	s.line = append(s.line, t)
	return t
}

// endAll ends what is left of a session that is over: its plan goes on with another one. That may be the companion, which would go on asking
// beside the plan.
func (s *session) endAll() {
	s.link.mu.Lock()
	left := slices.Clone(s.line)
	s.link.mu.Unlock()
	for _, t := range left {
		s.without(t, context.Canceled)
		t.drop(s)
	}
}

// begun notes how to abandon a request that was sent, and reports whether it is still wanted; else it is abandoned.
func (s *session) begun(t *turn, abandon abandoner) bool {
	s.link.mu.Lock()
	over := t.over
	if !over {
		t.abandon = abandon
	}
	s.link.mu.Unlock()
	if over {
		abandon.Abandon()
	}
	return !over
}

// end takes a turn out, once; false: it was over. link.mu is held.
func (s *session) end(t *turn) bool {
	if t.over {
		return false
	}
	t.over = true
	delete(s.turns, t.job.id)
	return true
}

// giveUp ends the turns of jobs that nobody wants any more, and returns them, to be abandoned without the lock. link.mu is held.
func (s *session) giveUp(jobs []uint64) []*turn {
	var over []*turn
	for _, id := range jobs {
		if t := s.turns[id]; t != nil && s.end(t) {
			s.link.plan.dropped(t.job)
			over = append(over, t)
		}
	}
	return over
}

// expire ends the turns whose time is over.
func (s *session) expire() {
	s.link.mu.Lock()
	now := s.link.cfg.Now()
	var over []*turn
	for len(s.line) > 0 && (s.line[0].over || !s.line[0].ends.After(now)) {
		if t := s.line[0]; !t.over {
			over = append(over, t)
		}
		s.line[0] = nil
		s.line = s.line[1:]
	}
	s.link.mu.Unlock()
	for _, t := range over {
		s.without(t, context.DeadlineExceeded)
		t.drop(s)
	}
}

// drop makes the CoAP session forget the request of a turn that is over.
func (t *turn) drop(s *session) {
	s.link.mu.Lock()
	abandon, also := t.abandon, t.also
	t.also = nil
	s.link.mu.Unlock()
	if abandon != nil {
		abandon.Abandon()
	}
	if also != nil {
		also()
	}
}

// endsAt is when the time of the first turn is over; zero: there is none. link.mu is held.
func (s *session) endsAt() time.Time {
	if len(s.line) == 0 {
		return time.Time{}
	}
	return s.line[0].ends
}
