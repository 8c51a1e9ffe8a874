package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// ping lets every session say something.
func (c *client) ping() {
	c.t.Helper()
	for _, s := range c.sessions {
		if err := s.Ping(c.t.Context()); err != nil {
			c.t.Fatal(err)
		}
	}
}

// asker makes the request of a session's slot.
type asker func(session, slot int) *coap.Message

// result is what one repetition gave.
type result struct {
	requests int
	took     time.Duration
	p50, p99 time.Duration
	server   time.Duration // processor time of the server under test
	load     time.Duration // of this process: load and upstream
	foreign  time.Duration // of all others
	// instructions of the server in user mode; 0: not counted.
	instructions float64
}

// perSecond and perCore are requests per second of time, and per second of the server's processor time.
func (r result) perSecond() float64 { return float64(r.requests) / r.took.Seconds() }
func (r result) perCore() float64   { return float64(r.requests) / r.server.Seconds() }

// thousands is how many thousand instructions of the server a request took.
func (r result) thousands() float64 { return r.instructions / float64(r.requests) / 1000 }

// drive keeps so many requests in flight on every session for a while.
func (c *client) drive(length time.Duration, ask asker, want coap.Code) result {
	c.t.Helper()
	requests := make([][]*coap.Message, len(c.sessions))
	for i := range requests {
		for j := range inFlight {
			requests[i] = append(requests[i], ask(i, j))
		}
	}
	times := make([][]time.Duration, len(c.sessions)*inFlight)
	errs := make([]error, len(times))
	count := countInstructions(c.t, c.cmd.Process.Pid)
	busy, own, cpu, begin := machineBusy(c.t), ownCPU(c.t), c.cpu(), time.Now()
	var all sync.WaitGroup
	for i, s := range c.sessions {
		for j := range inFlight {
			all.Go(func() {
				n := i*inFlight + j
				times[n], errs[n] = repeat(c.t.Context(), s, requests[i][j], begin.Add(length), want)
			})
		}
	}
	all.Wait()
	r := result{took: time.Since(begin), server: c.cpu() - cpu, load: ownCPU(c.t) - own}
	r.foreign = max(machineBusy(c.t)-busy-r.server-r.load, 0)
	r.instructions = count.stop()
	if err := errors.Join(errs...); err != nil {
		c.t.Fatalf("%.500s; the server said: %s", err, c.said())
	}
	flat := slices.Concat(times...)
	slices.Sort(flat)
	r.requests = len(flat)
	r.p50, r.p99 = flat[len(flat)/2], flat[len(flat)*99/100]
	return r
}

// repeat asks again and again until the end, and returns how long each answer took.
func repeat(ctx context.Context, s *coap.Session, req *coap.Message, end time.Time, want coap.Code) ([]time.Duration, error) {
	var times []time.Duration
	for {
		begin := time.Now()
		if begin.After(end) && len(times) > 0 {
			return times, nil
		}
		m, err := s.Do(ctx, req)
		if err != nil {
			return nil, err
		}
		if m.Code != want {
			return nil, fmt.Errorf("answered %s, wanted %s: %q", m.Code, want, m.Payload)
		}
		times = append(times, time.Since(begin))
	}
}

// each makes one request for so many slots of every session.
func (c *client) each(slots int, ask asker, want coap.Code) {
	c.t.Helper()
	errs := make([]error, len(c.sessions)*slots)
	var all sync.WaitGroup
	for i, s := range c.sessions {
		all.Go(func() {
			for j := range slots {
				_, errs[i*slots+j] = repeat(c.t.Context(), s, ask(i, j), time.Time{}, want)
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		c.t.Fatalf("preparing: %.500s", err)
	}
}
