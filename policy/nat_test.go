package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// mapping reads "10.0.0.0/24 198.51.100.0/24 443-443 8443-8443".
func mapping(text string) Mapping {
	f := strings.Fields(text)
	m := Mapping{Inside: netip.MustParsePrefix(f[0]), Outside: netip.MustParsePrefix(f[1])}
	if len(f) == 4 {
		m.InsidePorts, m.OutsidePorts = portsOf(f[2])[0], portsOf(f[3])[0]
	}
	return m
}

// portsOf reads "80-80,443-444".
func portsOf(text string) (list []dots.PortRange) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		var r dots.PortRange
		if _, err := fmt.Sscanf(word, "%d-%d", &r.Lower, &r.Upper); err != nil {
			panic(err)
		}
		list = append(list, r)
	}
	return list
}

// inner is a house whose acme is 10.0.0.0/8 and fd00::/16 inside, with these mappings.
func inner(mappings ...string) Config {
	c := house()
	d := &c.Domains[0]
	d.Prefixes, d.URIs, d.Aliases = prefixes("10.0.0.0/8", "fd00::/16"), nil, nil
	for _, m := range mappings {
		d.NAT = append(d.NAT, mapping(m))
	}
	return c
}

// footprintText writes a footprint as its prefixes, ports and whatever else should not be there.
func footprintText(f Footprint) string {
	s := strings.Trim(fmt.Sprint(f.Target.Prefixes), "[]")
	for _, r := range f.Target.Ports {
		s += fmt.Sprintf(" %d-%d", r.Lower, r.Upper)
	}
	if !slices.Equal(f.Expanded.Prefixes, f.Target.Prefixes) {
		s += fmt.Sprint(" expanded ", f.Expanded.Prefixes)
	}
	if rest := slices.Concat(f.Target.FQDNs, f.Target.URIs, f.Target.Aliases, f.Expanded.Names, f.Expanded.URIs, f.Expanded.Aliases); len(rest) > 0 {
		s += fmt.Sprint(" leaks ", rest)
	}
	return s
}

// RFC 9132, Section 3: a gateway at a translation changes the targets on the way out, as the outside knows them.
func TestTranslate(t *testing.T) {
	ported := []string{
		"10.0.0.1/32 198.51.100.1/32 80-80 8080-8080", "10.0.0.1/32 198.51.100.1/32 443-453 443-453", "10.0.0.2/32 198.51.100.1/32 80-80 8081-8081",
		"10.0.1.0/24 198.51.101.0/24",
	}
	tests := []struct {
		name     string
		mappings []string
		asked    []string
		ports    string
		names    []string // addresses of www.example.com, which is asked for when there are some
		want     string   // empty: refused
		text     string
	}{
		{name: "a host", mappings: []string{"10.0.0.0/24 198.51.100.0/24"}, asked: []string{"10.0.0.7/32"}, want: "198.51.100.7/32"},
		{name: "the whole", mappings: []string{"10.0.0.0/24 198.51.100.0/24"}, asked: []string{"10.0.0.0/24"}, want: "198.51.100.0/24"},
		{name: "ports stay", mappings: []string{"10.0.0.0/24 198.51.100.0/24"}, asked: []string{"10.0.0.0/24"}, ports: "9-9,3-4", want: "198.51.100.0/24 3-4 9-9"},
		{name: "an odd third number", mappings: []string{"10.0.1.0/24 198.51.100.0/24"}, asked: []string{"10.0.1.255/32"}, want: "198.51.100.255/32"},
		{name: "into the middle", mappings: []string{"10.0.0.0/28 198.51.100.160/28"}, asked: []string{"10.0.0.12/30"}, want: "198.51.100.172/30"},
		{name: "IPv6", mappings: []string{"fd00:1::/48 2001:db8:7::/48"}, asked: []string{"fd00:1:0:5::/64"}, want: "2001:db8:7:5::/64"},
		{name: "to the other family", mappings: []string{"10.0.0.0/24 2001:db8::a00/120"}, asked: []string{"10.0.0.5/32"}, want: "2001:db8::a05/128"},
		{name: "and back", mappings: []string{"fd00::/120 198.51.100.0/24"}, asked: []string{"fd00::80/121"}, want: "198.51.100.128/25"},
		{
			name: "cut where mappings end", mappings: []string{"10.0.0.0/25 198.51.100.0/25", "10.0.0.128/26 203.0.113.0/26", "10.0.0.192/26 203.0.113.128/26"},
			asked: []string{"10.0.0.0/24"}, want: "198.51.100.0/25 203.0.113.0/26 203.0.113.128/26",
		},
		{
			name: "nested targets", mappings: []string{"10.0.0.0/24 198.51.100.0/24"}, asked: []string{"10.0.0.0/25", "10.0.0.3/32", "10.0.0.128/32"},
			want: "198.51.100.0/25 198.51.100.128/32",
		},
		{
			name: "in part", mappings: []string{"10.0.0.0/25 198.51.100.0/25"}, asked: []string{"10.0.0.0/24"},
			text: "target-prefix 10.0.0.0/24 has no outside address",
		},
		{
			name: "with a hole", mappings: []string{"10.0.0.0/26 198.51.100.0/26", "10.0.0.128/25 198.51.100.128/25"}, asked: []string{"10.0.0.0/24"},
			text: "target-prefix 10.0.0.0/24 has no outside address",
		},
		{
			name: "one of two", mappings: []string{"10.0.0.0/25 198.51.100.0/25"}, asked: []string{"10.0.0.0/25", "fd00::/64"},
			text: "target-prefix fd00::/64 has no outside address",
		},
		{name: "one port", mappings: ported, asked: []string{"10.0.0.1/32"}, ports: "80-80", want: "198.51.100.1/32 8080-8080"},
		{name: "part of a range", mappings: ported, asked: []string{"10.0.0.1/32"}, ports: "450-500", want: "198.51.100.1/32 450-453"},
		{name: "all ports that there are", mappings: ported, asked: []string{"10.0.0.1/32"}, want: "198.51.100.1/32 443-453 8080-8080"},
		{name: "a port that is not there", mappings: ported, asked: []string{"10.0.0.1/32"}, ports: "22-22", text: "target-prefix 10.0.0.1/32 has no outside address"},
		{name: "a port that is not there besides", mappings: ported, asked: []string{"10.0.0.1/32"}, ports: "22-22,80-80", want: "198.51.100.1/32 8080-8080"},
		{name: "two hosts behind one", mappings: ported, asked: []string{"10.0.0.1/32", "10.0.0.2/32"}, ports: "80-80", want: "198.51.100.1/32 8080-8081"},
		{name: "with and without ports", mappings: ported, asked: []string{"10.0.0.2/32", "10.0.1.0/25"}, want: "198.51.100.1/32 198.51.101.0/25"},
		{
			name: "with and without ports, one port", mappings: ported, asked: []string{"10.0.0.2/32", "10.0.1.0/25"}, ports: "80-80",
			want: "198.51.100.1/32 198.51.101.0/25 80-80 8081-8081",
		},
		{
			name: "a name", mappings: []string{"10.0.0.0/24 198.51.100.0/24"}, names: []string{"10.0.0.8", "10.0.0.9"},
			want: "198.51.100.8/32 198.51.100.9/32",
		},
		{
			name: "a name within a prefix", mappings: []string{"10.0.0.0/24 198.51.100.0/24"}, asked: []string{"10.0.0.0/28"}, names: []string{"10.0.0.8"},
			want: "198.51.100.0/28",
		},
		{
			name: "a name's second address", mappings: []string{"10.0.0.0/24 198.51.100.0/24"}, names: []string{"10.0.0.8", "10.0.9.9"},
			text: "target-fqdn www.example.com has no outside address",
		},
		{
			name: "the domain's own outside address", mappings: []string{"10.0.0.0/24 198.51.100.0/24"}, asked: []string{"198.51.100.0/24"},
			text: "target-prefix 198.51.100.0/24 not yours",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := mustNew(t, inner(tt.mappings...))
			a, v := askPrefix(tt.asked...), &fakeView{}
			a.Request.Target.Ports, a.Request.Target.Protocols = portsOf(tt.ports), []uint8{6}
			if len(tt.names) > 0 {
				a.Request.Target.FQDNs = []string{"www.example.com"}
				v.names = map[string]Resolution{"www.example.com": addresses(tt.names...)}
			}
			got := p.Admit(v, a)
			if tt.text != "" {
				wantDeny(t, got.Deny, dots.CodeBadRequest, tt.text)
				return
			}
			if got.Deny != nil {
				t.Fatal(got.Deny)
			}
			if s := footprintText(got.Grant.Outside); s != tt.want {
				t.Errorf("outside %q, want %q", s, tt.want)
			}
			if !slices.Equal(got.Grant.Outside.Target.Protocols, []uint8{6}) {
				t.Errorf("protocols %v", got.Grant.Outside.Target.Protocols)
			}
			if !got.Grant.Request.Target.Equal(a.Request.Target) {
				t.Errorf("the request is %v in its client's words", got.Grant.Request.Target)
			}
		})
	}
}

// TestTranslateURIs: a URI becomes its addresses, by name or written in it; nothing of it leaves.
func TestTranslateURIs(t *testing.T) {
	c := inner("10.0.0.0/24 198.51.100.0/24")
	c.Uplinks[0].RelayOptional = []uint64{130}
	c.Domains[0].URIs = []string{"https://10.0.5.5/"}
	c.Domains[0].Aliases = map[string]dots.Target{"web": {Prefixes: prefixes("10.0.0.80/32"), Ports: portsOf("443-443")}}
	p := mustNew(t, c)
	v := &fakeView{names: map[string]Resolution{"www.example.com": addresses("10.0.0.8")}}
	a := ask(dots.Target{URIs: []string{"https://10.0.0.9/x", "https://www.example.com/login"}, Aliases: []string{"web"}})
	a.Request.Optional = []dots.Raw{{Key: 130}}
	g := p.Admit(v, a).Grant
	if s := footprintText(g.Outside); s != "198.51.100.8/31 198.51.100.80/32" && s != "198.51.100.8/32 198.51.100.9/32 198.51.100.80/32" {
		t.Errorf("outside %q", s)
	}
	if len(g.Request.Optional) != 0 || g.DroppedOptional != 1 {
		t.Errorf("raw attributes went through a translation: %v", g.Request.Optional)
	}
	if !slices.Equal(g.Expanded.Names, []string{"www.example.com"}) || !slices.Equal(g.Expanded.Aliases, []string{"web"}) ||
		!slices.Equal(g.Expanded.Prefixes, prefixes("10.0.0.8/32", "10.0.0.9/32", "10.0.0.80/32")) {
		t.Errorf("inside %+v", g.Expanded)
	}
	wantDeny(t, p.Admit(v, ask(dots.Target{URIs: []string{"https://10.0.5.5/"}})).Deny, dots.CodeBadRequest,
		"target-uri https://10.0.5.5/ has no outside address")
}

// TestTranslateUnresolved: a name without addresses is nothing outside, so owning it is not enough; what is live stays.
func TestTranslateUnresolved(t *testing.T) {
	c := inner("10.0.0.0/24 198.51.100.0/24")
	c.Domains[0].OnDNSFailure = DNSAllow
	p := mustNew(t, c)
	name := ask(dots.Target{FQDNs: []string{"www.example.com"}})
	down := &fakeView{names: map[string]Resolution{"www.example.com": {Failed: true}}}
	wantDeny(t, p.Admit(down, name).Deny, dots.CodeUnavailable, "target-fqdn cannot be resolved now")
	name.Held = dots.Some(name.Request)
	if v := p.Admit(down, name); v.Deny != nil || !v.Grant.Refresh || footprintText(v.Grant.Outside) != "" {
		t.Errorf("refresh: %+v", v)
	}
}

// TestRenewTranslates: addresses of names and mappings of today; while DNS fails those of before stay, as far as they are the domain's and mapped.
func TestRenewTranslates(t *testing.T) {
	a := ask(dots.Target{FQDNs: []string{"www.example.com"}, Prefixes: prefixes("10.0.1.0/32")})
	at := func(list ...string) *fakeView {
		return &fakeView{names: map[string]Resolution{"www.example.com": addresses(list...)}}
	}
	down := &fakeView{names: map[string]Resolution{"www.example.com": {Failed: true}}}
	before := []string{"10.0.0.0/24 198.51.100.0/24", "10.0.1.0/24 203.0.113.0/24"}
	g := mustNew(t, inner(before...)).Admit(at("10.0.0.1", "10.0.0.2"), a).Grant
	tests := []struct {
		name     string
		mappings []string
		own      []string // prefixes; empty: as before
		view     *fakeView
		want     string
		text     string
	}{
		{name: "nothing changed", mappings: before, view: at("10.0.0.1", "10.0.0.2"), want: "198.51.100.1/32 198.51.100.2/32 203.0.113.0/32"},
		{name: "another address", mappings: before, view: at("10.0.0.1", "10.0.1.3"), want: "198.51.100.1/32 203.0.113.0/32 203.0.113.3/32"},
		{name: "an address that is not mapped", mappings: before, view: at("10.0.7.1"), text: "target-fqdn www.example.com has no outside address"},
		{name: "no DNS", mappings: before, view: down, want: "198.51.100.1/32 198.51.100.2/32 203.0.113.0/32"},
		{name: "other mappings", mappings: []string{"10.0.0.0/23 192.0.0.0/23"}, view: at("10.0.0.1"), want: "192.0.0.1/32 192.0.1.0/32"},
		{
			name: "other mappings and no DNS", mappings: []string{"10.0.0.2/32 192.0.0.1/32", "10.0.1.0/24 203.0.113.0/24"}, view: down,
			want: "192.0.0.1/32 203.0.113.0/32",
		},
		{name: "a mapping gone", mappings: before[:1], view: at("10.0.0.1"), text: "target-prefix 10.0.1.0/32 has no outside address"},
		{
			name: "no DNS, and the domain has less", mappings: []string{"10.0.1.0/24 203.0.113.0/24"}, own: []string{"10.0.1.0/24"}, view: down,
			want: "203.0.113.0/32",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := inner(tt.mappings...)
			if len(tt.own) > 0 {
				c.Domains[0].Prefixes = prefixes(tt.own...)
			}
			now, err := mustNew(t, c).Renew(tt.view, g)
			if tt.text != "" {
				wantDeny(t, err, dots.CodeBadRequest, tt.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s := footprintText(now.Outside); s != tt.want {
				t.Errorf("outside %q, want %q", s, tt.want)
			}
			if len(now.Outside.Target.Prefixes) != len(now.Expanded.Prefixes) {
				t.Errorf("inside %v, outside %v", now.Expanded.Prefixes, now.Outside.Target.Prefixes)
			}
		})
	}
}

// RFC 9132, Section 4.4.1.3: a conflict's scope is told in the words of the client, and only its own part.
func TestInside(t *testing.T) {
	ported := []string{"10.0.0.1/32 198.51.100.1/32 80-80 80-80", "10.0.0.2/32 198.51.100.1/32 81-81 81-81", "10.0.1.0/24 203.0.113.0/24", "fd00::/120 192.0.0.0/24"}
	tests := []struct {
		name  string
		own   []string
		scope []string
		want  []string
	}{
		{"nothing", []string{"10.0.1.0/24"}, nil, nil},
		{"the whole", []string{"10.0.1.0/24"}, []string{"203.0.113.0/24"}, []string{"10.0.1.0/24"}},
		{"a part", []string{"10.0.1.0/24"}, []string{"203.0.113.64/26"}, []string{"10.0.1.64/26"}},
		{"with host bits", []string{"10.0.1.0/24"}, []string{"203.0.113.65/26"}, []string{"10.0.1.64/26"}},
		{"wider", []string{"10.0.1.0/25"}, []string{"203.0.113.0/24"}, []string{"10.0.1.0/25"}},
		{"wider than mapped", []string{"10.0.1.0/25"}, []string{"203.0.112.0/20"}, []string{"10.0.1.0/25"}},
		{"shared with another client", []string{"10.0.0.2/32"}, []string{"198.51.100.1/32"}, []string{"10.0.0.2/32"}},
		{"shared by two of its own", []string{"10.0.0.1/32", "10.0.0.2/32"}, []string{"198.51.100.1/32"}, []string{"10.0.0.1/32", "10.0.0.2/32"}},
		{"another client's", []string{"10.0.1.0/25"}, []string{"203.0.113.128/25"}, nil},
		{"an inside address from outside", []string{"10.0.1.0/25"}, []string{"10.0.1.0/25"}, nil},
		{"another family", []string{"fd00::/120"}, []string{"192.0.0.4/32"}, []string{"fd00::4/128"}},
	}
	p := mustNew(t, inner(ported...))
	for _, tt := range tests {
		g := Grant{Domain: "acme", Expanded: Expanded{Prefixes: prefixes(tt.own...)}}
		scope := dots.Target{Prefixes: prefixes(tt.scope...), FQDNs: []string{"www.example.com"}, URIs: []string{"https://x.example/"}, Aliases: []string{"a"}}
		if s := diff(dots.Target{Prefixes: prefixes(tt.want...)}, p.Inside(g, scope)); s != "" {
			t.Errorf("%s: %s", tt.name, s)
		}
	}
}

// TestInsideWithoutTranslation cuts, and leaves the rest as it is.
func TestInsideWithoutTranslation(t *testing.T) {
	p := mustNew(t, house())
	g := Grant{Domain: "acme", Expanded: Expanded{Prefixes: prefixes("198.51.100.0/25"), Names: []string{"www.example.com"}, Aliases: []string{"web"}}}
	got := p.Inside(g, dots.Target{Prefixes: prefixes("203.0.113.0/24", "198.51.100.0/24"), FQDNs: []string{"z.example", "www.example.com"}, Aliases: []string{"web"}})
	if s := diff(dots.Target{Prefixes: prefixes("198.51.100.0/25"), FQDNs: []string{"www.example.com"}}, got); s != "" {
		t.Error(s)
	}
	if g.Domain = "gone"; len(p.Inside(g, dots.Target{Prefixes: prefixes("198.51.100.0/24")}).Prefixes) != 1 {
		t.Error("a grant of a domain that is gone is cut by what it has")
	}
}

// TestTranslationIsOneToOne compares random mappings and targets with an address by address translation, and turns every address back.
func TestTranslationIsOneToOne(t *testing.T) {
	r := rand.New(rand.NewPCG(9132, 3))
	for range 500 {
		// Disjoint blocks of 10.0.0.0/24 in a random order over 198.51.100.0/24.
		bits := 26 + r.IntN(4)
		blocks := 1 << (bits - 24)
		order := r.Perm(blocks)
		size := 1 << (32 - bits)
		var list []string
		where := map[netip.Addr]netip.Addr{}
		for i, o := range order {
			if r.IntN(5) == 0 {
				continue
			}
			list = append(list, fmt.Sprintf("10.0.0.%d/%d 198.51.100.%d/%d", i*size, bits, o*size, bits))
			for k := range size {
				where[netip.AddrFrom4([4]byte{10, 0, 0, byte(i*size + k)})] = netip.AddrFrom4([4]byte{198, 51, 100, byte(o*size + k)})
			}
		}
		if len(list) == 0 {
			continue
		}
		p := mustNew(t, inner(list...))
		long := 24 + r.IntN(9)
		asked := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(256))}), long).Masked()
		want := map[netip.Addr]bool{}
		whole := true
		for a := asked.Addr(); asked.Contains(a); a = a.Next() {
			out, ok := where[a]
			whole = whole && ok
			want[out] = true
		}
		v := p.Admit(&fakeView{}, ask(dots.Target{Prefixes: []netip.Prefix{asked}}))
		if (v.Deny == nil) != whole {
			t.Fatalf("%v over %v: %v", asked, list, v.Deny)
		}
		if !whole {
			continue
		}
		checkOneToOne(t, p, v.Grant, want)
	}
}

// checkOneToOne tests that a grant's outside is exactly the addresses wanted, and that they lead back to its inside.
func checkOneToOne(t *testing.T, p *Policy, g Grant, want map[netip.Addr]bool) {
	t.Helper()
	n := 0
	for _, q := range g.Outside.Target.Prefixes {
		for a := q.Addr(); q.Contains(a); a = a.Next() {
			n++
			if !want[a] {
				t.Fatalf("%v is not asked for by %v", a, g.Request.Target.Prefixes)
			}
		}
	}
	if n != len(want) {
		t.Fatalf("%d addresses outside, want %d", n, len(want))
	}
	back := outermost(p.Inside(g, g.Outside.Target).Prefixes)
	if !sameAddresses(back, g.Expanded.Prefixes) {
		t.Fatalf("back inside %v is %v", g.Expanded.Prefixes, back)
	}
}

// TestTooManyParts: what one request costs is bounded, however finely addresses are mapped or assigned.
func TestTooManyParts(t *testing.T) {
	c := parted(4096)
	if v := mustNew(t, c).Admit(&fakeView{}, askPrefix("10.0.0.0/8")); v.Deny != nil || len(v.Grant.Outside.Target.Prefixes) != 4096 {
		t.Fatalf("%v, %d parts", v.Deny, len(v.Grant.Outside.Target.Prefixes))
	}
	const text = "target has too many parts: ask for less at a time"
	wantDeny(t, mustNew(t, c).Admit(&fakeView{}, askPrefix("10.0.0.0/8", "10.0.0.0/32")).Deny, dots.CodeBadRequest, text)
	c.Domains[0].NAT[7].Inside, c.Domains[0].NAT[7].Outside = netip.MustParsePrefix("10.0.112.0/21"), netip.MustParsePrefix("101.0.112.0/21")
	c.Domains[0].NAT = append(c.Domains[0].NAT, mapping("10.0.120.0/21 101.0.120.0/21"))
	wantDeny(t, mustNew(t, c).Admit(&fakeView{}, askPrefix("10.0.0.0/8")).Deny, dots.CodeBadRequest, text)
	c = estate()
	c.Domains[0].Prefixes = prefixes("10.0.0.0/8")
	c.Domains[0].Aliases, c.Domains[0].URIs = nil, nil
	for i, p := range manyPrefixes(5000) {
		c.Uplinks[i%2].Prefixes = append(c.Uplinks[i%2].Prefixes, p)
	}
	p := mustNew(t, c)
	wantDeny(t, p.Admit(&fakeView{}, askPrefix("10.0.0.0/8")).Deny, dots.CodeBadRequest, text)
	if v := p.Admit(&fakeView{}, askPrefix("10.0.0.0/20")); v.Deny != nil {
		t.Error(v.Deny)
	}
}
