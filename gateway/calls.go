package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// ErrBusy refuses what the loop did not take in, because its mailbox is full or too much waits for the disk: nothing has changed, and it may be
// asked again. It is a *dots.Error, 5.03 with Max-Age; nobody may change it.
var ErrBusy error = &dots.Error{Code: dots.CodeUnavailable, Text: "busy", MaxAge: 5 * time.Second}

func errStopping() error {
	return &dots.Error{Code: dots.CodeUnavailable, Text: "stopping", MaxAge: 5 * time.Second}
}

// Identify maps a proven credential to a configured client entry. It does not block.
func (g *Gateway) Identify(cred dots.Credential) (client string, ok bool) {
	return g.policy.Load().Identify(cred)
}

// Mitigate hands in a mitigation request. done is called exactly once, possibly before Mitigate returns; it must not block.
// Errors are *dots.Error. When the mailbox is full a new request is refused with 5.03 at once; a refresh still finds room.
func (g *Gateway) Mitigate(ask dots.Ask, done func(dots.Answer, error)) {
	refresh := g.known.has(dots.MitigationKey{Client: ask.Client, MID: ask.Request.MID})
	c := &call{ask: Mitigate{Ask: ask}, who: waiting{mitigate: done}, putNew: !refresh}
	if !refresh && g.cfg.Overloaded() {
		done(dots.Answer{}, ErrBusy) // counted by whoever said so
		return
	}
	if !g.box.offer(c, !refresh) {
		g.cfg.Meter.Refused("mitigate")
		done(dots.Answer{}, ErrBusy)
	}
}

// Withdraw ends a mitigation; an unknown one is no error (RFC 9132, Section 4.4.4). done as for Mitigate.
func (g *Gateway) Withdraw(key dots.MitigationKey, done func(error)) {
	c := &call{
		event: func(t Ticket) Event { return Withdraw{Ticket: t, Key: key} },
		who:   waiting{withdraw: done},
	}
	if !g.box.offer(c, false) {
		g.cfg.Meter.Refused("withdraw")
		done(ErrBusy)
	}
}

// Reports tells the state of one (mid set) or of all mitigations of a client; 4.04 when there is none. done as for Mitigate.
func (g *Gateway) Reports(cl dots.Client, mid dots.Maybe[uint32], done func([]dots.Report, error)) {
	c := &call{
		event: func(t Ticket) Event { return Inspect{Ticket: t, Client: cl, MID: mid} },
		who:   waiting{inspect: done},
	}
	if !g.box.offer(c, true) {
		g.cfg.Meter.Refused("inspect")
		done(nil, ErrBusy)
	}
}

// Fill is how full the mailbox is, as far as new requests and GETs may fill it: from 1 on they are refused. It does not block.
func (g *Gateway) Fill() float64 { return g.box.fill() }

// ClientGone says that a client entry has no session any more, and that it is lost unless it has one again within in; 0: by missed heartbeats
// (RFC 9132, Section 4.7). It may wait for room.
func (g *Gateway) ClientGone(client string, in time.Duration) {
	g.box.deliver(ClientGone{Client: client, In: in})
}

// ClientBack says that a client entry has a session, or may be silent for another time, span, before it is lost. It may wait for room.
func (g *Gateway) ClientBack(client string, span time.Duration) {
	g.box.deliver(ClientBack{Client: client, Span: span})
}

// Answered takes an uplink's answer in. It may wait for room, and returns once the gateway stopped.
func (g *Gateway) Answered(a dots.LegAnswer) { g.box.deliver(Answered{a}) }

// Reported takes in what an uplink says of legs under a cuid of ours. It may wait for room.
func (g *Gateway) Reported(uplink, cuid string, complete bool, reports []dots.Report) {
	g.box.deliver(Reported{Uplink: uplink, CUID: cuid, Complete: complete, Reports: reports})
}

// LinkUp says that an uplink has a session. It may wait for room.
func (g *Gateway) LinkUp(uplink string) { g.box.deliver(LinkUp{uplink}) }

// LinkDown says that an uplink has no session. It may wait for room.
func (g *Gateway) LinkDown(uplink, reason string) { g.box.deliver(LinkDown{uplink, reason}) }

// Drain empties an uplink, or uses it again, durably. An uplink that is not configured is an error. When ctx ends first it may be done
// all the same.
func (g *Gateway) Drain(ctx context.Context, uplink string, on bool) error {
	return g.order(ctx, func(t Ticket) Event { return Drain{Ticket: t, Uplink: uplink, On: on} })
}

// Reload changes the rules between two steps: who is identified, what is allowed and where it goes follow at once. Mitigations that are not
// allowed any more end with status 7. Policy is required. A store that fails is an error, and the rules are changed all the same: what
// ended by them is recorded as soon as the store takes it. When ctx ends first they may change, too.
func (g *Gateway) Reload(ctx context.Context, r Rules) error {
	if r.Policy == nil {
		return errors.New("gateway: Reload without a policy")
	}
	return g.order(ctx, func(t Ticket) Event { return Reload{Ticket: t, Rules: r} })
}

// Recurse lets a mitigation go on to an uplink, or back, durably. Who names none, or several, gets an error that lists what there is.
// When ctx ends first it may be done all the same.
func (g *Gateway) Recurse(ctx context.Context, o RecurseOrder) error {
	return g.order(ctx, func(t Ticket) Event { return Recurse{Ticket: t, Order: o} })
}

// order hands in an operator's command and waits until it is done and durable.
func (g *Gateway) order(ctx context.Context, event func(Ticket) Event) error {
	done := make(chan error, 1)
	if !g.box.offer(&call{event: event, who: waiting{order: func(err error) { done <- err }}}, false) {
		return ErrBusy
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Look runs f in the gateway's goroutine, between two steps, and waits for it: for the operator's commands and for metrics.
// f must be quick and keep nothing of the core.
func (g *Gateway) Look(ctx context.Context, f func(*Core)) error {
	done := make(chan struct{})
	if !g.box.offer(query(func(c *Core) { f(c); close(done) }), true) {
		return ErrBusy
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
