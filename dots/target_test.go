package dots_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// whole returns a target with two of everything.
func whole() dots.Target {
	return dots.Target{
		Prefixes:  prefixes("192.0.2.0/24", "2001:db8::/32"),
		Ports:     []dots.PortRange{{Lower: 80, Upper: 80}, {Lower: 8000, Upper: 8099}},
		Protocols: []uint8{6, 17},
		FQDNs:     []string{"www.example", "mail.example"},
		URIs:      []string{"https://www.example/", "https://www.example/login"},
		Aliases:   []string{"web", "mail"},
	}
}

// RFC 9132, Section 4.4.1: a request names at least one prefix, FQDN, URI or alias; ports and protocols only narrow it.
func TestTargetEmpty(t *testing.T) {
	for _, tt := range []struct {
		name   string
		target dots.Target
		want   bool
	}{
		{"nothing", dots.Target{}, true},
		{"ports", dots.Target{Ports: []dots.PortRange{{Lower: 80, Upper: 80}}}, true},
		{"protocols", dots.Target{Protocols: []uint8{6}}, true},
		{"ports and protocols", dots.Target{Ports: []dots.PortRange{{Lower: 80, Upper: 80}}, Protocols: []uint8{6}}, true},
		{"lists without elements", dots.Target{Prefixes: []netip.Prefix{}, FQDNs: []string{}, URIs: []string{}, Aliases: []string{}}, true},
		{"prefix", dots.Target{Prefixes: prefixes("192.0.2.1/32")}, false},
		{"name", dots.Target{FQDNs: []string{"www.example"}}, false},
		{"URI", dots.Target{URIs: []string{"https://www.example/"}}, false},
		{"alias", dots.Target{Aliases: []string{"web"}}, false},
		{"everything", whole(), false},
	} {
		if got := tt.target.Empty(); got != tt.want {
			t.Errorf("%s: Empty is %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestTargetEqual changes one thing of a whole target at a time.
func TestTargetEqual(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*dots.Target)
		want   bool
	}{
		{"nothing", func(*dots.Target) {}, true},
		{"order of prefixes", func(o *dots.Target) { slices.Reverse(o.Prefixes) }, true},
		{"order of ports", func(o *dots.Target) { slices.Reverse(o.Ports) }, true},
		{"order of protocols", func(o *dots.Target) { slices.Reverse(o.Protocols) }, true},
		{"order of names", func(o *dots.Target) { slices.Reverse(o.FQDNs) }, true},
		{"order of URIs", func(o *dots.Target) { slices.Reverse(o.URIs) }, true},
		{"order of aliases", func(o *dots.Target) { slices.Reverse(o.Aliases) }, true},
		{"a repeated prefix", func(o *dots.Target) { o.Prefixes = append(o.Prefixes, o.Prefixes[0]) }, true},
		{"a repeated name in place of another", func(o *dots.Target) { o.FQDNs[1] = o.FQDNs[0] }, false},
		{"a prefix less", func(o *dots.Target) { o.Prefixes = o.Prefixes[:1] }, false},
		{"a prefix more", func(o *dots.Target) { o.Prefixes = append(o.Prefixes, prefixes("192.0.2.0/25")...) }, false},
		{"a longer prefix", func(o *dots.Target) { o.Prefixes[0] = netip.MustParsePrefix("192.0.2.0/25") }, false},
		{"the same prefix in the other family", func(o *dots.Target) { o.Prefixes[0] = netip.MustParsePrefix("::ffff:192.0.2.0/120") }, false},
		{"no ports", func(o *dots.Target) { o.Ports = nil }, false},
		{"an upper port", func(o *dots.Target) { o.Ports[1].Upper++ }, false},
		{"a lower port", func(o *dots.Target) { o.Ports[1].Lower-- }, false},
		{"no protocols", func(o *dots.Target) { o.Protocols = nil }, false},
		{"a protocol", func(o *dots.Target) { o.Protocols[0] = 1 }, false},
		{"a name", func(o *dots.Target) { o.FQDNs[0] = "ftp.example" }, false},
		{"a URI", func(o *dots.Target) { o.URIs[0] += "x" }, false},
		{"an alias", func(o *dots.Target) { o.Aliases[0] = "Web" }, false},
		{"no aliases", func(o *dots.Target) { o.Aliases = nil }, false},
		{"a name as an alias", func(o *dots.Target) { o.FQDNs, o.Aliases = o.Aliases, o.FQDNs }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := whole(), whole()
			tt.change(&b)
			if got := a.Equal(b); got != tt.want {
				t.Errorf("Equal is %v, want %v", got, tt.want)
			}
			if got := b.Equal(a); got != tt.want {
				t.Errorf("the other way round: Equal is %v, want %v", got, tt.want)
			}
		})
	}
	if !(dots.Target{}).Equal(dots.Target{Ports: []dots.PortRange{}}) {
		t.Error("an absent list and one without elements are different")
	}
}

// TestTargetEqualLeavesTheOrder: the order is the client's own and goes back to it as it came.
func TestTargetEqualLeavesTheOrder(t *testing.T) {
	a, b := whole(), whole()
	slices.Reverse(b.Prefixes)
	first := b.Prefixes[0]
	if !a.Equal(b) || b.Prefixes[0] != first || a.Prefixes[0] == first {
		t.Errorf("the lists changed: %v, %v", a.Prefixes, b.Prefixes)
	}
}

// TestTargetEqualAgainstAModel compares random lists of few values with the plain definition: the same elements occur.
func TestTargetEqualAgainstAModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(9132, 8783))
	list := func() []uint8 {
		out := make([]uint8, rng.IntN(5))
		for i := range out {
			out[i] = uint8(rng.IntN(3))
		}
		return out
	}
	within := func(a, b []uint8) bool {
		return !slices.ContainsFunc(a, func(v uint8) bool { return !slices.Contains(b, v) })
	}
	equal := 0
	for range 5000 {
		a, b := list(), list()
		want := within(a, b) && within(b, a)
		if want {
			equal++
		}
		if got := (dots.Target{Protocols: a}).Equal(dots.Target{Protocols: b}); got != want {
			t.Fatalf("%v, %v: got %v, want %v", a, b, got, want)
		}
	}
	if equal < 500 || equal > 4500 {
		t.Errorf("%d of 5000 pairs are equal: the test sees one side only", equal)
	}
}

// TestRefreshAllocatesNothing: a refresh carries the target it is compared with, in its order.
func TestRefreshAllocatesNothing(t *testing.T) {
	a, b := whole(), whole()
	equal := true
	if n := testing.AllocsPerRun(100, func() { equal = equal && a.Equal(b) }); n != 0 || !equal {
		t.Errorf("%v allocations, equal %v", n, equal)
	}
}
