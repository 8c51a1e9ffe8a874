package bgp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/upstream"
)

// both runs a test against both dialects of the API.
func both(t *testing.T, test func(t *testing.T, d *daemon)) {
	t.Helper()
	for _, api := range []string{APIv3, APIv4} {
		t.Run(api, func(t *testing.T) { test(t, newDaemon(t, api)) })
	}
}

func config(d *daemon) Config {
	return Config{Name: "rtbh", Node: "gw.example", Address: d.address, Mode: ModeBlackhole}
}

// made makes a Mitigator that is closed at the end.
func made(t *testing.T, c Config) *Mitigator {
	t.Helper()
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// opened makes a Mitigator and opens it, expecting nothing of an earlier run.
func opened(t *testing.T, c Config) *Mitigator {
	t.Helper()
	m := made(t, c)
	reopen(t, m)
	return m
}

// reopen opens a Mitigator and compares what it returns, a mid for a leg and the words for a stale route.
func reopen(t *testing.T, m *Mitigator, want ...string) {
	t.Helper()
	keys, err := m.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, k := range keys {
		if k.Uplink != "rtbh" {
			t.Errorf("key %v is not of this mitigator", k)
		}
		if k.CUID == "cuid" {
			got = append(got, fmt.Sprint(k.MID))
		} else {
			got = append(got, k.CUID)
		}
	}
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		t.Errorf("in force (-want +got)\n%s", diff)
	}
}

func key(mid uint32) dots.LegKey { return dots.LegKey{Uplink: "rtbh", CUID: "cuid", MID: mid} }

func leg(mid uint32, prefixes ...string) dots.Leg {
	l := dots.Leg{Key: key(mid), Request: dots.Request{MID: mid}}
	for _, p := range prefixes {
		l.Request.Target.Prefixes = append(l.Request.Target.Prefixes, netip.MustParsePrefix(p))
	}
	return l
}

func start(t *testing.T, m *Mitigator, l dots.Leg) {
	t.Helper()
	if err := m.Start(context.Background(), l); err != nil {
		t.Fatalf("starting %v: %v", l.Key, err)
	}
}

func stop(t *testing.T, m *Mitigator, k dots.LegKey) {
	t.Helper()
	if err := m.Stop(context.Background(), k); err != nil {
		t.Fatalf("stopping %v: %v", k, err)
	}
}

func wantRoutes(t *testing.T, d *daemon, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), d.has()); diff != "" {
		t.Errorf("gobgpd's table (-want +got)\n%s", diff)
	}
}

func wantStatus(t *testing.T, m *Mitigator, want map[uint32]dots.Status, mids ...uint32) {
	t.Helper()
	var keys []dots.LegKey
	for _, mid := range mids {
		keys = append(keys, key(mid))
	}
	list, err := m.Status(context.Background(), keys)
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint32]dots.Status{}
	for _, r := range list {
		if r.Key != key(r.Report.MID) {
			t.Errorf("report of %v has mid %d", r.Key, r.Report.MID)
		}
		got[r.Report.MID] = r.Report.Status
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got)\n%s", diff)
	}
}

func TestLegIsAnnouncedChangedAndWithdrawn(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		m := opened(t, config(d))
		start(t, m, leg(1, "192.0.2.1/32", "2001:db8::1/128"))
		wantRoutes(t, d, "192.0.2.1/32", "2001:db8::1/128")
		wantStatus(t, m, map[uint32]dots.Status{1: dots.StatusMitigated}, 1, 2)
		start(t, m, leg(1, "192.0.2.2/32", "2001:db8::1/128"))
		wantRoutes(t, d, "192.0.2.2/32", "2001:db8::1/128")
		stop(t, m, key(1))
		wantRoutes(t, d)
		stop(t, m, key(1)) // one that is not in force is no error
		wantStatus(t, m, map[uint32]dots.Status{}, 1)
	})
}

// TestRepeatSaysNothing: a refresh every few minutes is no reason to have every router hear the route again.
func TestRepeatSaysNothing(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		m := opened(t, config(d))
		start(t, m, leg(1, "192.0.2.1/32"))
		start(t, m, leg(1, "192.0.2.1/32", "192.0.2.1/32"))
		if n := d.did("announce"); n != 1 {
			t.Errorf("announced %d times, want 1", n)
		}
	})
}

// TestNewRoutesComeBeforeOldOnesGo: at no moment is what both sets have unprotected.
func TestNewRoutesComeBeforeOldOnesGo(t *testing.T) {
	d := newDaemon(t, APIv4)
	m := opened(t, config(d))
	start(t, m, leg(1, "192.0.2.1/32"))
	d.set(func() { d.calls = nil })
	start(t, m, leg(1, "192.0.2.0/24"))
	if diff := cmp.Diff([]string{"announce", "withdraw"}, d.calls); diff != "" {
		t.Errorf("calls (-want +got)\n%s", diff)
	}
}

func TestSharedRouteGoesWithTheLast(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		m := opened(t, config(d))
		start(t, m, leg(1, "192.0.2.1/32", "192.0.2.3/32"))
		start(t, m, leg(2, "192.0.2.1/32"))
		stop(t, m, key(1))
		wantRoutes(t, d, "192.0.2.1/32")
		wantStatus(t, m, map[uint32]dots.Status{2: dots.StatusMitigated}, 1, 2)
		stop(t, m, key(2))
		wantRoutes(t, d)
	})
}

// TestMissingRouteIsAnnouncedAgain: whoever deletes one at gobgpd does not end a mitigation; the line on the log tells of it.
func TestMissingRouteIsAnnouncedAgain(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		var log bytes.Buffer
		c := config(d)
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		m := opened(t, c)
		start(t, m, leg(1, "192.0.2.1/32"))
		start(t, m, leg(2, "192.0.2.1/32"))
		d.set(func() { clear(d.routes); d.calls = nil })
		wantStatus(t, m, map[uint32]dots.Status{1: dots.StatusInProgress, 2: dots.StatusMitigated}, 1, 2)
		wantRoutes(t, d, "192.0.2.1/32")
		if n := strings.Count(log.String(), `route="route 192.0.2.1/32"`); n != 1 || d.did("announce") != 1 {
			t.Errorf("the log has %d lines, want 1:\n%s", n, &log)
		}
		wantStatus(t, m, map[uint32]dots.Status{1: dots.StatusMitigated}, 1)
	})
}

func TestStatusNeedsAPeer(t *testing.T) {
	v4 := family{afiIPv4, safiUnicast}
	for name, c := range map[string]struct {
		peers []peer
		want  dots.Status
	}{
		"none":                    {nil, dots.StatusInProgress},
		"not established":         {[]peer{{families: families()}}, dots.StatusInProgress},
		"told of no family":       {[]peer{{established: true}}, dots.StatusInProgress},
		"IPv4 only":               {[]peer{{established: true, families: []family{v4}}}, dots.StatusInProgress},
		"one for each":            {[]peer{{established: true, families: []family{v4}}, {established: true, families: families()[1:2]}}, dots.StatusMitigated},
		"IPv4 unsaid, IPv6 other": {[]peer{{established: true}, {established: true, families: families()[1:2]}}, dots.StatusMitigated},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, d *daemon) {
				m := opened(t, config(d))
				start(t, m, leg(1, "192.0.2.1/32", "2001:db8::1/128"))
				d.set(func() { d.peers = c.peers })
				wantStatus(t, m, map[uint32]dots.Status{1: c.want}, 1)
			})
		})
	}
}

// TestStatusAsksByPrefix: gobgpd may hold the whole Internet; only so many prefixes are named in one call.
func TestStatusAsksByPrefix(t *testing.T) {
	d := newDaemon(t, APIv4)
	c := config(d)
	c.MaxPerLeg = 300
	m := opened(t, c)
	l := leg(1)
	for i := range 300 {
		l.Request.Target.Prefixes = append(l.Request.Target.Prefixes, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(i / 256), byte(i)}), 32))
	}
	start(t, m, l)
	wantStatus(t, m, map[uint32]dots.Status{1: dots.StatusMitigated}, 1)
	if d.looks != 2 {
		t.Errorf("asked %d times by prefix, want 2", d.looks)
	}
}

func TestArmedLegHasNoRoutes(t *testing.T) {
	d := newDaemon(t, APIv4)
	m := opened(t, config(d))
	l := leg(1, "192.0.2.1/32")
	l.Request.OnSignalLoss = true
	start(t, m, l)
	wantRoutes(t, d)
	wantStatus(t, m, map[uint32]dots.Status{1: dots.StatusSignalLossArmed}, 1)
	start(t, m, leg(1, "192.0.2.1/32"))
	wantRoutes(t, d, "192.0.2.1/32")
	start(t, m, dots.Leg{Key: key(1), Withdraw: true})
	wantRoutes(t, d)
}

func TestRefusals(t *testing.T) {
	d := newDaemon(t, APIv4)
	c := config(d)
	c.MaxPerLeg, c.MaxRoutes = 2, 3
	m := opened(t, c)
	start(t, m, leg(1, "192.0.2.1/32", "192.0.2.2/32"))
	named := leg(9)
	named.Request.Target.FQDNs = []string{"www.example"}
	for name, c := range map[string]struct {
		leg  dots.Leg
		code dots.Code
	}{
		"too short":    {leg(9, "192.0.2.0/23"), dots.CodeBadRequest},
		"too short v6": {leg(9, "2001:db8::/47"), dots.CodeBadRequest},
		"everything":   {leg(9, "0.0.0.0/0"), dots.CodeBadRequest},
		"names":        {named, dots.CodeBadRequest},
		"many":         {leg(9, "192.0.2.3/32", "192.0.2.4/32", "192.0.2.5/32"), dots.CodeUnavailable},
		"full":         {leg(9, "192.0.2.3/32", "192.0.2.4/32"), dots.CodeUnavailable},
		"change":       {leg(1, "192.0.2.3/32", "192.0.0.0/16"), dots.CodeBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			var refusal *dots.Error
			err := m.Start(context.Background(), c.leg)
			if !errors.As(err, &refusal) || refusal.Code != c.code || len(refusal.Text) > dots.MaxDiagnostic {
				t.Errorf("got %v, want %v", err, c.code)
			} else if (refusal.MaxAge > 0) != (c.code == dots.CodeUnavailable) {
				t.Errorf("Max-Age %v with %v", refusal.MaxAge, c.code)
			}
			wantRoutes(t, d, "192.0.2.1/32", "192.0.2.2/32") // what stood stands
		})
	}
	start(t, m, leg(2, "192.0.2.1/32", "192.0.2.3/32")) // a shared one needs no room
	stop(t, m, key(2))
	start(t, m, leg(3, "192.0.2.4/32")) // there is room again
}

// refuse makes a daemon refuse one kind of call.
func refuse(what string, code codes.Code) func(string) error {
	return func(got string) error {
		if got != what {
			return nil
		}
		return status.Error(code, "no")
	}
}

// TestFailures: what gobgpd says no to is tried again as it is; what it does not answer means that it is gone.
func TestFailures(t *testing.T) {
	for _, c := range []struct {
		what string
		code codes.Code
		gone bool
	}{
		{"announce", codes.Unknown, false},
		{"announce", codes.Unavailable, true},
		{"withdraw", codes.Unknown, false},
		{"withdraw", codes.DeadlineExceeded, true},
		{"list", codes.Unknown, false},
		{"peers", codes.Unavailable, true},
		{"as", codes.Canceled, true},
	} {
		t.Run(c.what+" "+c.code.String(), func(t *testing.T) {
			both(t, func(t *testing.T, d *daemon) {
				m := opened(t, config(d))
				start(t, m, leg(1, "192.0.2.1/32"))
				d.set(func() { d.fail = refuse(c.what, c.code) })
				ctx := context.Background()
				err := map[string]func() error{
					"announce": func() error { return m.Start(ctx, leg(2, "192.0.2.2/32")) },
					"withdraw": func() error { return m.Stop(ctx, key(1)) },
					"list":     func() error { return second(m.Status(ctx, []dots.LegKey{key(1)})) },
					"peers":    func() error { return second(m.Status(ctx, []dots.LegKey{key(1)})) },
					"as":       func() error { return second(m.Status(ctx, nil)) },
				}[c.what]()
				var refusal *dots.Error
				if err == nil || errors.Is(err, upstream.ErrGone) != c.gone || errors.As(err, &refusal) {
					t.Errorf("got %v, want gone %v", err, c.gone)
				}
				d.set(func() { d.fail = nil })
				stop(t, m, key(1))
				stop(t, m, key(2))
				wantRoutes(t, d)
			})
		})
	}
}

func TestFlowspecLeg(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		c := config(d)
		c.Mode = ModeFlowspec
		m := opened(t, c)
		l := leg(1, "192.0.2.1/32", "2001:db8::/64")
		l.Request.Target.Protocols = []uint8{17, 1}
		l.Request.Target.Ports = []dots.PortRange{{Lower: 53, Upper: 53}}
		start(t, m, l)
		if n := len(d.has()); n != 4 { // UDP with ports and ICMP without, for each prefix
			t.Errorf("%d rules, want 4", n)
		}
		wantStatus(t, m, map[uint32]dots.Status{1: dots.StatusMitigated}, 1)
		_ = m.Close()
		again := made(t, c)
		keys, err := again.Open(context.Background())
		if err != nil || len(keys) != 4 {
			t.Fatalf("got %v, %v", keys, err)
		}
		start(t, again, l)
		for _, k := range keys {
			stop(t, again, k)
		}
		wantStatus(t, again, map[uint32]dots.Status{1: dots.StatusMitigated}, 1)
		if n := len(d.has()); n != 4 {
			t.Errorf("%d rules after they were claimed, want 4", n)
		}
		stop(t, again, key(1))
		wantRoutes(t, d)
	})
}
