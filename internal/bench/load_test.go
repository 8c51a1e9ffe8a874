package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
)

// client makes load: sessions, each with requests in flight.
type client struct {
	server
	sessions []*coap.Session
	t        *testing.T
}

// server is what load is made for.
type server struct {
	*process
	network, address string
	keys             pki
	atOnce           int // handshakes at a time while sessions are made
}

// dialAttempts is how often a session is tried.
const dialAttempts = 4

// dialMany makes n sessions to a server. They live until the test ends.
func dialMany(t *testing.T, to server, n int) *client {
	t.Helper()
	d, err := coap.NewDialer(coap.DialConfig{
		Network: to.network, Address: to.address, ServerName: "localhost", Credentials: to.keys.credentials(t, "client"),
		// The gateway's heartbeats are answered, else it would take the sessions as lost.
		Session: coap.SessionConfig{Handler: coap.HandlerFunc(func(ex *coap.Exchange) { ex.Respond(&coap.Message{Code: coap.Changed}) })},
	})
	if err != nil {
		t.Fatal(err)
	}
	background(t, d.Run)
	c := &client{server: to, sessions: make([]*coap.Session, n), t: t}
	errs := make([]error, n)
	var all sync.WaitGroup
	slots := make(chan struct{}, max(to.atOnce, 1))
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			// libcoap refuses to resume a TLS session; when the tickets are used up the handshake is a full one.
			for range dialAttempts {
				if c.sessions[i], errs[i] = d.Dial(t.Context()); errs[i] == nil {
					return
				}
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return c
}

// asker makes the request of a session's slot.
type asker func(session, slot int) *coap.Message

// asking is one slot of a session: what it has got so far.
type asking struct {
	mu   sync.Mutex
	done int
	took []time.Duration
	err  error
}

// drive keeps requests in flight on every session, and measures again and again.
func (c *client) drive(ask asker, want coap.Code) []result {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	slots := make([]asking, len(c.sessions)*inFlight)
	for i, s := range c.sessions {
		for j := range inFlight {
			a, req := &slots[i*inFlight+j], ask(i, j)
			all.Go(func() { a.repeat(ctx, s, req, want) })
		}
	}
	return windows(c.t, c.process, func() (int, []time.Duration) { return c.look(slots) })
}

// look takes what all have got.
func (s server) look(all []asking) (done int, took []time.Duration) {
	s.t.Helper()
	var errs []error
	for i := range all {
		n, more, err := all[i].look()
		done, took, errs = done+n, append(took, more...), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		s.t.Fatalf("%.500s; the server said: %s", err, s.said())
	}
	return done, took
}

// repeat asks again and again.
func (a *asking) repeat(ctx context.Context, s *coap.Session, req *coap.Message, want coap.Code) {
	for {
		begin := time.Now()
		err := askOnce(ctx, s, req, want)
		if ctx.Err() != nil {
			return
		}
		a.got(time.Since(begin), err)
		if err != nil {
			return
		}
	}
}

// got notes an answer.
func (a *asking) got(took time.Duration, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done, a.took, a.err = a.done+1, append(a.took, took), err
}

// look takes what there is.
func (a *asking) look() (done int, took []time.Duration, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	took = append(took, a.took...)
	a.took = a.took[:0]
	return a.done, took, a.err
}

func askOnce(ctx context.Context, s *coap.Session, req *coap.Message, want coap.Code) error {
	m, err := s.Do(ctx, req)
	if err == nil && m.Code != want {
		err = fmt.Errorf("answered %s, wanted %s: %q", m.Code, want, m.Payload)
	}
	return err
}

// each makes one request for so many slots of every session.
func (c *client) each(slots int, ask asker, want coap.Code) {
	c.t.Helper()
	errs := make([]error, len(c.sessions)*slots)
	var all sync.WaitGroup
	for i, s := range c.sessions {
		all.Go(func() {
			for j := range slots {
				errs[i*slots+j] = askOnce(c.t.Context(), s, ask(i, j), want)
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		c.t.Fatalf("preparing: %.500s", err)
	}
}
