package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// ownedBy is the oracle of address ownership: it halves a prefix until one of the list holds it, or nothing of the list lies in it.
func ownedBy(list []netip.Prefix, p netip.Prefix) bool {
	p = p.Masked()
	inside := false
	for _, q := range list {
		if q.Bits() <= p.Bits() && q.Contains(p.Addr()) {
			return true
		}
		inside = inside || p.Overlaps(q)
	}
	if !inside {
		return false
	}
	low := netip.PrefixFrom(p.Addr(), p.Bits()+1)
	b := p.Addr().AsSlice()
	b[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	top, _ := netip.AddrFromSlice(b)
	return ownedBy(list, low) && ownedBy(list, netip.PrefixFrom(top, p.Bits()+1))
}

func TestOwnedByOracle(t *testing.T) {
	list := prefixes("198.51.100.0/25", "198.51.100.128/26", "198.51.100.192/26", "2001:db8::/33", "2001:db8:8000::/33")
	for s, want := range map[string]bool{
		"198.51.100.0/24": true, "198.51.100.0/23": false, "198.51.101.0/24": false, "0.0.0.0/0": false, "2001:db8::/32": true,
		"2001:db8::/31": false, "::/0": false, "::ffff:198.51.100.0/120": false,
	} {
		if got := ownedBy(list, netip.MustParsePrefix(s)); got != want {
			t.Errorf("%s: %v", s, got)
		}
	}
}

// world is what the generated requests are about, and the oracle's knowledge of it.
type world struct {
	r      *rand.Rand
	owned  []netip.Prefix
	names  map[string]Resolution
	policy *Policy
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{r: rand.New(rand.NewPCG(seed, seed)), names: map[string]Resolution{}}
	for range 1 + w.r.IntN(12) {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(100 + w.r.IntN(2)), byte(w.r.IntN(256))}), 24+w.r.IntN(8)).Masked()
		if w.r.IntN(4) == 0 {
			p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, byte(w.r.IntN(4))}), 46+w.r.IntN(4)).Masked()
		}
		w.owned = append(w.owned, p)
	}
	own := netip.PrefixFrom(w.owned[0].Addr(), w.owned[0].Addr().BitLen())
	c := Config{
		Uplinks: []Uplink{{Name: "up"}},
		Domains: []Domain{
			{
				Name: "acme", Prefixes: w.owned, Names: []string{"example.com"}, URIs: []string{"https://hosted.example.net/acme"},
				Aliases: map[string]dots.Target{"own": {Prefixes: []netip.Prefix{own}}, "named": {FQDNs: []string{"n3.example.com"}}},
				Clients: []ClientEntry{{Name: "one", PSKIdentities: []string{"one"}}},
			},
			{Name: "other", Prefixes: prefixes("192.0.2.0/24"), Names: []string{"other.example"}, Aliases: map[string]dots.Target{"theirs": {Prefixes: prefixes("192.0.2.1/32")}}},
		},
	}
	w.policy = mustNew(t, c)
	for i := range 10 {
		for _, suffix := range []string{"example.com", "other.example", "badexample.com"} {
			w.names[fmt.Sprintf("n%d.%s", i, suffix)] = w.resolution()
		}
	}
	w.names["hosted.example.net"] = w.resolution()
	return w
}

// resolution is an answer that mostly stays inside.
func (w *world) resolution() Resolution {
	if w.r.IntN(12) == 0 {
		return Resolution{Failed: w.r.IntN(2) == 0}
	}
	var r Resolution
	for range 1 + w.r.IntN(3) {
		a := w.owned[w.r.IntN(len(w.owned))].Addr()
		switch w.r.IntN(16) {
		case 0:
			a = netip.MustParseAddr("192.0.2.1")
		case 1:
			a = netip.AddrFrom16(a.As16()) // IPv4 in IPv6
		case 2:
			a = netip.MustParseAddr("127.0.0.1")
		}
		r.Addresses = append(r.Addresses, a)
	}
	return r
}

// resolves is the oracle of names: there are addresses, and all of them are owned.
func (w *world) resolves(name string) bool {
	r := w.names[name]
	for _, a := range r.Addresses {
		if !ownedBy(w.owned, netip.PrefixFrom(a, a.BitLen())) {
			return false
		}
	}
	return len(r.Addresses) > 0
}

// prefix is a request's prefix of any kind that was ever tried.
func (w *world) prefix() (netip.Prefix, bool) {
	q := w.owned[w.r.IntN(len(w.owned))]
	p := q
	switch w.r.IntN(12) {
	case 0, 1, 2: // inside, with host bits
		p = netip.PrefixFrom(w.inside(q), q.Bits()+w.r.IntN(q.Addr().BitLen()-q.Bits()+1))
	case 3: // super-prefix
		p = netip.PrefixFrom(q.Addr(), max(0, q.Bits()-1-w.r.IntN(3)))
	case 4: // super-prefix with host bits
		p = netip.PrefixFrom(w.inside(q), w.r.IntN(q.Bits()+1))
	case 5:
		if q.Addr().Is4() {
			p = netip.PrefixFrom(netip.AddrFrom16(q.Addr().As16()), 96+q.Bits())
		}
	case 6:
		p = netip.MustParsePrefix([]string{"0.0.0.0/0", "::/0", "::ffff:0:0/96", "0.0.0.0/32", "::/128"}[w.r.IntN(5)])
	case 7:
		p = netip.MustParsePrefix([]string{"127.0.0.0/8", "::1/128", "224.0.0.1/32", "ff02::1/128", "255.255.255.255/32"}[w.r.IntN(5)])
	case 8:
		p = netip.MustParsePrefix("192.0.2.0/24")
	}
	return p, ownedBy(w.owned, p)
}

// inside is an address of a prefix.
func (w *world) inside(q netip.Prefix) netip.Addr {
	b := q.Addr().AsSlice()
	for i := q.Bits(); i < len(b)*8; i++ {
		if w.r.IntN(2) == 0 {
			b[i/8] |= 0x80 >> (i % 8)
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// name is a request's name.
func (w *world) name() (string, bool) {
	n := w.r.IntN(10)
	suffix, owned := "example.com", true
	switch w.r.IntN(8) {
	case 0:
		suffix, owned = "other.example", false
	case 1:
		suffix, owned = "badexample.com", false
	}
	name := fmt.Sprintf("n%d.%s", n, suffix)
	ok := owned && w.resolves(name)
	if w.r.IntN(3) == 0 {
		name = strings.ToUpper(name) + "."
	}
	return name, ok
}

// uri is a request's URI.
func (w *world) uri() (string, bool) {
	switch w.r.IntN(6) {
	case 0:
		p, _ := w.prefix()
		ok := ownedBy(w.owned, netip.PrefixFrom(p.Addr(), p.Addr().BitLen()))
		if p.Addr().Is4() {
			return fmt.Sprintf("http://%v:8080/", p.Addr()), ok
		}
		return fmt.Sprintf("http://[%v]/", p.Addr()), ok
	case 1:
		name, _ := w.name()
		return "https://n0.example.com@" + name + "/", false
	case 2:
		path, ok := "/acme", true
		switch w.r.IntN(3) {
		case 0:
			path, ok = "/acme2", false
		case 1:
			path, ok = "/acme/%2e%2e/x", false
		}
		return "https://hosted.example.net" + path, ok && w.resolves("hosted.example.net")
	}
	name, ok := w.name()
	return "https://" + name + "/path", ok
}

// alias is a request's alias.
func (w *world) alias() (string, bool) {
	switch w.r.IntN(5) {
	case 0:
		return "theirs", false
	case 1:
		return "Own", false
	case 2:
		return "named", w.resolves("n3.example.com")
	}
	return "own", true
}

// request is a random target, and the oracle's verdict on it.
func (w *world) request() (dots.Target, bool) {
	var t dots.Target
	all := true
	note := func(ok bool) { all = all && ok }
	for range w.r.IntN(3) {
		p, ok := w.prefix()
		t.Prefixes = append(t.Prefixes, p)
		note(ok)
	}
	for _, part := range []struct {
		list *[]string
		draw func() (string, bool)
	}{{&t.FQDNs, w.name}, {&t.URIs, w.uri}, {&t.Aliases, w.alias}} {
		for range w.r.IntN(4) / 2 {
			s, ok := part.draw()
			*part.list = append(*part.list, s)
			note(ok)
		}
	}
	if w.r.IntN(2) == 0 {
		t.Ports = []dots.PortRange{{Lower: 53, Upper: 53}}
	}
	return t, all && !t.Empty()
}

// TestNothingEscapes sends 50,000 generated requests through policy and an oracle that shares no code with it: neither lets through what the
// other refuses, and what is granted names nothing outside the domain.
//
// RFC 9132, Section 4.4.1: a server must not act beyond the client's domain.
func TestNothingEscapes(t *testing.T) {
	granted := 0
	for seed := range uint64(100) {
		w := newWorld(t, seed)
		v := &fakeView{names: w.names}
		for range 500 {
			target, want := w.request()
			got := w.policy.Admit(v, ask(target))
			if len(got.Questions) > 0 {
				t.Fatalf("seed %d: asked for %v", seed, got.Questions)
			}
			if (got.Deny == nil) != want {
				t.Fatalf("seed %d: owned %v, target %+v: refused %v, want allowed %v", seed, w.owned, target, got.Deny, want)
			}
			if !want {
				continue
			}
			granted++
			for _, p := range append(got.Grant.Expanded.Prefixes, got.Grant.Request.Target.Prefixes...) {
				if p != p.Masked() || !ownedBy(w.owned, p) {
					t.Fatalf("seed %d: granted %v of %v", seed, p, w.owned)
				}
			}
			for _, n := range got.Grant.Watch {
				if !strings.HasSuffix(n, ".example.com") && n != "hosted.example.net" {
					t.Fatalf("seed %d: granted the name %s", seed, n)
				}
			}
		}
	}
	if granted < 5000 || granted > 45000 {
		t.Errorf("%d of 50000 were granted: the generator is lopsided", granted)
	}
}
