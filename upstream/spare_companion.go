package upstream

import (
	"context"
	"errors"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
)

// companion is a session that was made beside one whose heartbeats go unanswered. Requests for mitigations go out on both, until one of them
// brings anything in: that one is kept.
//
// RFC 9132, Section 4.7: under attack the client goes on using the session that it has, tries another one, and sends its mitigation requests
// on both.
type companion struct {
	conn  *coap.Session
	since time.Time
	won   chan struct{} // capacity 1: it has brought an answer
}

// answers notes that the companion has brought an answer. It does not block.
func (c *companion) answers() {
	select {
	case c.won <- struct{}{}:
	default:
	}
}

// probe makes a session beside this one, when none was tried for long enough. link.mu is held.
func (s *session) probe(ctx context.Context, now time.Time) {
	if s.probing || now.Sub(s.link.tried) < s.link.cfg.Backoff.beside(s.probes, s.link.plan.active > 0) {
		return
	}
	s.probing = true
	s.probes++
	s.tasks.Go(func() {
		l := s.link
		next, err := l.attempt(ctx)
		if err == nil && s.compare(ctx, next.conn) {
			s.spare <- next // capacity 1, and no other one is made
			return
		}
		if err != nil && ctx.Err() == nil {
			l.log.Warn("uplink does not answer heartbeats, and a new session cannot be made", "err", err)
		}
		s.probed()
	})
}

// compare lets a new session run beside the old one, and keeps the one that the server is first heard on: it reports whether that is the new one,
// which is closed else. When the old one ends meanwhile, the new one is there to go on with.
func (s *session) compare(ctx context.Context, next *coap.Session) bool {
	l := s.link
	c := &companion{conn: next, since: l.cfg.Now(), won: make(chan struct{}, 1)}
	s.share(next, 2)
	l.mu.Lock()
	s.beside = c
	l.mu.Unlock()
	l.log.Info("session made beside one that does not answer, both are used", "session", s.conn.ID(), "beside", next.ID())
	l.rouse()
	better := s.race(ctx, c)
	l.mu.Lock()
	s.beside = nil
	l.mu.Unlock()
	s.share(next, 1)
	if better && next.Err() == nil {
		return true
	}
	l.log.Info("session beside another one closed, that one is kept", "session", s.conn.ID(), "beside", next.ID())
	_ = next.Close() // what it still waits for was asked on the other one, too
	return false
}

// share lets both sessions keep to the rate that the server may be sent to, all in all: under attack what is sent twice must not be twice as much.
func (s *session) share(next *coap.Session, n int) {
	s.conn.Share(n)
	next.Share(n)
}

// race waits until the server is heard on one of two sessions, and reports whether it is the new one. One that is as silent as the old one is
// given up in the end, so that another can be tried.
func (s *session) race(ctx context.Context, c *companion) bool {
	l := s.link
	ctx, stop := context.WithTimeout(ctx, l.cfg.Backoff.Max)
	defer stop()
	s.tasks.Go(func() { s.hail(ctx, c) })
	look := time.NewTicker(l.cfg.RepeatInterval)
	defer look.Stop()
	for {
		select {
		case <-c.won:
			return !s.conn.LastHeard().After(c.since)
		case <-look.C:
			if s.conn.LastHeard().After(c.since) {
				return false
			}
		case <-c.conn.Done():
			return false
		case <-ctx.Done():
			return !errors.Is(ctx.Err(), context.DeadlineExceeded)
		}
	}
}

// hail sends a heartbeat on the companion again and again, until one is answered.
func (s *session) hail(ctx context.Context, c *companion) {
	for ctx.Err() == nil && c.conn.Err() == nil {
		err := s.knock(ctx, c.conn, true)
		if err == nil || errors.Is(err, coap.ErrReset) {
			c.answers()
			return
		}
		if !errors.Is(err, coap.ErrTimeout) { // a ping that nobody answered: another one
			return
		}
	}
}

// double sends what is under way for mitigations on the companion, too, as its pace allows; the rest when that does. It is called by the loop alone.
func (s *session) double() {
	s.link.mu.Lock()
	c := s.beside
	s.undoubled = 0
	if c == nil {
		s.link.mu.Unlock()
		return
	}
	var turns []*turn
	pace := c.conn.Pace()
	for _, t := range s.line {
		if t.over || t.also != nil || !t.job.changes() {
			continue
		}
		if s.undoubled = pace.Wait(t.job.class.urgency()); s.undoubled > 0 {
			break
		}
		pace.Take(t.job.class.urgency())
		turns = append(turns, t)
	}
	s.link.mu.Unlock()
	for _, t := range turns {
		if m, err := s.message(&t.job); err == nil {
			s.also(c, t, m)
		}
	}
}

// also sends a request for a mitigation on the companion. The first answer on either session is the answer.
func (s *session) also(c *companion, t *turn, m *coap.Message) {
	p, err := c.conn.BeginAs(t.job.class.urgency(), m, func(m *coap.Message, err error) {
		if err == nil { // without an answer it is the other session's alone
			s.outcome(t, m, nil)
			c.answers()
		}
	})
	if err != nil {
		return
	}
	s.link.mu.Lock()
	over := t.over
	if !over {
		t.also = p.Abandon
	}
	s.link.mu.Unlock()
	if over {
		p.Abandon()
	}
}
