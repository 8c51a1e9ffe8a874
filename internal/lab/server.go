package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/draft04"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// Listener is one address of the simulated server.
type Listener struct {
	// Network is coap.NetworkUDP (DTLS) or coap.NetworkTCP (TLS). Required.
	Network string
	// Address is host:port; port 0 means any free one. Required.
	Address string
}

// ServerConfig says what the simulated server is.
type ServerConfig struct {
	// Listeners, at least one, unless sessions are given to Attach.
	Listeners []Listener
	// Credentials prove the server and check its clients. Required where there are Listeners.
	Credentials *coap.Credentials
	// Profile is the one dialect that is spoken, "rfc9132" or "draft04". Empty means both.
	Profile string
	// Scenario is what the mitigator does. Zero means DefaultScenario.
	Scenario Scenario
	// Record gets an Entry for every request, in the order of their answers; it must not block for long. nil means nobody.
	Record func(Entry)
	// Terminating is how long a withdrawn mitigation is active but terminating; zero means 5 s.
	Terminating time.Duration
	// Remembered is how long an ended mitigation is shown as terminated; zero means 5 s.
	Remembered time.Duration
	// Heartbeat is the interval of the server's heartbeats; zero means 30 s, less than zero none.
	Heartbeat time.Duration
	// MissingAllowed is how many intervals of silence end a session; zero means 15.
	MissingAllowed int
	// NotifyInterval is the least time between two notifications to an observer; zero means 3 s, less than zero none.
	NotifyInterval time.Duration
	// MaxSessions of each listener; zero means 1024. More are not accepted.
	MaxSessions int
	// MaxMitigations bounds the state; zero means 65536. More are refused with 5.03.
	MaxMitigations int
}

func (c ServerConfig) withDefaults() ServerConfig {
	c.Terminating = cmp.Or(c.Terminating, 5*time.Second)
	c.Remembered = cmp.Or(c.Remembered, 5*time.Second)
	c.Heartbeat = cmp.Or(c.Heartbeat, 30*time.Second)
	c.NotifyInterval = cmp.Or(c.NotifyInterval, 3*time.Second)
	c.MissingAllowed = cmp.Or(c.MissingAllowed, 15)
	c.MaxSessions = cmp.Or(c.MaxSessions, 1024)
	c.MaxMitigations = cmp.Or(c.MaxMitigations, 65536)
	if c.Record == nil {
		c.Record = func(Entry) {}
	}
	return c
}

// Server is a simulated DOTS server with a simulated mitigator. Safe for concurrent use.
type Server struct {
	cfg      ServerConfig
	profiles []wire.Profile
	servers  []*coap.Server
	started  time.Time
	wake     chan struct{} // capacity 1: the state changed
	sessions sync.WaitGroup

	mu       sync.Mutex
	book     *book
	version  uint64 // grows with every change of the book
	asked    int    // requests, heartbeats not counted
	dirty    map[owner]bool
	peers    map[*coap.Session]*peer
	watchers map[*watcher]bool
}

// NewServer binds the addresses. Nothing is accepted before Run; a server that is never run keeps its sockets.
func NewServer(cfg ServerConfig) (*Server, error) {
	if len(cfg.Listeners) == 0 || cfg.Credentials == nil {
		return nil, errors.New("making the simulated server: listeners and credentials are required")
	}
	return newServer(cfg)
}

// NewServerWithoutSockets makes a server that has no address: its sessions are those that it is given by Attach. Addr and Addrs are not
// for it.
func NewServerWithoutSockets(cfg ServerConfig) (*Server, error) {
	cfg.Listeners = nil
	return newServer(cfg)
}

func newServer(cfg ServerConfig) (*Server, error) {
	if err := cfg.Scenario.check(); err != nil {
		return nil, fmt.Errorf("making the simulated server: scenario: %w", err)
	}
	profiles, err := profilesOf(cfg.Profile)
	if err != nil {
		return nil, fmt.Errorf("making the simulated server: %w", err)
	}
	cfg = cfg.withDefaults()
	s := &Server{
		cfg: cfg, profiles: profiles, started: time.Now(), wake: make(chan struct{}, 1), book: newBook(cfg),
		dirty: make(map[owner]bool), peers: make(map[*coap.Session]*peer), watchers: make(map[*watcher]bool),
	}
	for _, l := range cfg.Listeners {
		server, err := coap.Listen(coap.ServerConfig{
			Network: l.Network, Address: l.Address, Credentials: cfg.Credentials, OnSession: s.Attach, MaxSessions: cfg.MaxSessions,
			Session: coap.SessionConfig{Handler: s, Limits: s.SessionLimits()},
		})
		if err != nil {
			s.abandon()
			return nil, fmt.Errorf("making the simulated server: %w", err)
		}
		s.servers = append(s.servers, server)
	}
	return s, nil
}

func profilesOf(name string) ([]wire.Profile, error) {
	all := []wire.Profile{rfc9132.New(), draft04.New()}
	if name == "" {
		return all, nil
	}
	chosen := slices.DeleteFunc(all, func(p wire.Profile) bool { return p.Name() != name })
	if len(chosen) == 0 {
		return nil, fmt.Errorf("unknown profile %q: rfc9132 or draft04", name)
	}
	return chosen, nil
}

// SessionLimits returns the limits of sessions that are given to Attach.
func (s *Server) SessionLimits() coap.Limits {
	return coap.Limits{NotifyInterval: s.cfg.NotifyInterval}
}

// abandon gives the sockets up that are bound already.
func (s *Server) abandon() {
	ended, end := context.WithCancel(context.Background())
	end()
	for _, server := range s.servers {
		_ = server.Run(ended) // it closes at once
	}
}

// Addr returns the address of the first listener.
func (s *Server) Addr() net.Addr { return s.servers[0].Addr() }

// Addrs returns the addresses of all listeners in their order.
func (s *Server) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(s.servers))
	for i, server := range s.servers {
		addrs[i] = server.Addr()
	}
	return addrs
}

// Mitigations returns how many mitigations the server holds, ended ones that are still shown included.
func (s *Server) Mitigations() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.count
}

// Held is a mitigation that the server holds.
type Held struct {
	CUID   string // of the client that asked for it; empty in a dialect without
	MID    uint32
	Target dots.Target // read-only
	Status dots.Status
	Since  time.Time // when it was put in force; zero: it is armed
}

// Held returns what the server holds, in no order; what has ended is left out.
func (s *Server) Held() []Held {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := make([]Held, 0, s.book.count)
	for by, all := range s.book.of {
		for mid, m := range all {
			if m.counts() {
				held = append(held, Held{CUID: by.cuid, MID: mid, Target: m.ask.Target, Status: m.status, Since: m.since})
			}
		}
	}
	return held
}

// Sessions returns how many sessions there are.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.peers)
}

// Run serves until ctx ends, then closes the sessions and waits for all it has started. Called once.
func (s *Server) Run(ctx context.Context) error {
	var group sync.WaitGroup
	errs := make([]error, len(s.servers))
	for i, server := range s.servers {
		group.Go(func() { errs[i] = server.Run(ctx) })
	}
	group.Go(func() { s.progress(ctx) })
	group.Wait()
	s.sessions.Wait()
	return errors.Join(errs...)
}

// progress lets the mitigations go on and tells their observers. It is the only one who notifies, so that notifications
// keep their order.
func (s *Server) progress(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	counters := time.NewTicker(max(s.cfg.NotifyInterval, time.Second))
	defer counters.Stop()
	for {
		grown := false
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		case <-counters.C:
			grown = true
		}
		notices, next := s.step(time.Now(), grown)
		for _, n := range notices {
			n.send()
		}
		wait := time.Hour
		if !next.IsZero() {
			wait = max(time.Until(next), 0)
		}
		timer.Reset(wait)
	}
}

// step does what is due, and returns what observers are to be told and when to come again.
func (s *Server) step(now time.Time, grown bool) (notices []notice, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed, next := s.book.tick(now)
	if grown {
		changed = append(changed, s.book.dropping()...)
	}
	s.changed(changed...)
	for w := range s.watchers {
		if s.dirty[w.by] {
			notices = append(notices, s.notice(now, w))
		}
	}
	clear(s.dirty)
	return notices, next
}

// changed marks clients whose mitigations changed. The lock is held.
func (s *Server) changed(owners ...owner) {
	for _, by := range owners {
		s.dirty[by] = true
		s.version++
	}
}

// rouse makes progress look again.
func (s *Server) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
