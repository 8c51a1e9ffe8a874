package app

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// testClient is a DOTS client with one session to the gateway.
type testClient struct {
	name    string
	cuid    string
	profile wire.Profile
	session *coap.Session
	close   func()
	heard   bytes.Buffer // bodies and texts of all answers
}

// connect makes a session to the gateway with a lab certificate.
func connect(t testing.TB, pki, name string, to net.Addr) *testClient {
	t.Helper()
	c, err := dial(t.Context(), labCredentials(t, pki, name), to)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	c.name, c.cuid = name, "cuid-of-"+name
	t.Cleanup(c.close)
	return c
}

func dial(ctx context.Context, cred *coap.Credentials, to net.Addr) (*testClient, error) {
	d, err := coap.NewDialer(coap.DialConfig{
		Network: networkOf(to), Address: to.String(), ServerName: "gateway.lab.example", Credentials: cred,
		// The gateway's heartbeats are answered, whatever else it may ask.
		Session: coap.SessionConfig{Handler: coap.HandlerFunc(func(ex *coap.Exchange) { ex.Respond(&coap.Message{Code: coap.Changed}) })},
	})
	if err != nil {
		return nil, err
	}
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var ended sync.WaitGroup
	ended.Go(func() { _ = d.Run(inner) }) // returns nil by contract
	end := sync.OnceFunc(func() { cancel(); ended.Wait() })
	s, err := d.Dial(ctx)
	if err != nil {
		end()
		return nil, err
	}
	return &testClient{profile: rfc9132.New(), session: s, close: end}, nil
}

// do sends a request and reads the answer.
func (c *testClient) do(ctx context.Context, req wire.Request) (wire.Response, error) {
	m, err := c.message(req)
	if err != nil {
		return wire.Response{}, err
	}
	answer, err := c.session.Do(ctx, m)
	if err != nil {
		return wire.Response{}, err
	}
	c.heard.Write(answer.Payload)
	return c.read(req, answer)
}

func (c *testClient) message(req wire.Request) (*coap.Message, error) {
	req.CUID = c.cuid
	r, err := c.profile.EncodeRequest(req)
	if err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	m := &coap.Message{Code: coap.Code(r.Method), Payload: r.Payload, NonConfirmable: true}
	m.Options.SetPath(r.Path...)
	if r.Format.Set {
		m.Options.AddUint(coap.ContentFormat, uint32(r.Format.Value))
	}
	for _, q := range r.Query {
		m.Options.AddString(coap.UriQuery, q)
	}
	if r.IfMatch {
		m.Options.Add(coap.IfMatch, nil)
	}
	return m, nil
}

func (c *testClient) read(req wire.Request, m *coap.Message) (wire.Response, error) {
	r := wire.CoAPResponse{Code: dots.Code(m.Code), Payload: m.Payload}
	if f, ok := m.Options.Uint(coap.ContentFormat); ok {
		r.Format = dots.Some(uint16(f))
	}
	if a, ok := m.Options.Uint(coap.MaxAge); ok {
		r.MaxAge = dots.Some(a)
	}
	return c.profile.DecodeResponse(req, r)
}

// must is do for a request that is answered with code.
func (c *testClient) must(t testing.TB, code dots.Code, req wire.Request) wire.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, err := c.do(ctx, req)
	if err != nil {
		t.Fatalf("%s: %v of mid %d: %v", c.name, req.Op, req.MID.Value, err)
	}
	if resp.Code != code {
		t.Fatalf("%s: op %v of mid %d answered %v %q, want %v", c.name, req.Op, req.MID.Value, resp.Code, resp.Diagnostic, code)
	}
	return resp
}

// statusOf gets the status of one mitigation; 0: 4.04.
func (c *testClient) statusOf(ctx context.Context, mid uint32) (dots.Status, error) {
	resp, err := c.do(ctx, get(mid))
	switch {
	case err != nil:
		return 0, err
	case resp.Code == dots.CodeNotFound:
		return 0, nil
	case resp.Code != dots.CodeContent || len(resp.Reports) != 1:
		return 0, fmt.Errorf("GET of %d: %v with %d reports", mid, resp.Code, len(resp.Reports))
	}
	return resp.Reports[0].Status, nil
}

// watch observes one mitigation; the statuses come over the channel, 0 for 4.04.
func (c *testClient) watch(t testing.TB, mid uint32) <-chan dots.Status {
	t.Helper()
	req := get(mid)
	m, err := c.message(req)
	if err != nil {
		t.Fatal(err)
	}
	statuses := make(chan dots.Status, 100)
	o, err := c.session.Observe(t.Context(), m, func(m *coap.Message) {
		resp, err := c.read(req, m)
		switch {
		case err != nil:
			t.Errorf("%s: unreadable notification: %v", c.name, err)
		case len(resp.Reports) == 1:
			statuses <- resp.Reports[0].Status
		default:
			statuses <- 0
		}
	})
	if err != nil || !o.Active() {
		t.Fatalf("%s: observing mid %d: %v", c.name, mid, err)
	}
	return statuses
}

// awaitStatus reads statuses until want comes, and returns those before it.
func awaitStatus(t testing.TB, from <-chan dots.Status, want dots.Status) (before []dots.Status) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		select {
		case s := <-from:
			if s == want {
				return before
			}
			before = append(before, s)
		case <-ctx.Done():
			t.Fatalf("status %d did not come, but %v", want, before)
		}
	}
}

// put asks for the protection of a prefix.
func put(mid uint32, lifetime dots.Lifetime, prefixes ...string) wire.Request {
	r := dots.Request{MID: mid, Lifetime: dots.Some(lifetime)}
	for _, p := range prefixes {
		r.Target.Prefixes = append(r.Target.Prefixes, netip.MustParsePrefix(p))
	}
	return wire.Request{Op: wire.PutMitigation, MID: dots.Some(mid), Mitigation: r}
}

func get(mid uint32) wire.Request {
	return wire.Request{Op: wire.GetMitigations, MID: dots.Some(mid)}
}

func remove(mid uint32) wire.Request {
	return wire.Request{Op: wire.DeleteMitigation, MID: dots.Some(mid)}
}
