package upstream

import (
	"context"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// errands are requests that go to another server, each by a redirect for it alone (RFC 9132, Section 4.6, Max-Age 0). They share a session, which
// ends with the last of them.
type errands struct {
	to    dots.Redirect
	ready chan struct{} // closed when conn or err is there
	conn  *coap.Session
	err   error
	users int // under link.mu
}

// runErrand takes a request where others of the same redirect go already; false: none do.
func (s *session) runErrand(t *turn, r wire.Response) bool {
	s.link.mu.Lock()
	e := s.errands
	ok := e != nil && r.MaxAge == dots.Some[uint32](0) && !t.job.register && strings.EqualFold(e.to.Server, r.Redirect.Value.Server)
	if ok {
		e.users++
	}
	s.link.mu.Unlock()
	if ok {
		s.tasks.Go(func() { s.errand(t, e) })
	}
	return ok
}

// beginErrand makes the session for it and takes the request there.
func (s *session) beginErrand(t *turn, to dots.Redirect) {
	l := s.link
	e := &errands{to: to, ready: make(chan struct{}), users: 2}
	l.mu.Lock()
	s.errands = e
	where := Destination{Urgent: l.plan.active > 0, Alternate: to}
	l.mu.Unlock()
	s.tasks.Go(func() {
		e.conn, e.err = l.make(s.work, where)
		close(e.ready)
		s.leave(e)
	})
	s.tasks.Go(func() { s.errand(t, e) })
}

// errand asks one request there.
func (s *session) errand(t *turn, e *errands) {
	defer s.leave(e)
	ctx, cancel := context.WithCancel(s.work)
	defer cancel()
	s.link.mu.Lock()
	t.sent = true
	s.link.mu.Unlock()
	if !s.begun(t, abandonFunc(cancel)) {
		return
	}
	select {
	case <-e.ready:
	case <-ctx.Done():
		s.outcome(t, nil, ctx.Err())
		return
	}
	m, err := s.encoded(&t.job)
	if err == nil {
		err = e.err
	}
	if err == nil {
		m, err = e.conn.Do(ctx, m)
	}
	s.outcome(t, m, err)
}

// leave is the end of one who uses the session.
func (s *session) leave(e *errands) {
	s.link.mu.Lock()
	e.users--
	last := e.users == 0
	if last && s.errands == e {
		s.errands = nil
	}
	s.link.mu.Unlock()
	if last && e.conn != nil {
		_ = e.conn.Close() // all is said
	}
}
