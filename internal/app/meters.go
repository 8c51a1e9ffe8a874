package app

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/downstream"
	"github.com/dotsgate/dotsgate/internal/aaa"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/liveness"
	"github.com/dotsgate/dotsgate/internal/metrics"
	"github.com/dotsgate/dotsgate/internal/resolve"
	"github.com/dotsgate/dotsgate/upstream"
	"github.com/dotsgate/dotsgate/wire"
)

// transport names a session's transport for the metrics.
func transport(reliable bool) metrics.Transport {
	if reliable {
		return metrics.TLS
	}
	return metrics.DTLS
}

// downstreamMeter counts what the server half does.
type downstreamMeter struct{ m *metrics.Metrics }

func (d downstreamMeter) SessionUp(reliable bool) {
	d.m.SessionOpened(metrics.Downstream, transport(reliable))
}

func (d downstreamMeter) SessionDown(reliable bool, why downstream.Ending) {
	d.m.SessionClosed(metrics.Downstream, transport(reliable))
	switch why {
	case downstream.Lost:
		d.m.SessionLost(metrics.Downstream)
	case downstream.Disowned:
		d.m.SessionDisowned()
	case downstream.Closed:
	}
}

func (d downstreamMeter) Request(method wire.Method, code dots.Code) {
	d.m.Request(metrics.Downstream, metrics.Method(method), code)
}

func (d downstreamMeter) Observers(change downstream.ObserverChange) {
	switch change {
	case downstream.ObserverBegan:
		d.m.Observers(1)
	case downstream.ObserverEnded:
		d.m.Observers(-1)
	case downstream.ObserverRefused:
		d.m.ObserverRefused()
	}
}

func (d downstreamMeter) HeartbeatMissed()        { d.m.HeartbeatMissed(metrics.Downstream) }
func (d downstreamMeter) Notified(code dots.Code) { d.m.Notified(code) }

// gatewayMeter counts what the core does, and keeps how the store fares.
type gatewayMeter struct {
	*metrics.Metrics
	health *storeHealth
}

// Committed counts a commit.
func (g gatewayMeter) Committed(took time.Duration, batches int, err error) {
	g.health.committed(err)
	g.Metrics.Committed(took, batches, err)
}

// over notes by which transport the newest session to an uplink goes.
func (u *upstreamMeter) over(uplink string, reliable bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := transport(reliable)
	if _, session := u.transports[uplink]; !session {
		return
	}
	u.transports[uplink] = now
	if was, open := u.up[uplink]; open && was != now {
		u.up[uplink] = now
		u.m.SessionOpened(metrics.Uplink, now)
		u.m.SessionClosed(metrics.Uplink, was)
	}
}

// better notes it of a session, too, that comes later.
func (u *upstreamMeter) better(uplink string, to upstream.Destination) upstream.Destination {
	if take := to.Better; take != nil {
		to.Better = func(s *coap.Session) {
			u.over(uplink, s.Reliable())
			take(s)
		}
	}
	return to
}

// upstreamMeter counts what the client half does.
type upstreamMeter struct {
	m *metrics.Metrics

	mu         sync.Mutex
	transports map[string]metrics.Transport // by uplink; a local mitigator has none
	up         map[string]metrics.Transport // of those that have a session: told more than once, counted once
}

func newUpstreamMeter(m *metrics.Metrics, uplinks []config.Uplink) *upstreamMeter {
	u := &upstreamMeter{m: m, up: map[string]metrics.Transport{}}
	u.set(uplinks)
	return u
}

// set says which uplinks there are from now on; the sessions of others are counted to their end.
func (u *upstreamMeter) set(uplinks []config.Uplink) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.transports = map[string]metrics.Transport{}
	for _, l := range uplinks {
		u.transports[l.Name] = transport(l.Transport == config.TransportTLS)
	}
}

func (u *upstreamMeter) UplinkUp(uplink string, up bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.m.SetUplinkUp(uplink, up)
	was, open := u.up[uplink]
	is, session := u.transports[uplink]
	switch {
	case up && !open && session:
		u.up[uplink] = is
		u.m.SessionOpened(metrics.Uplink, is)
	case !up && open:
		delete(u.up, uplink)
		u.m.SessionClosed(metrics.Uplink, was)
	}
}

func (u *upstreamMeter) Request(_ string, method wire.Method, code dots.Code) {
	u.m.Request(metrics.Uplink, metrics.Method(method), code)
}

func (u *upstreamMeter) Legs(uplink string, counts upstream.LegCounts) {
	u.m.SetLegs(uplink, map[metrics.LegState]int{
		metrics.LegWanted: counts[upstream.LegWanted], metrics.LegPlaced: counts[upstream.LegPlaced],
		metrics.LegRefused: counts[upstream.LegRefused], metrics.LegWithdrawing: counts[upstream.LegWithdrawing],
	})
}

// Liveness counts a session that is lost, and shows one that may be.
func (u *upstreamMeter) Liveness(uplink string, state liveness.State) {
	u.m.SetUplinkSuspect(uplink, state == liveness.Suspect)
	if state == liveness.Lost {
		u.m.SessionLost(metrics.Uplink)
	}
}

func (u *upstreamMeter) HeartbeatMissed(string) { u.m.HeartbeatMissed(metrics.Uplink) }

func (u *upstreamMeter) Redirected(uplink string, followed bool) { u.m.Redirected(uplink, followed) }

// coapCounters turns the CoAP layer's counters into those that are shown.
func coapCounters(c *coap.Counters) metrics.CoAPCounters {
	v := c.Values()
	return metrics.CoAPCounters{
		DatagramsIn: v.RecordsIn, DatagramsOut: v.RecordsOut, Malformed: v.Malformed, Duplicates: v.Duplicates, Forgotten: v.Forgotten,
		Retransmissions: v.Retransmissions, UnknownCritical: v.BadOptions, ResetsIn: v.ResetsIn, ResetsOut: v.ResetsOut,
		Timeouts: v.Timeouts, Unexpected: v.Unexpected, Refused: v.Refused, WriteErrors: v.WriteErrors, Aborts: v.Aborts,
		Handshakes: v.Handshakes, HandshakeFailures: v.HandshakeFailures, SessionsRefused: v.SessionsRefused, SourcesRefused: v.SourcesRefused, Recovered: v.Panics,
	}
}

// resolver answers the core's questions from the DNS, and counts.
type resolver struct {
	now func() *resolve.Resolver
	m   *metrics.Metrics
}

// Resolve looks a name up.
func (r resolver) Resolve(ctx context.Context, name string) ([]netip.Addr, time.Duration, error) {
	a, err := r.now().Lookup(ctx, name)
	r.m.NameResolved(resolution(err))
	if err != nil {
		return nil, 0, err
	}
	return a.Addresses, a.TTL, nil
}

// resolution says how a lookup went.
func resolution(err error) metrics.Resolution {
	switch {
	case err == nil:
		return metrics.Resolved
	case errors.Is(err, resolve.ErrNotFound) || errors.Is(err, resolve.ErrName):
		return metrics.ResolutionNotFound
	case errors.Is(err, resolve.ErrTimeout):
		return metrics.ResolutionTimeout
	case errors.Is(err, resolve.ErrInsecure):
		return metrics.ResolutionInsecure
	}
	return metrics.ResolutionFailed
}

// aaaMeter counts what the AAA client does.
type aaaMeter struct{ m *metrics.Metrics }

func (z aaaMeter) Decided(from aaa.Source, d aaa.Decision) {
	decision := metrics.AAADenied
	switch {
	case d.Failed:
		decision = metrics.AAAFailed
	case d.Allow:
		decision = metrics.AAAAllowed
	}
	z.m.AAADecided(string(from), decision)
}

func (z aaaMeter) Asked(took time.Duration, answered bool) { z.m.AAAAsked(took, answered) }
func (z aaaMeter) Dropped(why aaa.Fault)                   { z.m.AAADropped(string(why)) }
