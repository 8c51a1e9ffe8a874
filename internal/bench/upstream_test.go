package bench

import (
	"context"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// upstream is the least of a DOTS server: it grants everything, lists what it granted, and mitigates at once. It runs in
// this process, on the cores of the load.
type upstream struct {
	profile wire.Profile

	mu   sync.Mutex
	legs map[string]map[uint32]dots.Request // by cuid and mid
}

// startUpstream serves on an address until the test ends.
func startUpstream(t *testing.T, keys pki) net.Addr {
	t.Helper()
	u := &upstream{profile: rfc9132.New(), legs: map[string]map[uint32]dots.Request{}}
	srv, err := coap.Listen(coap.ServerConfig{
		Network: coap.NetworkUDP, Address: "127.0.0.1:0", Credentials: keys.credentials(t, "server"),
		Session: coap.SessionConfig{Handler: u},
	})
	if err != nil {
		t.Fatal(err)
	}
	background(t, srv.Run)
	return srv.Addr()
}

// background runs f until the test ends, and waits for it.
func background(t *testing.T, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ending what ran in the background: %v", err)
		}
	})
}

// ServeCoAP answers a request of the gateway.
func (u *upstream) ServeCoAP(ex *coap.Exchange) {
	m := ex.Request()
	req, err := u.profile.DecodeRequest(fromMessage(m))
	if err != nil {
		ex.Respond(&coap.Message{Code: coap.Code(dots.AsError(err).Code), Payload: []byte(dots.AsError(err).Text)})
		return
	}
	out, err := u.profile.EncodeResponse(req, u.answer(req))
	if err != nil {
		ex.Respond(&coap.Message{Code: coap.InternalServerError})
		return
	}
	resp := &coap.Message{Code: coap.Code(out.Code), Payload: out.Payload}
	if out.Format.Set {
		resp.Options.AddUint(coap.ContentFormat, uint32(out.Format.Value))
	}
	ex.Respond(resp)
}

// answer does what a request wants.
func (u *upstream) answer(req wire.Request) wire.Response {
	u.mu.Lock()
	defer u.mu.Unlock()
	legs := u.legs[req.CUID]
	switch req.Op {
	case wire.PutMitigation:
		code := dots.CodeChanged
		if legs == nil {
			legs = map[uint32]dots.Request{}
			u.legs[req.CUID] = legs
		}
		if _, known := legs[req.MID.Value]; !known {
			code = dots.CodeCreated
		}
		legs[req.MID.Value] = req.Mitigation
		lifetime := req.Mitigation.Lifetime.Or(dots.DefaultLifetime)
		return wire.Response{Code: code, Granted: dots.Some(wire.Granted{MID: req.MID.Value, Lifetime: lifetime})}
	case wire.GetMitigations:
		return list(legs, req.MID)
	case wire.DeleteMitigation:
		delete(legs, req.MID.Value)
		return wire.Response{Code: dots.CodeDeleted}
	case wire.PutHeartbeat:
		return wire.Response{Code: dots.CodeChanged}
	default:
		return wire.Response{Code: dots.CodeNotFound, Diagnostic: "no such resource"}
	}
}

// list reports one or all legs.
func list(legs map[uint32]dots.Request, mid dots.Maybe[uint32]) wire.Response {
	r := wire.Response{Code: dots.CodeContent}
	for n, req := range legs {
		if mid.Set && mid.Value != n {
			continue
		}
		r.Reports = append(r.Reports, dots.Report{
			MID: n, Target: req.Target, Lifetime: req.Lifetime.Or(dots.DefaultLifetime),
			Start: dots.Some[uint64](1), Status: dots.StatusMitigated,
		})
	}
	if len(r.Reports) == 0 {
		return wire.Response{Code: dots.CodeNotFound, Diagnostic: "no mitigation"}
	}
	return r
}

// fromMessage is a request as the profile reads it.
func fromMessage(m *coap.Message) wire.CoAPRequest {
	r := wire.CoAPRequest{Method: wire.Method(m.Code), Path: m.Options.Path(), Query: m.Options.Query(), Payload: m.Payload}
	if v, ok := m.Options.Uint(coap.ContentFormat); ok {
		r.Format = dots.Some(uint16(v))
	}
	if v, ok := m.Options.Uint(coap.Accept); ok {
		r.Accept = dots.Some(uint16(v))
	}
	if v, ok := m.Options.Uint(coap.Observe); ok {
		r.Observe = dots.Some(v)
	}
	if v, ok := m.Options.Uint(coap.HopLimit); ok {
		r.HopLimit = dots.Some(v)
	}
	r.IfMatch = m.Options.Has(coap.IfMatch)
	return r
}

// cuidOf is the cuid of the n-th session, 22 characters as real ones have.
func cuidOf(n int) string {
	s := strconv.Itoa(n)
	return "benchbenchbenchbenchbe"[:22-len(s)] + s
}
