package app

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/downstream"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/liveness"
	"github.com/dotsgate/dotsgate/internal/metrics"
	"github.com/dotsgate/dotsgate/internal/resolve"
	"github.com/dotsgate/dotsgate/store"
	"github.com/dotsgate/dotsgate/upstream"
	"github.com/dotsgate/dotsgate/wire"
)

// lines returns the page of some metrics.
func lines(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	metrics.Handler(m, nil).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func wantLines(t *testing.T, m *metrics.Metrics, want ...string) {
	t.Helper()
	page := lines(t, m)
	for _, line := range want {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("no %s", line)
		}
	}
}

// TestUplinkSessions holds that a session is counted once, however often it is told of.
func TestUplinkSessions(t *testing.T) {
	m := metrics.New(metrics.Config{Uplinks: []string{"a", "b", "c"}})
	u := newUpstreamMeter(m, []config.Uplink{{Name: "a", Transport: "dtls"}, {Name: "b", Transport: "tls"}, {Name: "c", Transport: "dtls"}})
	for _, name := range []string{"a", "b", "c"} {
		u.UplinkUp(name, false) // as every uplink begins
	}
	u.UplinkUp("a", true)
	u.UplinkUp("a", true)
	u.UplinkUp("b", true)
	u.UplinkUp("c", true)
	u.UplinkUp("c", false)
	u.UplinkUp("c", false)
	wantLines(t, m, `dotsgate_sessions{side="uplink",transport="dtls"} 1`, `dotsgate_sessions{side="uplink",transport="tls"} 1`,
		`dotsgate_uplink_up{uplink="a"} 1`, `dotsgate_uplink_up{uplink="b"} 1`, `dotsgate_uplink_up{uplink="c"} 0`)
}

func TestUpstreamMeter(t *testing.T) {
	m := metrics.New(metrics.Config{Uplinks: []string{"a"}})
	u := newUpstreamMeter(m, []config.Uplink{{Name: "a"}})
	u.Request("a", wire.PUT, dots.CodeCreated)
	u.Request("a", wire.DELETE, dots.CodeSilent)
	u.HeartbeatMissed("a")
	var counts upstream.LegCounts
	counts[upstream.LegWanted], counts[upstream.LegPlaced], counts[upstream.LegRefused], counts[upstream.LegWithdrawing] = 1, 2, 3, 4
	u.Legs("a", counts)
	wantLines(t, m, `dotsgate_requests_total{code="2.01",method="put",side="uplink"} 1`, `dotsgate_requests_total{code="silent",method="delete",side="uplink"} 1`,
		`dotsgate_heartbeats_missed_total{side="uplink"} 1`, `dotsgate_legs{state="wanted",uplink="a"} 1`, `dotsgate_legs{state="placed",uplink="a"} 2`,
		`dotsgate_legs{state="refused",uplink="a"} 3`, `dotsgate_legs{state="withdrawing",uplink="a"} 4`)
}

// A session that is given up for silence is counted, and is suspect no longer.
func TestUpstreamLiveness(t *testing.T) {
	m := metrics.New(metrics.Config{Uplinks: []string{"a", "b"}})
	u := newUpstreamMeter(m, []config.Uplink{{Name: "a"}, {Name: "b"}})
	u.Liveness("a", liveness.Suspect)
	u.Liveness("b", liveness.Suspect)
	wantLines(t, m, `dotsgate_uplink_suspect{uplink="a"} 1`, `dotsgate_sessions_lost_total{side="uplink"} 0`)
	u.Liveness("a", liveness.Lost)
	u.Liveness("b", liveness.Alive)
	wantLines(t, m, `dotsgate_uplink_suspect{uplink="a"} 0`, `dotsgate_uplink_suspect{uplink="b"} 0`, `dotsgate_sessions_lost_total{side="uplink"} 1`)
}

func TestDownstreamMeter(t *testing.T) {
	m := metrics.New(metrics.Config{})
	d := downstreamMeter{m}
	d.SessionUp(true)
	d.SessionUp(false)
	d.SessionUp(false)
	d.SessionUp(false)
	d.SessionUp(true)
	d.SessionDown(false, downstream.Lost)
	d.SessionDown(false, downstream.Disowned)
	d.SessionDown(true, downstream.Closed)
	d.Request(wire.GET, dots.CodeContent)
	d.HeartbeatMissed()
	d.Observers(downstream.ObserverBegan)
	d.Observers(downstream.ObserverBegan)
	d.Observers(downstream.ObserverEnded)
	d.Observers(downstream.ObserverRefused)
	d.Notified(dots.CodeContent)
	wantLines(t, m, `dotsgate_sessions{side="downstream",transport="tls"} 1`, `dotsgate_sessions{side="downstream",transport="dtls"} 1`,
		`dotsgate_sessions_lost_total{side="downstream"} 1`, `dotsgate_sessions_disowned_total 1`, `dotsgate_requests_total{code="2.05",method="get",side="downstream"} 1`,
		`dotsgate_heartbeats_missed_total{side="downstream"} 1`, `dotsgate_observers 1`, `dotsgate_observers_refused_total 1`, `dotsgate_notifications_total{code="2.05"} 1`)
}

// TestStoreHealth holds that the newest commit is what counts.
func TestStoreHealth(t *testing.T) {
	m := metrics.New(metrics.Config{})
	h := &storeHealth{}
	g := gatewayMeter{m, h}
	if h.last() != nil {
		t.Error("ill before the first commit")
	}
	g.Committed(time.Millisecond, 1, store.ErrFull)
	if err := h.last(); !errors.Is(err, store.ErrFull) {
		t.Errorf("after a failure: %v", err)
	}
	g.Committed(time.Millisecond, 1, nil)
	if err := h.last(); err != nil {
		t.Errorf("after a success: %v", err)
	}
	wantLines(t, m, `dotsgate_commit_failures_total 1`)
}

// TestCoAPCounters holds that each counter goes where it belongs, by giving each a value of its own.
func TestCoAPCounters(t *testing.T) {
	var c coap.Counters
	c.RecordsIn.Store(1)
	c.RecordsOut.Store(2)
	c.Malformed.Store(3)
	c.Duplicates.Store(4)
	c.Retransmissions.Store(5)
	c.BadOptions.Store(6)
	c.ResetsIn.Store(7)
	c.ResetsOut.Store(8)
	c.Timeouts.Store(9)
	c.Unexpected.Store(10)
	c.Refused.Store(11)
	c.WriteErrors.Store(12)
	c.Aborts.Store(13)
	c.Handshakes.Store(14)
	c.HandshakeFailures.Store(15)
	c.SessionsRefused.Store(16)
	c.Panics.Store(17)
	c.Forgotten.Store(18)
	want := metrics.CoAPCounters{
		DatagramsIn: 1, DatagramsOut: 2, Malformed: 3, Duplicates: 4, Retransmissions: 5, UnknownCritical: 6, ResetsIn: 7, ResetsOut: 8,
		Timeouts: 9, Unexpected: 10, Refused: 11, WriteErrors: 12, Aborts: 13, Handshakes: 14, HandshakeFailures: 15, SessionsRefused: 16, Recovered: 17, Forgotten: 18,
	}
	if diff := cmp.Diff(want, coapCounters(&c)); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

func TestResolver(t *testing.T) {
	m := metrics.New(metrics.Config{})
	r, err := newResolver(config.DNS{Static: map[string][]netip.Addr{"www.example.com": {netip.MustParseAddr("192.0.2.80")}}})
	if err != nil {
		t.Fatal(err)
	}
	addrs, ttl, err := resolver{func() *resolve.Resolver { return r }, m}.Resolve(t.Context(), "www.example.com")
	if err != nil || len(addrs) != 1 || addrs[0].String() != "192.0.2.80" || ttl <= 0 {
		t.Errorf("resolved to %v for %v, %v", addrs, ttl, err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := (resolver{func() *resolve.Resolver { return r }, m}).Resolve(over, "no name at all"); err == nil {
		t.Error("resolved what is no name")
	}
	wantLines(t, m, `dotsgate_resolutions_total{outcome="found"} 1`, `dotsgate_resolutions_total{outcome="not-found"} 1`)
	for err, want := range map[error]metrics.Resolution{
		nil: metrics.Resolved, resolve.ErrNotFound: metrics.ResolutionNotFound, resolve.ErrName: metrics.ResolutionNotFound,
		resolve.ErrTimeout: metrics.ResolutionTimeout, resolve.ErrInsecure: metrics.ResolutionInsecure, errors.New("else"): metrics.ResolutionFailed,
	} {
		if err != nil {
			err = fmt.Errorf("wrapped: %w", err)
		}
		if got := resolution(err); got != want {
			t.Errorf("%v counts as %v, want %v", err, got, want)
		}
	}
}
