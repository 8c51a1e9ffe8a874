//go:build interop

package interop

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/upstream"
	"github.com/dotsgate/dotsgate/upstream/bgp"
)

// announcer is a mitigator that announces through a pair's speaker.
type announcer struct {
	t *testing.T
	m *bgp.Mitigator
}

// announcer makes one and opens it; stale is how many routes of an earlier run it has to find.
func (p *pair) announcer(stale int, change func(*bgp.Config)) (announcer, []dots.LegKey) {
	p.t.Helper()
	c := bgp.Config{Name: "edge", Node: "gw.interop.example", Address: p.socket("speaker"), Mode: bgp.ModeBlackhole}
	// gobgpd 3 takes no route whose next hop is on the loopback network, which its own address is here
	c.NextHop4, c.NextHop6 = netip.MustParseAddr("192.0.2.254"), netip.MustParseAddr("100::1")
	change(&c)
	m, err := bgp.New(c)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = m.Close() })
	keys, err := m.Open(context.Background())
	if err != nil || len(keys) != stale {
		p.t.Fatalf("opening finds %v, %v; want %d routes", keys, err, stale)
	}
	return announcer{p.t, m}, keys
}

func bgpKey(mid uint32) dots.LegKey { return dots.LegKey{Uplink: "edge", CUID: "cuid", MID: mid} }

func (a announcer) start(mid uint32, target dots.Target) {
	a.t.Helper()
	if err := a.m.Start(context.Background(), dots.Leg{Key: bgpKey(mid), Request: dots.Request{MID: mid, Target: target}}); err != nil {
		a.t.Fatal(err)
	}
}

func (a announcer) stop(keys ...dots.LegKey) {
	a.t.Helper()
	for _, k := range keys {
		if err := a.m.Stop(context.Background(), k); err != nil {
			a.t.Fatal(err)
		}
	}
}

func (a announcer) status(mid uint32, want dots.Status) {
	a.t.Helper()
	list, err := a.m.Status(context.Background(), []dots.LegKey{bgpKey(mid)})
	if err != nil || len(list) != 1 || list[0].Report.Status != want {
		a.t.Fatalf("status of %d is %+v, %v; want %v", mid, list, err, want)
	}
}

func prefixes(list ...string) dots.Target {
	var t dots.Target
	for _, p := range list {
		t.Prefixes = append(t.Prefixes, netip.MustParsePrefix(p))
	}
	return t
}

// eachGeneration runs a test with either gobgpd, all at the same time: what takes so long is waiting for BGP's timers.
func eachGeneration(t *testing.T, test func(p *pair)) {
	t.Helper()
	t.Parallel()
	for _, g := range generations() {
		t.Run(g.api, func(t *testing.T) {
			t.Parallel()
			test(newPair(t, g))
		})
	}
}

// TestInteropBGPBlackhole announces, and restarts both sides: the peer sees what is wanted and nothing else.
func TestInteropBGPBlackhole(t *testing.T) {
	eachGeneration(t, func(p *pair) {
		a, _ := p.announcer(0, func(*bgp.Config) {})
		a.start(1, prefixes("192.0.2.1/32", "2001:db8::1/128", "192.0.2.3/32"))
		a.start(2, prefixes("192.0.2.1/32"))
		one := []string{"192.0.2.1/32", "192.0.2.254", "{Communities: blackhole}", "{LargeCommunity: [ 64500:"}
		three := []string{"192.0.2.3/32", "{Communities: blackhole}"}
		p.hears("ipv4", one, three)
		p.hears("ipv6", []string{"2001:db8::1/128", "100::1", "{Communities: blackhole}"})
		a.status(1, dots.StatusMitigated)

		// one of two that want the same route lets it go; the other keeps it
		a.start(3, prefixes("192.0.2.3/32"))
		a.stop(bgpKey(1))
		p.hears("ipv6")
		p.hears("ipv4", one, three)

		p.hold(a, one, three)

		// both at once: gobgpd has lost all, and we do not know what there was
		p.restart()
		again, _ := p.announcer(0, func(*bgp.Config) {})
		again.start(2, prefixes("192.0.2.1/32"))
		p.hears("ipv4", one)
		again.stop(bgpKey(2))
		p.hears("ipv4")
		if left := p.table("speaker", "ipv4"); len(left) != 0 {
			p.t.Errorf("gobgpd still has %q", left)
		}
	})
}

// hold restarts our side, then gobgpd: leg 2 is wanted all the time, and what only leg 3 wanted goes.
func (p *pair) hold(a announcer, one, three []string) {
	p.t.Helper()
	_ = a.m.Close()
	b, stale := p.announcer(2, func(*bgp.Config) {})
	p.hears("ipv4", one, three)
	b.start(2, prefixes("192.0.2.1/32"))
	b.stop(stale...)
	b.status(2, dots.StatusMitigated)
	p.hears("ipv4", one)

	p.restart()
	if _, err := b.m.Status(context.Background(), []dots.LegKey{bgpKey(2)}); !errors.Is(err, upstream.ErrGone) {
		p.t.Fatalf("after gobgpd's restart: %v, want that it is gone", err)
	}
	if keys, err := b.m.Open(context.Background()); err != nil || len(keys) != 0 {
		p.t.Fatalf("opening anew finds %v, %v; want nothing", keys, err)
	}
	b.start(2, prefixes("192.0.2.1/32"))
	p.hears("ipv4", one)
	_ = b.m.Close()
}

// TestInteropBGPOwnNextHop: without one configured, gobgpd puts its own. Only gobgpd 4 takes one on the loopback network.
func TestInteropBGPOwnNextHop(t *testing.T) {
	t.Parallel()
	g := generations()[1]
	p := newPair(t, g)
	a, _ := p.announcer(0, func(c *bgp.Config) {
		c.NextHop4, c.NextHop6, c.API = netip.Addr{}, netip.Addr{}, g.api
		c.Communities = []string{"64500:66", "64500:6:6"}
	})
	a.start(1, prefixes("192.0.2.0/24"))
	p.hears("ipv4", []string{"192.0.2.0/24", speakerAddress, "{Communities: 64500:66}", "64500:6:6"})
}

// TestInteropBGPFlowspec has a rule of each action, read back by the peer.
func TestInteropBGPFlowspec(t *testing.T) {
	eachGeneration(t, func(p *pair) {
		some := prefixes("192.0.2.1/32", "2001:db8::/64")
		some.Protocols = []uint8{17, 1}
		some.Ports = []dots.PortRange{{Lower: 1000, Upper: 2000}, {Lower: 53, Upper: 53}}
		udp, icmp := "[protocol: ==udp][destination-port: ==53 >=1000&<=2000]", "[protocol: ==icmp]"
		discard := flowspec(func(*bgp.Config) {})
		a, _ := p.announcer(0, discard)
		a.start(1, some)
		p.hears("ipv4-flowspec", []string{"[destination: 192.0.2.1/32]" + udp, "discard"}, []string{"[destination: 192.0.2.1/32]" + icmp, "discard"})
		p.hears("ipv6-flowspec", []string{"[destination: 2001:db8::/64/0]", "[destination-port: ==53 >=1000&<=2000]", "discard"},
			[]string{"[destination: 2001:db8::/64/0]", icmp, "discard"})
		a.status(1, dots.StatusMitigated)

		rate, _ := p.announcer(0, flowspec(func(c *bgp.Config) { c.Name, c.Action, c.Rate = "limit", bgp.ActionRate, 125000 }))
		rate.start(1, prefixes("192.0.2.2/32"))
		redirect, _ := p.announcer(0, flowspec(func(c *bgp.Config) { c.Name, c.Action, c.RedirectTo = "scrub", bgp.ActionRedirect, "64500:7" }))
		redirect.start(1, prefixes("192.0.2.3/32"))
		a.stop(bgpKey(1))
		p.hears("ipv6-flowspec")
		p.hears("ipv4-flowspec", []string{"[destination: 192.0.2.2/32]", "rate: 125000"}, []string{"[destination: 192.0.2.3/32]", "redirect: 64500:7"})

		// restarts: ours, with a rule that nobody wants any more, and gobgpd's
		a.start(2, some)
		_ = a.m.Close()
		b, stale := p.announcer(4, discard)
		some.Prefixes = some.Prefixes[:1]
		b.start(3, some)
		b.stop(stale...)
		b.status(3, dots.StatusMitigated)
		p.hears("ipv6-flowspec")
		p.restart()
		if keys, err := b.m.Open(context.Background()); err != nil || len(keys) != 0 {
			p.t.Fatalf("opening anew finds %v, %v; want nothing", keys, err)
		}
		b.start(3, some)
		p.hears("ipv4-flowspec", []string{"[destination: 192.0.2.1/32]" + udp}, []string{"[destination: 192.0.2.1/32]" + icmp})
		b.stop(bgpKey(3))
		p.hears("ipv4-flowspec")
	})
}

func flowspec(change func(*bgp.Config)) func(*bgp.Config) {
	return func(c *bgp.Config) {
		c.Mode = bgp.ModeFlowspec
		change(c)
	}
}

// TestInteropBGPNoPeer: while nobody hears of a route, nothing is mitigated.
func TestInteropBGPNoPeer(t *testing.T) {
	eachGeneration(t, func(p *pair) {
		a, _ := p.announcer(0, func(*bgp.Config) {})
		a.start(1, prefixes("192.0.2.1/32"))
		a.status(1, dots.StatusMitigated)
		p.ask("speaker", "neighbor", listenerAddress, "disable")
		if !p.poll(func() bool { return len(p.table("listener", "ipv4")) == 0 }) {
			p.t.Fatal("the session does not end")
		}
		a.status(1, dots.StatusInProgress)
		p.ask("speaker", "neighbor", listenerAddress, "enable")
		p.hears("ipv4", []string{"192.0.2.1/32"})
		a.status(1, dots.StatusMitigated)
	})
}

// TestInteropBGPRouteDeleted: what somebody deletes at gobgpd comes back.
func TestInteropBGPRouteDeleted(t *testing.T) {
	eachGeneration(t, func(p *pair) {
		a, _ := p.announcer(0, func(*bgp.Config) {})
		a.start(1, prefixes("192.0.2.1/32"))
		p.hears("ipv4", []string{"192.0.2.1/32"})
		p.ask("speaker", "global", "rib", "del", "192.0.2.1/32")
		p.hears("ipv4")
		a.status(1, dots.StatusInProgress)
		p.hears("ipv4", []string{"192.0.2.1/32"})
		a.status(1, dots.StatusMitigated)
	})
}
