package upstream

import (
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// stand is what is in force at a mitigator under one key, or may be.
type stand struct {
	revision uint64    // whose Start succeeded last; 0: none in this process
	ends     time.Time // of its lifetime; zero: it has no end, or Open told of it and nothing else is known
	start    time.Time // of the mitigation
	over     bool      // its lifetime ended and it was stopped; kept as long as it is wanted
	was      bool      // it may have been in force before the Start that is under way
	report   dots.Report
	retry    time.Time // not to be stopped before; zero: at once
	fails    int       // to stop it, in a row
	waits    time.Time // its valid place among the delays; zero: none
}

// stands is what is in force at a mitigator, and decides what is to be stopped though nobody withdraws it: what nobody wants, and what
// outlives its lifetime. It is pure: no goroutine, lock or clock. It is bounded by what is wanted and what Open told.
type stands struct {
	known  map[dots.LegKey]*stand
	whole  bool // the whole wanted set was stated: what is not wanted is wanted by nobody
	delays delays
	wanted func(dots.LegKey) bool // by a leg that is to stand, or to be withdrawn, which the plan does
	timing timing
}

func newStands(t timing, wanted func(dots.LegKey) bool) *stands {
	return &stands{known: map[dots.LegKey]*stand{}, timing: t, wanted: wanted}
}

// found notes what a mitigator said to be in force when it was opened.
func (s *stands) found(now time.Time, keys []dots.LegKey) {
	for _, k := range keys {
		if s.known[k] == nil {
			s.known[k] = &stand{start: now, report: dots.Report{Status: dots.StatusInProgress}}
		}
		s.known[k].over, s.known[k].was = false, true // whatever we thought
		s.look(now, k)
	}
}

// look takes a key into account whose wish, lifetime or next attempt has changed.
func (s *stands) look(now time.Time, k dots.LegKey) {
	t := s.known[k]
	if t == nil {
		return
	}
	if t.over && !s.wanted(k) {
		delete(s.known, k)
		return
	}
	if at, ok := s.toStop(now, k, t); ok && (t.waits.IsZero() || at.Before(t.waits)) {
		t.waits = at
		s.delays.push(at, ref{key: k})
		s.compact()
	}
}

// lookAtAll takes into account that everything may have changed.
func (s *stands) lookAtAll(now time.Time) {
	for k := range s.known {
		s.look(now, k)
	}
}

// compact makes the delays anew when most of them have lost their place, so that they stay bounded by what is known.
func (s *stands) compact() {
	if len(s.delays.heap) <= 2*len(s.known)+64 {
		return
	}
	s.delays = delays{}
	for k, t := range s.known {
		if !t.waits.IsZero() {
			s.delays.push(t.waits, ref{key: k})
		}
	}
}

// toStop is when something is to be stopped; false: there is no such time.
func (s *stands) toStop(now time.Time, k dots.LegKey, t *stand) (time.Time, bool) {
	switch wanted := s.wanted(k); {
	case t.over:
		return time.Time{}, false
	case !wanted && s.whole && t.retry.After(now):
		return t.retry, true
	case !wanted && s.whole:
		return now, true
	case t.ends.IsZero():
		return time.Time{}, false
	case t.retry.After(t.ends):
		return t.retry, true
	}
	return t.ends, true
}

// next takes a key that is to be stopped now. Its outcome is told by stopped or failed.
func (s *stands) next(now time.Time) (dots.LegKey, bool) {
	for {
		d, ok := s.delays.pop(now)
		if !ok {
			return dots.LegKey{}, false
		}
		t := s.known[d.key]
		if t == nil || !t.waits.Equal(d.at) {
			continue
		}
		t.waits = time.Time{}
		if at, ok := s.toStop(now, d.key, t); ok && !at.After(now) {
			return d.key, true
		}
		s.look(now, d.key)
	}
}

// deadline returns when time alone makes next give something; zero: never.
func (s *stands) deadline() time.Time { return s.delays.next() }

// stopped notes that nothing is in force under a key, and reports whether somebody who wants it is to be told.
func (s *stands) stopped(k dots.LegKey) bool {
	t := s.known[k]
	if t == nil || !s.wanted(k) {
		delete(s.known, k)
		return false
	}
	t.over, t.fails, t.retry = true, 0, time.Time{}
	return true
}

// failed notes that a key could not be stopped.
func (s *stands) failed(now time.Time, k dots.LegKey) {
	if t := s.known[k]; t != nil {
		t.fails++
		t.retry = now.Add(doubled(s.timing.retryMin, s.timing.retryMax, t.fails-1))
		s.look(now, k)
	}
}

// begin notes that a leg is about to be put in force, and returns it with the lifetime that is left to it: a repetition prolongs
// nothing. It reports whether it may be: not when the lifetime of this revision has ended.
func (s *stands) begin(now time.Time, leg dots.Leg) (dots.Leg, bool) {
	t := s.known[leg.Key]
	again := t != nil && t.revision == leg.Revision
	switch {
	case again && t.ended(now):
		return leg, false
	case again || t != nil && !leg.Request.Lifetime.Set: // an efficacy update may lack it (RFC 9132, Section 4.4.3)
		leg.Request.Lifetime = dots.Some(t.left(now))
	case !leg.Request.Lifetime.Set:
		leg.Request.Lifetime = dots.Some(dots.DefaultLifetime)
	}
	if t == nil {
		t = &stand{start: now, report: dots.Report{Status: dots.StatusInProgress}}
		s.known[leg.Key] = t
	}
	if t.revision == 0 && t.ends.IsZero() { // should its answer be lost
		t.until(now, leg.Request.Lifetime.Value)
		s.look(now, leg.Key)
	}
	return leg, true
}

// started notes that a leg is in force, from now for the lifetime that was asked.
func (s *stands) started(now time.Time, leg dots.Leg) {
	t := s.known[leg.Key]
	if t == nil {
		return
	}
	if t.over || !t.report.Status.Active() {
		t.start, t.report = now, dots.Report{Status: dots.StatusInProgress}
	}
	if t.revision != leg.Revision {
		t.until(now, leg.Request.Lifetime.Value)
	}
	t.revision, t.over, t.was, t.fails, t.retry = leg.Revision, false, true, 0, time.Time{}
	s.look(now, leg.Key)
}

// doubtful notes that nobody knows whether a leg was put in force.
func (s *stands) doubtful(k dots.LegKey) {
	if t := s.known[k]; t != nil {
		t.was = true
	}
}

// refused notes that a leg was refused: what stood before stands on.
func (s *stands) refused(k dots.LegKey) {
	if t := s.known[k]; t != nil && !t.was {
		delete(s.known, k)
	}
}

// heard notes what the mitigator tells of a key. A report without a status tells of counters alone.
func (s *stands) heard(k dots.LegKey, r dots.Report) {
	t := s.known[k]
	if t == nil {
		return
	}
	if !r.Status.Valid() {
		r.Status = t.report.Status
	}
	t.report = r
}

// report is what is to be told of a leg that is wanted; false: nothing is in force.
func (s *stands) report(now time.Time, k dots.LegKey) (dots.Report, bool) {
	t := s.known[k]
	if t == nil {
		return dots.Report{}, false
	}
	r := t.report
	r.MID, r.Lifetime = k.MID, t.left(now)
	if t.over {
		r.Status = dots.StatusTerminated
	}
	// RFC 9132, Section 4.4.2: mitigation-start is told of what is in force.
	if r.Status.Active() && !r.Start.Set {
		r.Start = dots.Some(uint64(t.start.Unix()))
	}
	return r, true
}

// ended reports whether the lifetime is over.
func (t *stand) ended(now time.Time) bool { return t.over || !t.ends.IsZero() && !t.ends.After(now) }

// until sets the end of a lifetime.
func (t *stand) until(now time.Time, l dots.Lifetime) {
	t.ends = time.Time{}
	if l != dots.Indefinite {
		t.ends = now.Add(time.Duration(l) * time.Second)
	}
}

// left is the lifetime that is left, at least 1.
func (t *stand) left(now time.Time) dots.Lifetime {
	if t.ends.IsZero() {
		return dots.Indefinite
	}
	return max(dots.Lifetime(t.ends.Sub(now).Round(time.Second)/time.Second), 1)
}
