package downstream

import (
	"context"
	"log/slog"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// call is one request on its way to its answer. It may outlive its session: an answer is dropped then.
type call struct {
	srv     *Server
	ex      *coap.Exchange
	peer    *peer
	method  wire.Method
	profile wire.Profile
	entry   string        // the client entry
	req     *wire.Request // read-only; that of known, or own
	own     wire.Request
	known   *repeat // what the request repeats; nil: it is not kept
}

// call returns an empty call, which is a large thing.
func (s *Server) call() *call {
	c, ok := s.spare.Get().(*call)
	if !ok {
		c = &call{}
	}
	c.req = &c.own
	return c
}

// done gives a call back of which nothing is left to be done, and which nobody has any more.
func (c *call) done() {
	s := c.srv
	if c.req == &c.own {
		c.own = wire.Request{}
	}
	c.srv, c.ex, c.peer, c.profile, c.entry, c.req, c.known = nil, nil, nil, nil, "", nil, nil
	s.spare.Put(c)
}

// respond answers the request.
func (c *call) respond(resp wire.Response) {
	m := c.encode(resp)
	c.ex.Respond(m)
	c.answered(m, resp.Diagnostic)
}

// refuse answers the request with an error; one that is no refusal becomes 5.00 without detail.
func (c *call) refuse(err error) { c.respond(c.srv.refusal(err)) }

// silence ends the request without an answer.
func (c *call) silence() {
	c.ex.Silence()
	c.answered(&coap.Message{}, "")
}

// answered counts and logs.
func (c *call) answered(m *coap.Message, text string) {
	code := dots.Code(m.Code)
	c.srv.cfg.Meter.Request(c.method, code)
	level, what := slog.LevelDebug, "request answered"
	switch {
	case code == dots.CodeLoop:
		// RFC 8768, Section 4: a loop is logged and alerted.
		level, what = slog.LevelWarn, "request is in a loop"
	case code.Class() >= 4:
		level, what = slog.LevelInfo, "request refused"
	}
	ctx := context.Background()
	if !c.srv.cfg.Logger.Enabled(ctx, level) {
		return // this is the path of every request
	}
	attrs := []slog.Attr{
		slog.Uint64("session", c.peer.sess.ID()), slog.String("client", c.entry),
		slog.String("method", coap.Code(c.method).String()), slog.String("code", code.String()),
	}
	if c.req.MID.Set {
		attrs = append(attrs, slog.Uint64("mid", uint64(c.req.MID.Value)))
	}
	if text != "" {
		attrs = append(attrs, slog.String("text", text))
	}
	c.srv.cfg.Logger.LogAttrs(ctx, level, what, attrs...)
}

// encode writes an answer in the request's dialect.
func (c *call) encode(resp wire.Response) *coap.Message {
	r, err := c.profile.EncodeResponse(*c.req, resp)
	if err != nil {
		c.srv.cfg.Logger.Error("writing an answer failed", "profile", c.profile.Name(), "code", resp.Code.String(), "error", err)
		return plain(dots.CodeInternal, "internal error")
	}
	return carry.ResponseMessage(r)
}

// refusal turns an error into an answer.
func (s *Server) refusal(err error) wire.Response {
	e := dots.AsError(err)
	resp := wire.Response{Code: e.Code, Conflict: e.Conflict, Redirect: e.Redirect, Diagnostic: e.Text}
	age := e.MaxAge
	if e.Code == dots.CodeUnavailable && age <= 0 {
		age = s.cfg.RetryAfter
	}
	if age > 0 {
		// RFC 9132, Section 4.4.1.3: a 5.03 tells in Max-Age when to try again, in whole seconds.
		resp.MaxAge = dots.Some(wholeSeconds(age))
	}
	return resp
}

// wholeSeconds rounds a duration up to seconds.
func wholeSeconds(d time.Duration) uint32 {
	return uint32(min((d+time.Second-1)/time.Second, 1<<32-1))
}

// plain is an answer where no profile is known to write it.
func plain(code dots.Code, text string) *coap.Message {
	return &coap.Message{Code: coap.Code(code), Payload: []byte(text)}
}
