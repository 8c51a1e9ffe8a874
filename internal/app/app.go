package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dotsgate/dotsgate/downstream"
	"github.com/dotsgate/dotsgate/gateway"
	"github.com/dotsgate/dotsgate/internal/aaa"
	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/front"
	"github.com/dotsgate/dotsgate/internal/metrics"
	"github.com/dotsgate/dotsgate/internal/pressure"
	"github.com/dotsgate/dotsgate/internal/resolve"
	"github.com/dotsgate/dotsgate/policy"
	"github.com/dotsgate/dotsgate/store"
	"github.com/dotsgate/dotsgate/store/sqlite"
	"github.com/dotsgate/dotsgate/upstream"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/draft04"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// App is a gateway that is built and bound, but does nothing before Run.
type App struct {
	cfg    *config.Config // that the gateway was started with; what a reload changes is in now
	log    *slog.Logger
	level  *slog.LevelVar // nil: a reload does not change what is logged
	memory Memory         // what was decided about it

	heir         *Heir  // nil: it takes over from nobody
	cookieSecret []byte // of the listeners, by which clients prove their addresses
	launch       launcher
	leave        chan *succession // to Run: hand over
	left         chan struct{}    // closed when Run is ending

	now       atomic.Pointer[inForce]
	reloading sync.Mutex // one change of now at a time

	store      *sqlite.Store
	metrics    *metrics.Metrics
	health     *storeHealth
	gateway    *gateway.Gateway
	pressure   *pressure.Gauge
	downstream *downstream.Server
	upstream   *upstream.Manager
	linkMeter  *upstreamMeter
	dialers    tasks
	advisers   tasks // the AAA client
	servers    []*coap.Server
	froms      []downstream.Listener // what the server half knows of each
	web        *metrics.Server       // nil: none
	admin      *admin.Server         // nil: none

	// counters of the CoAP layer, by side
	down, up coap.Counters
	front    front.Counters
}

// Build does everything that can fail: it opens the store, reads the credentials and takes the addresses. What it returns must be
// Run, or Closed. version is shown in the metrics. ctx bounds the building only.
func Build(ctx context.Context, cfg *config.Config, log *slog.Logger, version string) (*App, error) {
	return newApp(cfg, log, nil).build(ctx, version)
}

// newApp makes an App that nothing is in yet. heir is asked for sockets and sessions when all is made that needs no store; nil: it
// takes over from nobody.
func newApp(cfg *config.Config, log *slog.Logger, heir *Heir) *App {
	return &App{
		cfg: cfg, log: log, health: &storeHealth{}, heir: heir, launch: launch, leave: make(chan *succession), left: make(chan struct{}),
	}
}

func (a *App) build(ctx context.Context, version string) (*App, error) {
	for _, step := range []func(context.Context) error{
		func(context.Context) error { a.makeMetrics(version); return nil },
		a.makeFirst, a.makePressure, a.inherit, a.openStore, a.makeGateway, a.makeUpstream, a.makeDownstream, a.listen, a.listenAside,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, a.Close())
		}
	}
	a.gateway.Connect(a.upstream, a.downstream)
	return a, nil
}

// Addrs returns the addresses that clients reach, in the order of the configuration.
func (a *App) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(a.servers))
	for i, s := range a.servers {
		addrs[i] = s.Addr()
	}
	return addrs
}

// inherit takes what the process before leaves, if there is one.
func (a *App) inherit(context.Context) error {
	a.cookieSecret = a.cfg.CookieSecret
	if a.heir != nil {
		if err := a.heir.await(a.cfg); err != nil {
			return err
		}
		if a.cookieSecret == nil {
			a.cookieSecret = a.heir.secret
		}
	}
	if len(a.cookieSecret) == 0 {
		a.cookieSecret = make([]byte, 32)
		_, _ = rand.Read(a.cookieSecret) // never fails
	}
	return nil
}

// The process before has closed the store, but a program that it was just starting holds a copy of the lock until it runs.
const (
	lockWithin = 5 * time.Second
	lockAgain  = 10 * time.Millisecond
)

// openStore opens the database; a damaged one is put aside, and the gateway starts with what the uplinks and the clients tell it.
func (a *App) openStore(ctx context.Context) error {
	s, recovery, err := sqlite.Open(ctx, sqlite.Config{Path: a.cfg.Store})
	for until := time.Now().Add(lockWithin); a.heir != nil && errors.Is(err, store.ErrLocked) && time.Now().Before(until); {
		time.Sleep(lockAgain)
		s, recovery, err = sqlite.Open(ctx, sqlite.Config{Path: a.cfg.Store})
	}
	if err != nil {
		return fmt.Errorf("opening the store %s: %w", a.cfg.Store, err)
	}
	if recovery.Cause != nil {
		a.log.Error("store was damaged and is put aside: mitigations are known again from the uplinks and when clients refresh them",
			"moved_to", recovery.MovedTo, "cause", recovery.Cause.Error())
	}
	a.store = s
	return nil
}

func (a *App) makeMetrics(version string) {
	a.metrics = metrics.New(metrics.Config{
		Version: version, Uplinks: uplinkNames(a.cfg), MailboxCapacity: gateway.DefaultMailbox,
		CoAP: func(s metrics.Side) metrics.CoAPCounters {
			if s == metrics.Downstream {
				return coapCounters(&a.down)
			}
			return coapCounters(&a.up)
		},
		Pressure: func() metrics.Pressure { return pressureOf(a.pressure.Stats()) }, Front: a.frontOf,
	})
}

// uplinkNames lists the uplinks, mitigators among them.
func uplinkNames(cfg *config.Config) []string {
	var names []string
	for _, u := range cfg.Uplinks {
		names = append(names, u.Name)
	}
	for _, m := range cfg.Mitigators {
		names = append(names, m.Name)
	}
	return names
}

// makeFirst makes what is in force until the first reload.
func (a *App) makeFirst(context.Context) error {
	n, err := a.prepare(a.cfg, nil)
	if err != nil {
		return err
	}
	a.now.Store(n)
	a.begin(n)
	a.tellExpiries(n)
	return nil
}

// begin lets the parts run that come and go with a configuration; those that run already go on.
func (a *App) begin(n *inForce) {
	for _, l := range n.lines {
		if l.way != nil {
			a.dialers.add(l.way)
		}
	}
	if n.authorizer != nil {
		a.advisers.add(n.authorizer)
	}
}

// makeGateway makes the core from what the store holds.
func (a *App) makeGateway(ctx context.Context) error {
	n := a.now.Load()
	var err error
	a.gateway, err = gateway.New(ctx, gateway.Config{
		Core: gateway.CoreConfig{
			Policy: a.cfg.Policy, Identities: n.identities, NodeID: a.cfg.NodeID, HideTopology: a.cfg.HideTopology,
			AnswerWait: a.cfg.Mitigation.AnswerWait, Terminating: a.cfg.Mitigation.Terminating,
			TerminatingMax: a.cfg.Mitigation.TerminatingMax, WhenDown: gateway.WhenDown(a.cfg.Mitigation.WhenDown),
			NoMirror: !a.cfg.Mitigation.Mirror, Unmirrored: unmirrored(a.cfg.Uplinks), NewCUID: newCUID, Fits: fits(a.cfg.Uplinks),
			Span: silence(sessionConfig(a.cfg.Session)),
		},
		Store: a.store, Resolver: resolver{a.resolver, a.metrics}, Authorizer: authorizer{a.authorizer}, Logger: a.log, Meter: gatewayMeter{a.metrics, a.health},
		Overloaded: func() bool { return a.pressure.Sheds(pressure.ShedRequests) }, Boot: machine,
	})
	if err != nil {
		return fmt.Errorf("making the gateway: %w", err)
	}
	return nil
}

// resolver is the resolver of today.
func (a *App) resolver() *resolve.Resolver { return a.now.Load().resolver }

// authorizer is the AAA client of today; nil: there is none.
func (a *App) authorizer() *aaa.Authorizer { return a.now.Load().authorizer }

// policy is the policy of today.
func (a *App) policy() *policy.Policy { return a.now.Load().cfg.Policy }

// makeUpstream makes the client half.
func (a *App) makeUpstream(context.Context) error {
	a.linkMeter = newUpstreamMeter(a.metrics, a.cfg.Uplinks)
	inFlight, err := labInFlight(os.Getenv(envInFlight), a.cfg.Uplinks)
	if err != nil {
		return err
	}
	if inFlight > 0 {
		a.log.Warn("uplinks are asked without pacing, which is for the lab only", "in_flight", inFlight)
	}
	m, err := upstream.New(upstream.Config{
		Events: a.gateway, Links: a.now.Load().links(), Logger: a.log, Meter: a.linkMeter, MaxInFlight: inFlight, Unpaced: inFlight > 0,
		HeartbeatInterval: a.cfg.Session.HeartbeatInterval, MissingAllowed: a.cfg.Session.MissingHBAllowed,
	})
	if err != nil {
		return fmt.Errorf("making the uplinks: %w", err)
	}
	a.upstream = m
	return nil
}

// makeDownstream makes the server half.
func (a *App) makeDownstream(context.Context) error {
	s, err := downstream.New(downstream.Config{
		Core: a.gateway, Profiles: []wire.Profile{profile(config.ProfileRFC9132), profile(config.ProfileDraft04)},
		NodeID: a.cfg.NodeID, InitialHopLimit: uint8(a.cfg.HopLimit), // 1 to 255, checked by config
		Session: sessionConfig(a.cfg.Session), NotifyInterval: a.cfg.Mitigation.NotifyEvery,
		SessionMaxAge: uint32(a.cfg.Session.MaxAge / time.Second), EndUnrefreshed: a.cfg.Session.EndUnrefreshed, // at most a year, checked by config
		MaxSessionsPerClient: a.cfg.Session.MaxPerClient,
		Unicast:              a.cfg.Unicast, UnicastName: a.cfg.UnicastName,
		TrustedGateway: func(client string) bool { return a.policy().TrustsCDID(client) },
		DomainOf:       func(client string) string { return a.policy().Domain(client) },
		MaxObservers:   func(client string) int { return a.policy().MaxObservers(client) },
		Believed:       func(id coap.Identity) error { return a.now.Load().listeners.Still(id) },
		Shed:           func() bool { return a.pressure.Sheds(pressure.ShedReads) },
		Logger:         a.log, Meter: downstreamMeter{a.metrics},
	})
	if err != nil {
		return fmt.Errorf("making the server half: %w", err)
	}
	a.downstream = s
	return nil
}

// listen takes the addresses that clients reach.
func (a *App) listen(context.Context) error {
	cred := a.now.Load().listeners
	places := places(a.cfg)
	for i, l := range a.cfg.Listeners {
		from, most := listenerOf(l)
		a.froms = append(a.froms, from)
		s, err := coap.Listen(coap.ServerConfig{
			Network: network(l.Transport), Address: l.Address, Files: a.heir.files(places[i]), Credentials: cred, MaxSessions: most, RequireALPN: l.RequireALPN, PathMTU: l.PathMTU,
			Pressure: a.pressure, MaxHandshakes: l.Handshakes, Sources: sourceLimits(l), Front: a.frontConfig(l),
			Session: coap.SessionConfig{
				Handler: a.downstream, Counters: &a.down, OnPanic: a.panicked, Limits: downstream.SessionLimits(),
			},
			OnSession: func(s *coap.Session) error { return a.downstream.Attach(s, from) },
			OnFailure: func(remote net.Addr, err error) {
				a.log.Info("handshake failed", "peer", remote.String(), "error", err.Error())
			},
		})
		if err != nil {
			return fmt.Errorf("listening on %s (%s): %w", l.Address, l.Transport, err)
		}
		a.servers = append(a.servers, s)
	}
	return nil
}

// panicked logs a mistake of ours that cost a peer its message: counted, shown with its stack, and survived.
func (a *App) panicked(s *coap.Session, v any, stack []byte) {
	a.log.Error("a message made the gateway panic", "session", s.ID(), "peer", s.RemoteAddr().String(), "panic", fmt.Sprint(v))
	for line := range strings.Lines(string(stack)) {
		a.log.Error("panic", "session", s.ID(), "at", strings.TrimSpace(line))
	}
}

// listenAside takes the places where operators look in.
func (a *App) listenAside(context.Context) error {
	var err error
	if a.cfg.Metrics != "" {
		a.web, err = metrics.NewServer(metrics.ServerConfig{
			Metrics: a.metrics, Address: a.cfg.Metrics, File: a.heir.file(placeMetrics + a.cfg.Metrics), Ready: a.ready,
		})
		if err != nil {
			return fmt.Errorf("listening for metrics: %w", err)
		}
	}
	if a.cfg.Admin != "" {
		if f := a.heir.file(placeAdmin + a.cfg.Admin); f != nil {
			a.admin, err = admin.Take(f, a, orders{a})
		} else {
			a.admin, err = admin.Listen(a.cfg.Admin, a, orders{a})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func network(transport string) string {
	if transport == config.TransportTLS {
		return coap.NetworkTCP
	}
	return coap.NetworkUDP
}

func profile(name string) wire.Profile {
	if name == config.ProfileDraft04 {
		return draft04.New()
	}
	return rfc9132.New()
}
