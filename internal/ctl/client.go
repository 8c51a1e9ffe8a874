package ctl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// ClientConfig is what a Client is made of.
type ClientConfig struct {
	// Session to the server. Required; its owner closes it.
	Session *coap.Session
	// Profile is the dialect. Required.
	Profile wire.Profile
	// CUID is the client's identifier in a dialect that has one; required there.
	CUID string
}

// Client makes DOTS requests on one session. Safe for concurrent use.
//
// Each request returns the answer whatever its code; an error says that there is none: ErrUsage when it could not be
// made, ErrNoSession when the session ended or the context did, and AnswerError for an answer that makes no sense.
type Client struct {
	cfg ClientConfig
}

// NewClient makes a client of a session.
func NewClient(cfg ClientConfig) *Client { return &Client{cfg: cfg} }

// Session returns the session that the client speaks on.
func (c *Client) Session() *coap.Session { return c.cfg.Session }

// CUID returns the client's identifier.
func (c *Client) CUID() string { return c.cfg.CUID }

// Mitigate asks for a mitigation, or refreshes it: a PUT that is repeated until it is answered.
//
// RFC 9132, Section 4.4.1: requesting mitigation.
func (c *Client) Mitigate(ctx context.Context, m dots.Request) (wire.Response, error) {
	return c.ask(ctx, wire.Request{Op: wire.PutMitigation, CUID: c.cfg.CUID, MID: dots.Some(m.MID), Mitigation: m})
}

// Efficacy tells how well a mitigation works, by m.Attack; all else but the lifetime must be as it was asked for.
// An unknown mid is not answered at all.
//
// RFC 9132, Section 4.4.3: efficacy update.
func (c *Client) Efficacy(ctx context.Context, m dots.Request) (wire.Response, error) {
	return c.ask(ctx, wire.Request{
		Op: wire.PutMitigation, CUID: c.cfg.CUID, MID: dots.Some(m.MID), Mitigation: m, Efficacy: true,
	})
}

// Get asks for one mitigation, or for all where mid is absent.
//
// RFC 9132, Section 4.4.2: retrieving information.
func (c *Client) Get(ctx context.Context, mid dots.Maybe[uint32]) (wire.Response, error) {
	return c.ask(ctx, c.get(mid))
}

func (c *Client) get(mid dots.Maybe[uint32]) wire.Request {
	return wire.Request{Op: wire.GetMitigations, CUID: c.cfg.CUID, MID: mid}
}

// Withdraw ends a mitigation.
//
// RFC 9132, Section 4.4.4: withdrawing.
func (c *Client) Withdraw(ctx context.Context, mid uint32) (wire.Response, error) {
	return c.ask(ctx, wire.Request{Op: wire.DeleteMitigation, CUID: c.cfg.CUID, MID: dots.Some(mid)})
}

// Observe asks for one mitigation, or for all where mid is absent, and to be told of changes. fn gets the first answer and
// every later notification; it is called on the session's input path and must not block. A notification that cannot be
// read is handed on as an error. It goes on where the first answer does not say that we are registered: go-dots leaves the
// Observe option out of it, and notifies all the same.
//
// RFC 9132, Section 4.4.2.1: notifications.
func (c *Client) Observe(ctx context.Context, mid dots.Maybe[uint32], fn func(wire.Response, error)) (*coap.Observation, error) {
	req := c.get(mid)
	req.Observe = dots.Some[uint32](0)
	r, err := c.cfg.Profile.EncodeRequest(req)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w: %w", ErrUsage, err)
	}
	begin := time.Now()
	o, err := c.cfg.Session.ObserveAnyway(ctx, carry.RequestMessage(r, carry.NON), func(m *coap.Message) {
		fn(c.decode(req, m))
	})
	if err != nil {
		return nil, lost(err, begin)
	}
	return o, nil
}

// GetConfig asks for the session's configuration: what is installed under sid, or the ranges where sid is absent.
//
// RFC 9132, Section 4.5.1: discovering the parameters.
func (c *Client) GetConfig(ctx context.Context, sid dots.Maybe[uint64]) (wire.Response, error) {
	return c.ask(ctx, wire.Request{Op: wire.GetConfig, SID: sid})
}

// PutConfig asks for parameters of the session. RFC 9132, Section 4.5.2: conveying them.
func (c *Client) PutConfig(ctx context.Context, sid uint64, s dots.SessionConfig) (wire.Response, error) {
	return c.ask(ctx, wire.Request{Op: wire.PutConfig, SID: dots.Some(sid), Config: s})
}

// DeleteConfig goes back to the default parameters. RFC 9132, Section 4.5.4: deleting them.
func (c *Client) DeleteConfig(ctx context.Context, sid dots.Maybe[uint64]) (wire.Response, error) {
	return c.ask(ctx, wire.Request{Op: wire.DeleteConfig, SID: sid})
}

// Heartbeat sends a heartbeat and waits for its answer; a dialect without heartbeats of its own uses CoAP's ping.
//
// RFC 9132, Section 4.7: heartbeat mechanism.
func (c *Client) Heartbeat(ctx context.Context, peerHB bool) error {
	resp, err := c.ask(ctx, wire.Request{Op: wire.PutHeartbeat, PeerHB: peerHB})
	switch {
	case errors.Is(err, ErrUsage):
		return c.Ping(ctx)
	case err != nil:
		return err
	case resp.Code != dots.CodeChanged:
		return &AnswerError{Code: resp.Code, Text: resp.Diagnostic}
	}
	return nil
}

// Ping sends CoAP's ping and waits for its answer.
func (c *Client) Ping(ctx context.Context) error {
	begin := time.Now()
	if err := c.cfg.Session.Ping(ctx); err != nil {
		return lost(err, begin)
	}
	return nil
}

// ask makes one request.
func (c *Client) ask(ctx context.Context, req wire.Request) (wire.Response, error) {
	r, err := c.cfg.Profile.EncodeRequest(req)
	if err != nil {
		return wire.Response{}, fmt.Errorf("making the request: %w: %w", ErrUsage, err)
	}
	begin := time.Now()
	m, err := c.cfg.Session.Do(ctx, carry.RequestMessage(r, confirm(req.Op)))
	if err != nil {
		return wire.Response{}, lost(err, begin)
	}
	return c.decode(req, m)
}

// confirm tells which requests are CON. RFC 9132, Section 4.5: those of the session configuration.
func confirm(op wire.Op) carry.Confirm {
	return op == wire.GetConfig || op == wire.PutConfig || op == wire.DeleteConfig
}

func (c *Client) decode(req wire.Request, m *coap.Message) (wire.Response, error) {
	resp, err := c.cfg.Profile.DecodeResponse(req, carry.Response(m))
	var unusable *wire.ResponseError
	switch {
	case errors.As(err, &unusable):
		return resp, &AnswerError{Code: unusable.Code, Text: unusable.Text}
	case err != nil:
		return resp, fmt.Errorf("reading the answer: %w", err)
	}
	return resp, nil
}

// lost is an error of the session's, or of a request that was made at begin and found no answer on it.
func lost(err error, begin time.Time) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return &silence{lasted: time.Since(begin), cause: err}
	}
	return fmt.Errorf("%w: %w", ErrNoSession, err)
}

// Failure returns an AnswerError for an answer that is no success, or nil.
func Failure(resp wire.Response) error {
	if resp.Code.Success() {
		return nil
	}
	text := resp.Diagnostic
	switch {
	case resp.Conflict.Set:
		text = conflictText(resp.Conflict.Value)
	case resp.Redirect.Set:
		text = "ask " + resp.Redirect.Value.Server
	}
	if resp.MaxAge.Set && resp.Code == dots.CodeUnavailable {
		text = fmt.Sprintf("%s (again after %d s)", text, resp.MaxAge.Value)
	}
	return &AnswerError{Code: resp.Code, Text: text}
}
