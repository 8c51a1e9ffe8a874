package app

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/dotsgate/dotsgate/downstream"
	"github.com/dotsgate/dotsgate/gateway"
	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/metrics"
	"github.com/dotsgate/dotsgate/store/sqlite"
	"github.com/dotsgate/dotsgate/upstream"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/draft04"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// App is a gateway that is built and bound, but does nothing before Run.
type App struct {
	cfg *config.Config
	log *slog.Logger

	store       *sqlite.Store
	metrics     *metrics.Metrics
	health      *storeHealth
	credentials []*loaded
	gateway     *gateway.Gateway
	downstream  *downstream.Server
	upstream    *upstream.Manager
	dialers     []*coap.Dialer
	servers     []*coap.Server
	web         *metrics.Server // nil: none
	admin       *admin.Server   // nil: none

	// counters of the CoAP layer, by side
	down, up coap.Counters
}

// Build does everything that can fail: it opens the store, reads the credentials and takes the addresses. What it returns must be
// Run, or Closed. version is shown in the metrics. ctx bounds the building only.
func Build(ctx context.Context, cfg *config.Config, log *slog.Logger, version string) (*App, error) {
	a := &App{cfg: cfg, log: log, health: &storeHealth{}}
	for _, step := range []func(context.Context) error{
		a.openStore, func(context.Context) error { a.makeMetrics(version); return nil },
		a.makeGateway, a.makeUpstream, a.makeDownstream, a.listen, a.listenAside,
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

// openStore opens the database; a damaged one is put aside, and the gateway starts with what the uplinks and the clients tell it.
func (a *App) openStore(ctx context.Context) error {
	s, recovery, err := sqlite.Open(ctx, sqlite.Config{Path: a.cfg.Store})
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
	names := make([]string, len(a.cfg.Uplinks))
	for i, u := range a.cfg.Uplinks {
		names[i] = u.Name
	}
	a.metrics = metrics.New(metrics.Config{
		Version: version, Uplinks: names, MailboxCapacity: gateway.DefaultMailbox,
		CoAP: func(s metrics.Side) metrics.CoAPCounters {
			if s == metrics.Downstream {
				return coapCounters(&a.down)
			}
			return coapCounters(&a.up)
		},
	})
}

// makeGateway makes the core from what the store holds.
func (a *App) makeGateway(ctx context.Context) error {
	ids, err := identities(a.cfg.Uplinks)
	if err != nil {
		return err
	}
	r, err := newResolver(a.cfg.DNS)
	if err != nil {
		return err
	}
	a.gateway, err = gateway.New(ctx, gateway.Config{
		Core: gateway.CoreConfig{
			Policy: a.cfg.Policy, Identities: ids, NodeID: a.cfg.NodeID, HideTopology: a.cfg.HideTopology,
			AnswerWait: a.cfg.Mitigation.AnswerWait, Terminating: a.cfg.Mitigation.Terminating,
			TerminatingMax: a.cfg.Mitigation.TerminatingMax, WhenDown: gateway.WhenDown(a.cfg.Mitigation.WhenDown),
			NoMirror: !a.cfg.Mitigation.Mirror, Unmirrored: unmirrored(a.cfg.Uplinks), NewCUID: newCUID,
		},
		Store: a.store, Resolver: resolver{r, a.metrics}, Logger: a.log, Meter: gatewayMeter{a.metrics, a.health},
	})
	if err != nil {
		return fmt.Errorf("making the gateway: %w", err)
	}
	return nil
}

// makeUpstream makes the client half: a dialer for each uplink.
func (a *App) makeUpstream(context.Context) error {
	var handler coap.HandlerFunc = func(ex *coap.Exchange) { a.upstream.Handler().ServeCoAP(ex) }
	links := make([]upstream.LinkConfig, len(a.cfg.Uplinks))
	for i, u := range a.cfg.Uplinks {
		cred, err := a.load("uplink "+u.Name, u.Credentials)
		if err != nil {
			return err
		}
		d, err := coap.NewDialer(coap.DialConfig{
			Network: network(u.Transport), Address: u.Address, ServerName: u.ServerName, Credentials: cred,
			Session: coap.SessionConfig{
				Handler: handler, Counters: &a.up, OnPanic: a.panicked, Limits: upstream.SessionLimits(),
			},
		})
		if err != nil {
			return fmt.Errorf("uplink %s: %w", u.Name, err)
		}
		a.dialers = append(a.dialers, d)
		links[i] = upstream.LinkConfig{Name: u.Name, Profile: profile(u.Profile), Dial: d.Dial}
	}
	m, err := upstream.New(upstream.Config{
		Events: a.gateway, Links: links, Logger: a.log, Meter: newUpstreamMeter(a.metrics, a.cfg.Uplinks),
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
		Unicast: a.cfg.Unicast, TrustedGateway: a.cfg.Policy.TrustsCDID, Logger: a.log, Meter: downstreamMeter{a.metrics},
	})
	if err != nil {
		return fmt.Errorf("making the server half: %w", err)
	}
	a.downstream = s
	return nil
}

// listen takes the addresses that clients reach.
func (a *App) listen(context.Context) error {
	cred, err := a.load("listeners", a.cfg.Credentials)
	if err != nil {
		return err
	}
	for _, l := range a.cfg.Listeners {
		from := downstream.Listener{Profiles: l.Profiles, ClientDomain: l.ClientDomain, Anycast: l.Anycast}
		s, err := coap.Listen(coap.ServerConfig{
			Network: network(l.Transport), Address: l.Address, Credentials: cred, MaxSessions: l.MaxSessions, RequireALPN: l.RequireALPN,
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
		a.web, err = metrics.NewServer(metrics.ServerConfig{Metrics: a.metrics, Address: a.cfg.Metrics, Ready: a.ready})
		if err != nil {
			return fmt.Errorf("listening for metrics: %w", err)
		}
	}
	if a.cfg.Admin != "" {
		if a.admin, err = admin.Listen(a.cfg.Admin, a); err != nil {
			return err
		}
	}
	return nil
}

// identities gives the SHA-256 of our own credential toward each uplink, from which our cuid is computed
// (RFC 9132, Section 4.4.1.1).
func identities(uplinks []config.Uplink) (map[string][sha256.Size]byte, error) {
	ids := make(map[string][sha256.Size]byte, len(uplinks))
	for _, u := range uplinks {
		if u.Credentials.PSKIdentity != "" || u.Credentials.Cert == "" {
			ids[u.Name] = sha256.Sum256([]byte(u.Credentials.PSKIdentity))
			continue
		}
		pair, err := tls.LoadX509KeyPair(u.Credentials.Cert, u.Credentials.Key)
		if err != nil {
			return nil, fmt.Errorf("uplink %s: loading the certificate: %w", u.Name, err)
		}
		ids[u.Name] = sha256.Sum256(pair.Leaf.RawSubjectPublicKeyInfo)
	}
	return ids, nil
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
