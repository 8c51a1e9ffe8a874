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

// ask makes one request; its answer goes to the plan on the goroutine that brings it.
func (s *session) ask(ctx context.Context, t *turn) {
	m, err := s.message(&t.job)
	if err != nil {
		s.link.log.Warn("request cannot be said to the uplink", "mid", t.job.leg.Key.MID, "err", err)
		s.answered(t, unsayable(err))
		return
	}
	if t.job.register {
		s.tasks.Go(func() { s.wait(ctx, t, m) })
		return
	}
	p, err := s.conn.BeginAs(t.job.class.urgency(), m, func(m *coap.Message, err error) { s.outcome(t, m, err) })
	switch {
	case errors.Is(err, coap.ErrBusy): // or it cannot be sent before the uplink has told what it takes
		s.tasks.Go(func() { s.wait(ctx, t, m) })
	case err != nil:
		s.outcome(t, nil, err)
	default:
		s.begun(t, p)
	}
}

// message is the request of a job. That of a leg which is asked for as it was the last time is kept from then: nearly all are. It is called by
// the loop alone.
func (s *session) message(j *job) (*coap.Message, error) {
	if m := j.said.again(&j.leg); m != nil {
		return m, nil
	}
	m, err := s.encoded(j)
	if err == nil {
		j.said.keep(&j.leg, m)
	}
	return m, err
}

// encoded is the request of a job, made anew.
func (s *session) encoded(j *job) (*coap.Message, error) {
	out, err := s.link.profile.EncodeRequest(j.request())
	if err != nil {
		return nil, err
	}
	return carry.RequestMessage(out, carry.NON), nil
}

// wait makes a request and waits for its answer.
func (s *session) wait(ctx context.Context, t *turn, m *coap.Message) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !s.begun(t, abandonFunc(cancel)) {
		return
	}
	var err error
	if t.job.register {
		m, err = s.watch(ctx, t.job.leg.Key.CUID, m)
	} else {
		m, err = s.conn.Do(ctx, m)
	}
	s.outcome(t, m, err)
}

// outcome takes the end of a request: an answer, or why there is none.
func (s *session) outcome(t *turn, m *coap.Message, err error) {
	if err != nil {
		s.without(t, err)
		return
	}
	s.link.cfg.Meter.Request(s.link.name, t.job.method(), dots.Code(m.Code))
	resp := t.job.said.known(m)
	if resp == nil {
		if resp, err = s.read(t, m); err != nil {
			s.unfit(t)
			return
		}
	}
	s.answered(t, resp)
}

// read reads the response to a turn's request, and keeps it.
func (s *session) read(t *turn, m *coap.Message) (*wire.Response, error) {
	resp, err := s.decode(t.job.request(), m)
	if err != nil {
		return nil, err
	}
	t.job.said.answered(m, resp)
	return &resp, nil
}

// unsayable is the answer to a request that cannot be said in the uplink's dialect: as good as refused. It is 4.00 where the
// dialect has no word of its own for it, because asking again would never help, as it might after a 5.00.
func unsayable(err error) *wire.Response {
	e := dots.AsError(err)
	if e.Code == dots.CodeInternal {
		e = dots.Refuse(dots.CodeBadRequest, "cannot be said to the uplink")
	}
	return &wire.Response{Code: e.Code, Diagnostic: e.Text}
}

// decode reads a response. The code of a refusal counts even where its body cannot be read.
func (s *session) decode(req wire.Request, m *coap.Message) (wire.Response, error) {
	resp, err := s.link.profile.DecodeResponse(req, carry.Response(m))
	if err != nil && m.Code.Class() > 2 {
		return wire.Response{Code: dots.Code(m.Code)}, nil
	}
	return resp, err
}

// answered gives an answer to the plan, and what follows to the core.
func (s *session) answered(t *turn, r *wire.Response) {
	if s.redirects(t, r) {
		return
	}
	fits, doubled := true, false
	s.link.tell(func(p *plan, now time.Time) (events []event) {
		if s.end(t) {
			events, fits = p.answered(now, t.job, *r)
		}
		doubled = t.also != nil
		return events
	})
	if doubled { // it was answered on one of two sessions
		t.drop(s)
	}
	if !fits {
		s.misfit(t)
	}
}

// unfit ends a job whose answer cannot be read: it is asked again as after a failure.
func (s *session) unfit(t *turn) {
	s.link.note(func(p *plan, now time.Time) {
		if s.end(t) {
			p.failed(now, t.job)
		}
	})
	t.drop(s) // of two sessions, the other one still asks
	s.misfit(t)
}

func (s *session) misfit(t *turn) {
	s.link.log.Warn("answer of uplink does not fit the request, asking again", "mid", t.job.leg.Key.MID)
}

// without ends a job that got no answer: because its turn is over, or it failed, or the session ended.
func (s *session) without(t *turn, err error) {
	mine, failed := false, false
	s.link.note(func(p *plan, now time.Time) {
		if mine = s.end(t); !mine {
			return
		}
		p.heard = s.conn.LastHeard()
		switch {
		case errors.Is(err, context.Canceled):
			p.dropped(t.job)
		case errors.Is(err, context.DeadlineExceeded):
			p.unanswered(now, t.job)
		default:
			p.failed(now, t.job)
			failed = true
		}
	})
	if mine {
		s.link.cfg.Meter.Request(s.link.name, t.job.method(), dots.CodeSilent)
	}
	if failed {
		t.drop(s)
		s.link.log.Warn("request to uplink failed", "mid", t.job.leg.Key.MID, "err", err)
	}
}
