package upstream

import (
	"context"
	"errors"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// do makes one request, waits for its answer and gives it to the plan.
func (s *session) do(ctx context.Context, j job) {
	req := j.request()
	out, err := s.link.profile.EncodeRequest(req)
	if err != nil {
		s.link.log.Warn("request cannot be said to the uplink", "mid", j.leg.Key.MID, "err", err)
		s.done(j, func(p *plan, now time.Time) ([]event, bool) {
			return p.answered(now, j, unsayable(err))
		})
		return
	}
	m, err := s.exchange(ctx, j, carry.RequestMessage(out, carry.NON))
	if err != nil {
		s.link.cfg.Meter.Request(s.link.name, out.Method, dots.CodeSilent)
		s.without(j, err)
		return
	}
	s.link.cfg.Meter.Request(s.link.name, out.Method, dots.Code(m.Code))
	resp, err := s.decode(req, m)
	s.done(j, func(p *plan, now time.Time) ([]event, bool) {
		if err != nil {
			p.failed(now, j)
			return nil, false
		}
		return p.answered(now, j, resp)
	})
}

// unsayable is the answer to a request that cannot be said in the uplink's dialect: as good as refused. It is 4.00 where the
// dialect has no word of its own for it, because asking again would never help, as it might after a 5.00.
func unsayable(err error) wire.Response {
	e := dots.AsError(err)
	if e.Code == dots.CodeInternal {
		e = dots.Refuse(dots.CodeBadRequest, "cannot be said to the uplink")
	}
	return wire.Response{Code: e.Code, Diagnostic: e.Text}
}

// exchange sends a request and waits for its response.
func (s *session) exchange(ctx context.Context, j job, m *coap.Message) (*coap.Message, error) {
	if j.register {
		return s.watch(ctx, j.leg.Key.CUID, m)
	}
	return s.conn.Do(ctx, m)
}

// decode reads a response. The code of a refusal counts even where its body cannot be read.
func (s *session) decode(req wire.Request, m *coap.Message) (wire.Response, error) {
	resp, err := s.link.profile.DecodeResponse(req, carry.Response(m))
	if err != nil && m.Code.Class() > 2 {
		return wire.Response{Code: dots.Code(m.Code)}, nil
	}
	return resp, err
}

// without ends a job that got no answer: because it was given up, its turn is over, or it failed.
func (s *session) without(j job, err error) {
	s.done(j, func(p *plan, now time.Time) ([]event, bool) {
		p.heard = s.conn.LastHeard()
		switch {
		case errors.Is(err, context.Canceled):
			p.dropped(j)
		case errors.Is(err, context.DeadlineExceeded):
			p.unanswered(now, j)
		default:
			p.failed(now, j)
			s.link.log.Warn("request to uplink failed", "mid", j.leg.Key.MID, "err", err)
		}
		return nil, true
	})
}

// done gives a job's outcome to the plan and what follows to the core.
func (s *session) done(j job, outcome func(*plan, time.Time) ([]event, bool)) {
	fits := true
	s.link.tell(func(p *plan, now time.Time) (events []event) {
		if cancel := s.cancels[j.id]; cancel != nil {
			cancel()
			delete(s.cancels, j.id)
		}
		events, fits = outcome(p, now)
		return events
	})
	if !fits {
		s.link.log.Warn("answer of uplink does not fit the request, asking again", "mid", j.leg.Key.MID)
	}
}
