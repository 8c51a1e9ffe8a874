package upstream

import (
	"context"
	"time"
)

// steer makes a session beside this one when that is at the wrong server, or over TCP for long enough. It returns when it is to look
// again; zero: when something happens. link.mu is held.
func (s *session) steer(ctx context.Context, now time.Time) time.Time {
	l := s.link
	active := l.plan.active > 0
	switch {
	case s.probing:
		return time.Time{}
	case l.course.due(now, active):
		s.makeSpare(ctx, l.attempt, func(error) {}) // missed tells
		return time.Time{}
	}
	at := l.course.deadline(active)
	udp := s.udpAt()
	if udp.IsZero() {
		return at
	}
	if !now.Before(udp) {
		s.makeSpare(ctx, l.attemptUDP, func(err error) { l.log.Debug("uplink does not answer over UDP", "err", err) })
		return time.Time{}
	}
	if at.IsZero() || udp.Before(at) {
		return udp
	}
	return at
}

// udpAt is when UDP is to be tried from a session over TCP; zero: never. link.mu is held.
//
// RFC 9132, Section 4.3: it should not be tried more often than once in 24 h, and must not be more often than once in 5 min.
func (s *session) udpAt() time.Time {
	if l := s.link; l.toUDP > 0 && s.conn.Reliable() {
		return l.udpTried.Add(l.toUDP)
	}
	return time.Time{}
}

// attemptUDP dials the server that we are at, over UDP alone.
func (l *link) attemptUDP(ctx context.Context) (made, error) {
	l.mu.Lock()
	at := l.course.at
	to := Destination{Urgent: l.plan.active > 0, Alternate: at.alternate, OverUDP: true}
	l.udpTried = l.cfg.Now()
	l.tried = l.udpTried
	l.mu.Unlock()
	conn, err := l.make(ctx, to)
	return made{conn, at}, err
}

// makeSpare makes a session to go on with; this one stays in use until then. link.mu is held.
func (s *session) makeSpare(ctx context.Context, attempt func(context.Context) (made, error), failed func(error)) {
	s.probing = true
	s.tasks.Go(func() {
		next, err := attempt(ctx)
		if err != nil {
			failed(err)
			s.probed()
			return
		}
		s.spare <- next
	})
}

// probed allows another session to go on with. It is called when the one that was being made is none to go on with: while one waits in spare, none is made.
func (s *session) probed() {
	s.link.mu.Lock()
	s.probing = false
	s.link.mu.Unlock()
	s.link.rouse()
}

// better takes a session over UDP after one over TCP that was dialled with it. It does not block.
func (l *link) better(m made) {
	l.mu.Lock()
	wanted := !l.over && len(l.late) == 0
	if wanted {
		l.late <- m // there is room: nobody else sends
	}
	l.mu.Unlock()
	if !wanted {
		_ = m.conn.Close()
	}
}

// fits reports whether a session that came late is one to go on with; else it is closed: it has ended meanwhile, or we were sent elsewhere.
func (l *link) fits(m made) bool {
	l.mu.Lock()
	elsewhere := !sameStay(m.at, l.course.at)
	l.mu.Unlock()
	if elsewhere || m.conn.Err() != nil {
		_ = m.conn.Close()
		return false
	}
	return true
}

// endLate closes a session that came too late.
func (l *link) endLate() {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	select {
	case m := <-l.late:
		_ = m.conn.Close()
	default:
	}
}
