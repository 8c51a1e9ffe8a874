package upstream

import (
	"context"
	"errors"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
)

// watch registers us as an observer of a cuid's list (RFC 9132, Section 4.4.2.1) and returns the first response. An older
// registration is ended first.
func (s *session) watch(ctx context.Context, cuid string, m *coap.Message) (*coap.Message, error) {
	l := s.link
	l.mu.Lock()
	old := s.watches[cuid]
	delete(s.watches, cuid)
	l.mu.Unlock()
	s.cancel(ctx, old)
	first, o, err := s.observe(ctx, m, func(m *coap.Message) { s.notice(cuid, m) })
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	s.watches[cuid] = o
	l.mu.Unlock()
	return first, nil
}

// observe registers us as an observer and returns the first response; further ones go to later, on the session's input path.
func (s *session) observe(ctx context.Context, m *coap.Message, later func(*coap.Message)) (*coap.Message, *coap.Observation, error) {
	var first *coap.Message // set before Observe returns
	o, err := s.conn.ObserveAnyway(ctx, m, func(m *coap.Message) {
		if first == nil {
			first = m
			return
		}
		later(m)
	})
	switch {
	case err != nil:
		return nil, nil, err
	case first == nil:
		return nil, nil, errors.New("observing gave no response")
	}
	return first, o, nil
}

// cancel ends an observation, if the uplink still keeps it, and waits no longer than one sending needs.
func (s *session) cancel(ctx context.Context, o *coap.Observation) {
	if o == nil {
		return
	}
	ctx, stop := context.WithTimeout(ctx, s.link.cfg.oneSending())
	defer stop()
	if err := o.Cancel(ctx); err != nil {
		s.link.log.Debug("ending an observation failed", "err", err)
	}
}

// oneSending is how long to wait for an answer where nothing is to be sent again.
func (c Config) oneSending() time.Duration { return c.RepeatInterval * 9 / 10 }

// unwatch ends the observations of cuids that are out of use. link.mu is held.
func (s *session) unwatch(ctx context.Context) {
	for _, cuid := range s.link.plan.idle {
		if o := s.watches[cuid]; o != nil {
			delete(s.watches, cuid)
			s.tasks.Go(func() { s.cancel(ctx, o) })
		}
	}
	s.link.plan.idle = nil
}

// notice keeps a notification until report takes it: the newest of a cuid replaces one that was not taken. It is called
// on the session's input path and does not block.
func (s *session) notice(cuid string, m *coap.Message) {
	s.link.mu.Lock()
	s.notices[cuid] = m
	s.link.mu.Unlock()
	select {
	case s.fresh <- struct{}{}:
	default:
	}
}

// report gives notifications to the plan and to the core.
func (s *session) report(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.fresh:
		}
		s.link.mu.Lock()
		notices := s.notices
		s.notices = map[string]*coap.Message{}
		s.link.mu.Unlock()
		for cuid, m := range notices {
			s.take(cuid, m)
		}
	}
}

// take gives one notification to the plan and to the core.
func (s *session) take(cuid string, m *coap.Message) {
	req := job{kind: kindList, leg: dots.Leg{Key: dots.LegKey{CUID: cuid}}, register: true}.request()
	resp, err := s.decode(req, m)
	if err != nil {
		s.link.log.Warn("notification of uplink cannot be read", "err", err)
		return
	}
	resp = plain(resp)
	if redirected(resp) {
		s.link.redirect(resp, false)
	}
	if resp.Code.Success() && resp.Code != dots.CodeContent {
		s.link.log.Warn("notification of uplink does not fit", "code", resp.Code)
		return
	}
	s.link.tell(func(p *plan, now time.Time) []event { return p.noticed(now, cuid, resp) })
}
