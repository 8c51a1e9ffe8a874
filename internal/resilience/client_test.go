package resilience

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/downstream"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// client is a DOTS client of the world's gateway, with a path of its own.
type client struct {
	w       *world
	number  int
	path    *path
	session *coap.Session
	near    *end
}

// join makes a client that has a session.
func (w *world) join(number int) *client {
	w.t.Helper()
	c := &client{w: w, number: number, path: newPath(w.seed<<16 | uint64(number+1))}
	c.connect()
	return c
}

// connect makes a session, in the place of the one before if there is one: the client forgets that without a goodbye.
func (c *client) connect() {
	w := c.w
	w.t.Helper()
	if c.session != nil {
		c.near.crash()
		_ = c.session.Close()
	}
	w.mu.Lock()
	g := w.gate
	w.mu.Unlock()
	near, far := w.ether.pair(c.path, &net.UDPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 40000 + c.number%20000}, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4646})
	c.near, c.session = near, w.session(near, coap.SessionConfig{Handler: coap.HandlerFunc(answerHeartbeat)})
	theirs := w.session(far, coap.SessionConfig{Handler: g.down, Limits: downstream.SessionLimits(), Peer: identity(clientOf(c.number))})
	if err := g.down.Attach(theirs, downstream.Listener{}); err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	g.ends = append(g.ends, far)
	w.mu.Unlock()
	c.session.Start()
	theirs.Start()
	w.tasks.Go(func() { c.beat(c.session) })
}

// answerHeartbeat answers what the gateway asks of a client.
func answerHeartbeat(ex *coap.Exchange) { ex.Respond(&coap.Message{Code: coap.Changed}) }

// beatEvery is the interval of a client's heartbeats (RFC 9132, Section 4.5.2).
const beatEvery = 30 * time.Second

// beat sends heartbeats until the session ends.
func (c *client) beat(s *coap.Session) {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-c.w.life.Done():
			return
		case <-s.Done():
			return
		case <-ticker.C:
			ctx, cancel := context.WithTimeout(c.w.life, 2*time.Second) // one datagram for each heartbeat
			_, _ = c.ask(ctx, s, wire.Request{Op: wire.PutHeartbeat, PeerHB: true})
			cancel()
		}
	}
}

// errRefused is an answer that is no success.
var errRefused = errors.New("refused")

// ask sends a NON request, again and again until it is answered.
func (c *client) ask(ctx context.Context, s *coap.Session, r wire.Request) (wire.Response, error) {
	p := rfc9132.New()
	out, err := p.EncodeRequest(r)
	if err != nil {
		return wire.Response{}, err
	}
	m, err := s.Do(ctx, carry.RequestMessage(out, carry.NON))
	if err != nil {
		return wire.Response{}, err
	}
	resp, err := p.DecodeResponse(r, carry.Response(m))
	if err == nil && !resp.Code.Success() {
		err = fmt.Errorf("%w: %v %s", errRefused, resp.Code, resp.Diagnostic)
	}
	return resp, err
}

// try asks until it is answered or the time is over.
func (c *client) try(atMost time.Duration, r wire.Request) (wire.Response, error) {
	ctx, cancel := context.WithTimeout(c.w.life, atMost)
	defer cancel()
	return c.ask(ctx, c.session, r)
}

// within asks, and fails when the answer is no success in time.
func (c *client) within(atMost time.Duration, r wire.Request) wire.Response {
	c.w.t.Helper()
	resp, err := c.try(atMost, r)
	if err != nil {
		c.w.t.Fatalf("%s: %v within %v: %v", clientOf(c.number), r.Op, atMost, err)
	}
	return resp
}

// refreshEvery is how often a client says again what it wants.
const refreshEvery = 5 * time.Minute

// insist asks in the background, each time until it is answered, and once more every refreshEvery, until the caller ends it.
func (c *client) insist(all ...wire.Request) (end func()) {
	ctx, cancel := context.WithCancel(c.w.life)
	var asking sync.WaitGroup
	for _, r := range all {
		asking.Go(func() {
			for ctx.Err() == nil {
				_, _ = c.ask(ctx, c.session, r)
				select {
				case <-ctx.Done():
				case <-time.After(refreshEvery):
				}
			}
		})
	}
	return func() { cancel(); asking.Wait() }
}

func (c *client) cuid() string { return "cuid-" + clientOf(c.number) }

// address is the n-th of the client's domain.
func (c *client) address(n int) netip.Prefix {
	a := domainPrefix(c.number).Addr().As4()
	a[2] += byte(n >> 8)
	a[3] = byte(n)
	return netip.PrefixFrom(netip.AddrFrom4(a), 32)
}

// put asks for a mitigation of one address, or what else change makes of it.
func (c *client) put(mid uint32, address int, change ...func(*dots.Request)) wire.Request {
	r := dots.Request{MID: mid, Lifetime: dots.Some[dots.Lifetime](dots.DefaultLifetime), Target: dots.Target{Prefixes: []netip.Prefix{c.address(address)}}}
	for _, f := range change {
		f(&r)
	}
	return wire.Request{Op: wire.PutMitigation, CUID: c.cuid(), MID: dots.Some(mid), Mitigation: r}
}

func (c *client) delete(mid uint32) wire.Request {
	return wire.Request{Op: wire.DeleteMitigation, CUID: c.cuid(), MID: dots.Some(mid)}
}

func (c *client) get(mid uint32) wire.Request {
	return wire.Request{Op: wire.GetMitigations, CUID: c.cuid(), MID: dots.Some(mid)}
}

// forever asks for a mitigation that does not end by itself, armed for one that begins when the client is lost.
func forever(r *dots.Request) { r.Lifetime = dots.Some[dots.Lifetime](dots.Indefinite) }
func armed(r *dots.Request)   { r.OnSignalLoss = true }
