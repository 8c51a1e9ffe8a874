package resilience

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/downstream"
	core "github.com/dotsgate/dotsgate/gateway"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/lab"
	"github.com/dotsgate/dotsgate/policy"
	"github.com/dotsgate/dotsgate/store"
	"github.com/dotsgate/dotsgate/upstream"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// The uplink's name, what a good path takes in each direction, and how many clients are configured.
const (
	uplinkName = "up"
	oneWay     = 20 * time.Millisecond
	maxClients = 1000
)

// world is clients, the whole gateway and the lab's server, joined by paths that can be made bad. All of it lives in one synctest
// bubble: its hours take seconds. There is no DTLS in it, and no disk: a session's link carries plain CoAP.
type world struct {
	t      *testing.T
	ether  *ether
	timers *coap.Timers
	start  time.Time
	log    *slog.Logger
	life   context.Context // of what is not the gateway's
	tasks  sync.WaitGroup
	seed   uint64
	uplink *path
	policy *policy.Policy

	refuses atomic.Bool // whoever dials the server is told at once that there is none

	mu       sync.Mutex
	skew     time.Duration // of the gateway's wall clock
	disk     *store.Memory
	gate     *gate   // nil: it is down
	server   *server // nil: it is down
	dialling func()  // called for each attempt
	ends     []*end  // of the uplink's sessions: ours and theirs in turn
	entries  []lab.Entry
}

// gate is the gateway's process.
type gate struct {
	core  *core.Gateway
	down  *downstream.Server
	up    *upstream.Manager
	parts []*part // in the order of their start
	ends  []*end  // of its sessions with clients
}

// part is what runs of a process.
type part struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// server is the upstream server's process.
type server struct {
	*lab.Server
	part *part
}

// inWorld plays in a world whose gateway and server run, over paths of 40 ms. seed decides what is lost.
func inWorld(t *testing.T, seed uint64, play func(*world)) {
	t.Helper()
	inWorldOf(t, seed, aloneConfig(), play)
}

// inWorldOf is inWorld with other clients.
func inWorldOf(t *testing.T, seed uint64, clients policy.Config, play func(*world)) {
	t.Helper()
	p, err := policy.New(clients)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		life, end := context.WithCancel(context.Background())
		w := &world{
			t: t, ether: newEther(), timers: coap.NewTimers(), start: time.Now(), log: slog.New(slog.DiscardHandler), life: life,
			seed: seed, uplink: newPath(seed << 16), disk: store.NewMemory(), policy: p,
		}
		w.tasks.Go(func() { w.ether.run(life) })
		w.tasks.Go(func() { _ = w.timers.Run(life) }) // returns nil by contract
		w.startServer()
		w.startGateway()
		play(w)
		w.stopGateway()
		w.stopServer()
		w.wait(time.Second) // what was on its way arrives
		end()
		w.tasks.Wait()
	})
}

// aloneConfig knows maxClients clients, each of a domain of its own, and one uplink where each has a cuid of its own.
func aloneConfig() policy.Config {
	cfg := policy.Config{
		Uplinks:  []policy.Uplink{{Name: uplinkName, CUIDMode: policy.CUIDPerClient}},
		Defaults: policy.Defaults{AllowIndefinite: true},
	}
	for i := range maxClients {
		cfg.Domains = append(cfg.Domains, policy.Domain{
			Name: domainName(i), Prefixes: []netip.Prefix{domainPrefix(i)},
			Clients: []policy.ClientEntry{{Name: clientOf(i), CertNames: []string{clientOf(i)}}},
		})
	}
	return cfg
}

func domainName(i int) string { return fmt.Sprintf("domain%d", i) }
func clientOf(i int) string   { return fmt.Sprintf("client%d", i) }

// domainPrefix is what a domain owns: 4096 addresses.
func domainPrefix(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10 + byte(i>>12), byte(i >> 4), byte(i << 4), 0}), 20)
}

// wait lets a span of virtual time pass, and all that is due in it happen.
func (w *world) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// until waits until something holds, as long as it may take, and tells how long it took.
func (w *world) until(atMost time.Duration, holds func() bool) (time.Duration, bool) {
	const step = 100 * time.Millisecond
	begin := time.Now()
	for {
		synctest.Wait()
		switch {
		case holds():
			return time.Since(begin), true
		case time.Since(begin) >= atMost:
			return time.Since(begin), false
		}
		time.Sleep(step)
	}
}

// clock is that of the gateway's core, which alone has to do with wall clocks: they are what its records tell.
func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return jumped(w.start, time.Now(), w.skew)
}

// boot is the machine's run, whose own count nobody can set.
func (w *world) boot() (id string, up time.Duration) { return "the only one", time.Since(w.start) }

// launch starts a part of a process.
func launch(run func(context.Context) error) *part {
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = run(ctx) // what a part says at its end is for the log
	}()
	return p
}

func (p *part) end() {
	p.cancel()
	<-p.done
}

// startServer starts an upstream server that knows nothing.
func (w *world) startServer() {
	w.t.Helper()
	s, err := lab.NewServerWithoutSockets(lab.ServerConfig{Record: w.record, Scenario: lab.Scenario{Steps: []lab.Step{
		{Status: dots.StatusInProgress}, {After: 2 * time.Second, Status: dots.StatusMitigated, Rate: lab.Rate{Bytes: 1e8, Packets: 1e5}},
	}}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.server = &server{s, launch(s.Run)}
}

// record notes what the server was asked, heartbeats left out.
func (w *world) record(e lab.Entry) {
	if e.Op == "heartbeat" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entries = append(w.entries, e)
}

// takeEntries returns what the server was asked since the last call.
func (w *world) takeEntries() []lab.Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.entries
	w.entries = nil
	return taken
}

// stopServer ends the server's process; its sessions end without a goodbye.
func (w *world) stopServer() {
	w.dropSessions()
	w.mu.Lock()
	s := w.server
	w.server = nil
	w.mu.Unlock()
	if s != nil {
		s.part.end()
	}
}

// dropSessions makes the server forget its sessions, and nothing else.
func (w *world) dropSessions() {
	w.mu.Lock()
	ends := w.ends
	w.ends = nil
	w.mu.Unlock()
	for _, e := range ends {
		e.peer.crash()
		_ = e.peer.input.Close()
	}
}

// startGateway starts a gateway on what the disk holds.
func (w *world) startGateway() {
	w.t.Helper()
	g := &gate{}
	var err error
	g.core, err = core.New(w.life, core.Config{
		Core: core.CoreConfig{
			Policy: w.policy, NodeID: "gate", Identities: map[string][sha256.Size]byte{uplinkName: sha256.Sum256([]byte("gate"))},
			NewCUID: func() string { return "another" }, Fits: fitsDatagram,
		},
		Store: w.disk, Now: w.clock, Wall: w.clock, Boot: w.boot, Logger: w.log,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	g.up, err = upstream.New(upstream.Config{
		Events: g.core, Logger: w.log,
		Links: []upstream.LinkConfig{{Name: uplinkName, Profile: rfc9132.New(), Dial: func(ctx context.Context) (*coap.Session, error) { return w.dialUplink(ctx, g) }}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	g.down, err = downstream.New(downstream.Config{
		Core: g.core, Profiles: []wire.Profile{rfc9132.New()}, NodeID: "gate", Logger: w.log,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	g.core.Connect(g.up, g.down)
	for _, run := range []func(context.Context) error{g.up.Run, g.core.Run, g.down.Run} {
		g.parts = append(g.parts, launch(run))
	}
	w.mu.Lock()
	w.gate = g
	w.mu.Unlock()
	synctest.Wait()
}

// stopGateway stops the gateway as an operator does: clients and uplinks are told goodbye.
func (w *world) stopGateway() {
	w.mu.Lock()
	g := w.gate
	w.gate = nil
	w.mu.Unlock()
	if g == nil {
		return
	}
	for _, e := range g.ends {
		_ = e.input.Close()
	}
	for i := len(g.parts) - 1; i >= 0; i-- {
		g.parts[i].end()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.disk = w.disk.Reopen()
}

// crashGateway ends the gateway as kill -9 does: nobody is told, and what is durable stays.
func (w *world) crashGateway() {
	w.mu.Lock()
	g := w.gate
	w.disk = w.disk.Reopen() // what goes on is written to the one before
	ours := w.ends
	w.mu.Unlock()
	for _, e := range append(ours[:len(ours):len(ours)], g.ends...) {
		e.crash()
	}
	disk := w.disk
	w.stopGateway()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.disk = disk
}

// fitsDatagram is what internal/app tells the core of an uplink over DTLS.
func fitsDatagram(_ string, l dots.Leg) bool {
	r := wire.Request{Op: wire.PutMitigation, CUID: l.Key.CUID, CDID: l.CDID, MID: dots.Some(l.Key.MID), Mitigation: l.Request, HopLimit: dots.Some(uint32(l.HopLimit))}
	r.Mitigation.MID = l.Key.MID
	out, err := rfc9132.New().EncodeRequest(r)
	return err != nil || carry.OneDatagram(out, 0)
}

// errNoHandshake is what dialling ends with.
var errNoHandshake = errors.New("no handshake")

// dialUplink makes a session once a handshake is through.
func (w *world) dialUplink(ctx context.Context, g *gate) (*coap.Session, error) {
	w.mu.Lock()
	note := w.dialling
	w.mu.Unlock()
	if note != nil {
		note()
	}
	if w.refuses.Load() {
		return nil, errRefused
	}
	if err := w.shakeHands(ctx); err != nil {
		return nil, err
	}
	s := w.up()
	if s == nil {
		return nil, errNoHandshake
	}
	near, far := w.ether.pair(w.uplink, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40000}, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 4646})
	ours := w.session(near, coap.SessionConfig{Handler: g.up.Handler(), Limits: upstream.SessionLimits()})
	theirs := w.session(far, coap.SessionConfig{Handler: s, Limits: s.SessionLimits(), Peer: identity("gate")})
	if err := s.Attach(theirs); err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.ends = append(w.ends, near)
	w.mu.Unlock()
	ours.Start()
	theirs.Start()
	return ours, nil
}

// shakeHands takes as long as coap.Dialer does over DTLS: several handshakes beside each other, each of which sends its flights again after 1 s,
// 2 s, 4 s and so on, until it is done or makes room for another.
func (w *world) shakeHands(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, coap.DefaultDTLSHandshakeTimeout)
	defer cancel()
	start := time.Now()
	begins := append([]time.Duration{0}, coap.DefaultBeside()...)
	done := make(chan struct{}, len(begins))
	for i, after := range begins {
		until := coap.DefaultDTLSHandshakeTimeout
		if room := i + coap.MaxBeside + 1; room < len(begins) {
			until = begins[room]
		}
		w.tasks.Go(func() {
			if w.shakeHand(ctx, start.Add(after), start.Add(until)) {
				done <- struct{}{}
			}
		})
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errNoHandshake, ctx.Err())
	}
}

// shakeHand plays one handshake, of three flights and their answers.
func (w *world) shakeHand(ctx context.Context, at, until time.Time) bool {
	again := time.Second
	for flight := 0; flight < 3; {
		if !at.Before(until) {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Until(at)):
		}
		if w.uplink.roundTrip() && w.up() != nil {
			flight, again = flight+1, time.Second
			at = at.Add(2 * oneWay)
		} else {
			at, again = at.Add(again), 2*again
		}
	}
	return true
}

// onDial lets f be called for each attempt to make a session.
func (w *world) onDial(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dialling = f
}

// up is the server, nil while it is down.
func (w *world) up() *server {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.server
}

func identity(name string) coap.Identity {
	return coap.Identity{SPKI: []byte("key of " + name), Names: []string{name}}
}

// session makes a session at an end.
func (w *world) session(e *end, cfg coap.SessionConfig) *coap.Session {
	cfg.Link, cfg.Timers = e, w.timers
	s, err := coap.NewSession(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	e.input = s
	return s
}
