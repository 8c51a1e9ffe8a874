package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// worldNames is what the resolver of these tests says.
func worldNames() map[string]Resolution {
	return map[string]Resolution{
		"www.example.com":     addresses("198.51.100.80", "2001:db8:1::80"),
		"mail.example.com":    addresses("198.51.100.25"),
		"cdn.example.com":     addresses("198.51.100.81", "192.0.2.7"),
		"far.example.com":     addresses("192.0.2.7"),
		"mapped.example.com":  addresses("::ffff:198.51.100.80"),
		"local.example.com":   addresses("127.0.0.1"),
		"broken.example.com":  {Failed: true},
		"empty.example.com":   {},
		"hosted.example.net":  addresses("198.51.100.90"),
		"shop.example.net":    addresses("198.51.100.91"),
		"www.other.example":   addresses("192.0.2.1"),
		"zoned.example.com":   {Addresses: []netip.Addr{netip.MustParseAddr("2001:db8:1::1").WithZone("eth0")}},
		"invalid.example.com": {Addresses: []netip.Addr{{}}},
	}
}

// RFC 9132, Section 4.4.1: every target must be of the client's domain, names after resolution too. What is not is answered 4.00, with the
// reason.
func TestAdmitOwnership(t *testing.T) {
	prefix := func(list ...string) dots.Target { return dots.Target{Prefixes: prefixes(list...)} }
	fqdn := func(list ...string) dots.Target { return dots.Target{FQDNs: list} }
	link := func(list ...string) dots.Target { return dots.Target{URIs: list} }
	tests := []struct {
		name   string
		target dots.Target
		text   string   // of the 4.00; empty: allowed
		want   []string // expanded prefixes
	}{
		{"own prefix", prefix("198.51.100.0/24"), "", []string{"198.51.100.0/24"}},
		{"host in it", prefix("198.51.100.7/32"), "", []string{"198.51.100.7/32"}},
		{"two owned halves", prefix("203.0.113.0/24"), "", []string{"203.0.113.0/24"}},
		{"host bits", prefix("198.51.100.77/25"), "", []string{"198.51.100.0/25"}},
		{"IPv6", prefix("2001:db8:1:2::/64"), "", []string{"2001:db8:1:2::/64"}},
		{"super-prefix", prefix("198.51.100.0/23"), "target-prefix 198.51.100.0/23 not yours", nil},
		{"host bits of a super-prefix", prefix("198.51.100.77/22"), "target-prefix 198.51.100.0/22 not yours", nil},
		{"another domain's", prefix("192.0.2.0/24"), "target-prefix 192.0.2.0/24 not yours", nil},
		{"one good, one not", prefix("198.51.100.0/24", "192.0.2.1/32"), "target-prefix 192.0.2.1/32 not yours", nil},
		{"everything", prefix("0.0.0.0/0"), "target-prefix 0.0.0.0/0 not yours", nil},
		{"everything in IPv6", prefix("::/0"), "target-prefix ::/0 not yours", nil},
		{"IPv4 in IPv6", prefix("::ffff:198.51.100.0/120"), "target-prefix ::ffff:198.51.100.0/120 not yours", nil},
		{"loopback", prefix("127.0.0.1/32"), "target-prefix 127.0.0.1/32 not yours", nil},
		{"multicast", prefix("ff02::1/128"), "target-prefix ff02::1/128 not yours", nil},
		{"no prefix at all", dots.Target{Prefixes: []netip.Prefix{{}}}, "target-prefix invalid Prefix not yours", nil},
		{"ports alone", dots.Target{Ports: []dots.PortRange{{Lower: 80, Upper: 80}}}, "no target", nil},

		{"name", fqdn("WWW.example.com."), "", []string{"198.51.100.80/32", "2001:db8:1::80/128"}},
		{"another domain's name", fqdn("www.other.example"), "target-fqdn www.other.example not yours", nil},
		{"suffix without a dot", fqdn("badexample.com"), "target-fqdn badexample.com not yours", nil},
		{"one address outside", fqdn("cdn.example.com"), "target-fqdn cdn.example.com leads outside", nil},
		{"all outside", fqdn("far.example.com"), "target-fqdn far.example.com leads outside", nil},
		{"IPv4 in IPv6 by name", fqdn("mapped.example.com"), "target-fqdn mapped.example.com leads outside", nil},
		{"loopback by name", fqdn("local.example.com"), "target-fqdn local.example.com leads outside", nil},
		{"zone by name", fqdn("zoned.example.com"), "target-fqdn zoned.example.com leads outside", nil},
		{"no address by name", fqdn("invalid.example.com"), "target-fqdn invalid.example.com leads outside", nil},
		{"no addresses", fqdn("empty.example.com"), "target-fqdn empty.example.com has no address", nil},
		{"address as name", fqdn("198.51.100.1"), "target-fqdn 198.51.100.1 is no name", nil},
		{"wildcard", fqdn("*.example.com"), "target-fqdn *.example.com is no name", nil},
		{"long name", fqdn(strings.Repeat("a.", 60) + "example.org"), "target-fqdn a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a... not yours", nil},

		{"uri by name", link("https://www.example.com/x"), "", []string{"198.51.100.80/32", "2001:db8:1::80/128"}},
		{"uri by address", link("http://198.51.100.5:81/"), "", []string{"198.51.100.5/32"}},
		{"uri by IPv6 address", link("http://[2001:db8:1::5]/"), "", []string{"2001:db8:1::5/128"}},
		{"uri by prefix", link("https://hosted.example.net/acme/shop"), "", []string{"198.51.100.90/32"}},
		{"uri beside the prefix", link("https://hosted.example.net/acme2"), "target-uri https://hosted.example.net/acme2 not yours", nil},
		{"uri of the port", link("https://shop.example.net:8443/a"), "", []string{"198.51.100.91/32"}},
		{"uri of another port", link("https://shop.example.net/a"), "target-uri https://shop.example.net/a not yours", nil},
		{"foreign address", link("http://192.0.2.1/"), "target-uri http://192.0.2.1/ not yours", nil},
		{"mapped address", link("http://[::ffff:198.51.100.5]/"), "target-uri http://[::ffff:198.51.100.5]/ not yours", nil},
		{"foreign name", link("http://www.other.example/"), "target-uri http://www.other.example/ not yours", nil},
		{"name leads outside", link("http://far.example.com/"), "target-uri far.example.com leads outside", nil},
		{"user information", link("http://a@www.example.com/"), "target-uri http://a@www.example.com/ has no clear host", nil},
		{"no host", link("mailto:a@example.com"), "target-uri mailto:a@example.com has no clear host", nil},

		{"alias", dots.Target{Aliases: []string{"web"}}, "", []string{"198.51.100.80/32"}},
		{"alias of a name", dots.Target{Aliases: []string{"mail"}}, "", []string{"198.51.100.25/32"}},
		{"another domain's alias", dots.Target{Aliases: []string{"theirs"}}, "alias-name theirs not yours", nil},
		{"unknown alias", dots.Target{Prefixes: prefixes("198.51.100.0/24"), Aliases: []string{"x\ny"}}, "alias-name x?y not yours", nil},
	}
	p := mustNew(t, house())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := p.Admit(&fakeView{names: worldNames()}, ask(tt.target))
			if tt.text != "" {
				wantDeny(t, v.Deny, dots.CodeBadRequest, tt.text)
				return
			}
			if v.Deny != nil || len(v.Questions) > 0 {
				t.Fatalf("refused %v, questions %v", v.Deny, v.Questions)
			}
			if s := diff(prefixes(tt.want...), v.Grant.Expanded.Prefixes); s != "" {
				t.Error(s)
			}
			if len(v.Grant.Request.Target.Aliases) > 0 {
				t.Error("the leg names aliases")
			}
		})
	}
}

func TestAdmitExpands(t *testing.T) {
	p := mustNew(t, house())
	g := p.Admit(&fakeView{names: worldNames()}, ask(dots.Target{
		Prefixes: prefixes("203.0.113.9/25"), FQDNs: []string{"WWW.Example.com."},
		URIs: []string{"HTTPS://hosted.example.net/acme/../acme/x"}, Aliases: []string{"mail"},
	})).Grant
	want := Expanded{
		Prefixes: prefixes("198.51.100.25/32", "198.51.100.80/32", "198.51.100.90/32", "203.0.113.0/25", "2001:db8:1::80/128"),
		Names:    []string{"hosted.example.net", "mail.example.com", "www.example.com"},
		URIs:     []string{"https://hosted.example.net:443/acme/x"},
		Aliases:  []string{"mail"},
	}
	if s := diff(want, g.Expanded); s != "" {
		t.Error(s)
	}
	if s := diff(want.Names, g.Watch); s != "" {
		t.Error(s)
	}
	leg := dots.Target{
		Prefixes: prefixes("203.0.113.0/25"), FQDNs: []string{"WWW.Example.com.", "mail.example.com"},
		URIs: []string{"HTTPS://hosted.example.net/acme/../acme/x"},
	}
	if s := diff(leg, g.Request.Target); s != "" {
		t.Error(s)
	}
}

func TestAdmitAsksForNames(t *testing.T) {
	p := mustNew(t, house())
	target := dots.Target{
		FQDNs: []string{"www.example.com", "WWW.example.com", "b.example.com"},
		URIs:  []string{"https://a.example.com/", "https://198.51.100.1/"}, Aliases: []string{"mail"},
	}
	v := &fakeView{names: map[string]Resolution{"www.example.com": addresses("198.51.100.80")}}
	got := p.Admit(v, ask(target))
	if s := diff([]string{"a.example.com", "b.example.com", "mail.example.com"}, got.Questions); s != "" || got.Deny != nil {
		t.Fatal(s, got.Deny)
	}
	for i, q := range got.Questions {
		v.names[q] = addresses(fmt.Sprintf("198.51.100.%d", i+1))
	}
	if got = p.Admit(v, ask(target)); got.Deny != nil || len(got.Questions) > 0 {
		t.Fatalf("%+v", got)
	}
	if n := len(got.Grant.Expanded.Prefixes); n != 4 { // one of the URI is the first name's, too
		t.Errorf("%d prefixes: %v", n, got.Grant.Expanded.Prefixes)
	}
}

// What is wrong at first sight is refused without a question.
func TestAdmitRefusesBeforeItAsks(t *testing.T) {
	p := mustNew(t, house())
	names := map[string]Resolution{"far.example.com": addresses("192.0.2.7")}
	for _, target := range []dots.Target{
		{FQDNs: []string{"www.example.com"}, Prefixes: prefixes("192.0.2.0/24")},
		{FQDNs: []string{"www.example.com", "www.other.example"}},
		{FQDNs: []string{"www.example.com"}, URIs: []string{"https://192.0.2.1/"}},
		{FQDNs: []string{"www.example.com", "far.example.com"}},
	} {
		if got := p.Admit(&fakeView{names: names}, ask(target)); got.Deny == nil || len(got.Questions) > 0 {
			t.Errorf("%v: refused %v, questions %v", target, got.Deny, got.Questions)
		}
	}
	var many []string
	for i := range DefaultMaxNames + 1 {
		many = append(many, fmt.Sprintf("n%d.example.com", i))
	}
	wantDeny(t, p.Admit(&fakeView{}, ask(dots.Target{FQDNs: many})).Deny, dots.CodeBadRequest, "too many names to resolve")
	again := ask(dots.Target{FQDNs: many}) // granted under a policy of before
	again.Held = dots.Some(again.Request)
	if got := p.Admit(&fakeView{}, again); got.Deny != nil {
		t.Errorf("a refresh was refused: %v", got.Deny)
	}
	if got := p.Admit(&fakeView{}, ask(dots.Target{FQDNs: many[1:]})); len(got.Questions) != DefaultMaxNames {
		t.Errorf("%d questions, refused %v", len(got.Questions), got.Deny)
	}
}

func TestAdmitWhenDNSFails(t *testing.T) {
	tests := []struct {
		name, fqdn string
		rule       DNSRule
		refresh    bool
		code       dots.Code
		text       string
	}{
		{name: "refuse by default", fqdn: "broken.example.com", code: dots.CodeUnavailable, text: "target-fqdn cannot be resolved now"},
		{name: "refuse", fqdn: "broken.example.com", rule: DNSRefuse, code: dots.CodeUnavailable, text: "target-fqdn cannot be resolved now"},
		{name: "allow", fqdn: "broken.example.com", rule: DNSAllow},
		{name: "allow, but no address", fqdn: "empty.example.com", rule: DNSAllow, code: dots.CodeBadRequest, text: "target-fqdn empty.example.com has no address"},
		{name: "allow, but outside", fqdn: "far.example.com", rule: DNSAllow, code: dots.CodeBadRequest, text: "target-fqdn far.example.com leads outside"},
		{name: "a refresh survives a failure", fqdn: "broken.example.com", refresh: true},
		{name: "a refresh survives an empty answer", fqdn: "empty.example.com", refresh: true},
		{name: "a refresh does not survive leading outside", fqdn: "far.example.com", refresh: true, code: dots.CodeBadRequest, text: "target-fqdn far.example.com leads outside"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := house()
			c.Domains[0].OnDNSFailure = tt.rule
			a := ask(dots.Target{FQDNs: []string{tt.fqdn}})
			if tt.refresh {
				a.Held = dots.Some(a.Request)
			}
			v := mustNew(t, c).Admit(&fakeView{names: worldNames()}, a)
			if tt.code != 0 {
				wantDeny(t, v.Deny, tt.code, tt.text)
				return
			}
			if v.Deny != nil || len(v.Questions) > 0 || v.Grant.Refresh != tt.refresh {
				t.Errorf("%+v", v)
			}
			if s := diff([]string{tt.fqdn}, v.Grant.Watch); s != "" {
				t.Error(s)
			}
		})
	}
}
