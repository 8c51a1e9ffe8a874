package policy

import (
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// RFC 9132, Section 4.4.1: the checks are made again at each new resolution.
func TestRenew(t *testing.T) {
	target := dots.Target{Prefixes: prefixes("203.0.113.0/25"), FQDNs: []string{"www.example.com"}, Aliases: []string{"mail"}}
	tests := []struct {
		name  string
		names map[string]Resolution // besides mail.example.com, which stays
		text  string                // of the refusal
		want  []string              // expanded prefixes
	}{
		{
			"as before",
			map[string]Resolution{"www.example.com": addresses("198.51.100.80")},
			"",
			[]string{"198.51.100.25/32", "198.51.100.80/32", "203.0.113.0/25"},
		},
		{
			"moved within",
			map[string]Resolution{"www.example.com": addresses("198.51.100.81", "2001:db8:1::81")},
			"",
			[]string{"198.51.100.25/32", "198.51.100.81/32", "203.0.113.0/25", "2001:db8:1::81/128"},
		},
		{
			"moved outside",
			map[string]Resolution{"www.example.com": addresses("198.51.100.81", "192.0.2.1")},
			"target-fqdn www.example.com leads outside",
			[]string{"198.51.100.25/32", "198.51.100.80/32", "203.0.113.0/25"},
		},
		{
			"failed",
			map[string]Resolution{"www.example.com": {Failed: true}},
			"",
			[]string{"198.51.100.25/32", "198.51.100.80/32", "203.0.113.0/25"},
		},
		{
			"no address",
			map[string]Resolution{"www.example.com": {}},
			"",
			[]string{"198.51.100.25/32", "198.51.100.80/32", "203.0.113.0/25"},
		},
		{"not known after a start", nil, "", []string{"198.51.100.25/32", "198.51.100.80/32", "203.0.113.0/25"}},
	}
	p := mustNew(t, house())
	g := p.Admit(&fakeView{names: worldNamesOf("198.51.100.80")}, ask(target)).Grant
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := &fakeView{names: map[string]Resolution{"mail.example.com": addresses("198.51.100.25")}}
			for n, r := range tt.names {
				v.names[n] = r
			}
			now, err := p.Renew(v, g)
			if tt.text != "" {
				wantDeny(t, err, dots.CodeBadRequest, tt.text)
			} else if err != nil {
				t.Errorf("refused: %v", err)
			}
			e := now.Expanded
			if s := diff(prefixes(tt.want...), e.Prefixes); s != "" {
				t.Error(s)
			}
			if s := diff([]string{"mail"}, e.Aliases); s != "" {
				t.Error(s)
			}
		})
	}
}

// worldNamesOf lets www.example.com have one address.
func worldNamesOf(www string) map[string]Resolution {
	return map[string]Resolution{"www.example.com": addresses(www), "mail.example.com": addresses("198.51.100.25")}
}

// A change of policy is seen by Renew: what was granted under the former one may be nobody's now.
func TestRenewAfterAChangeOfPolicy(t *testing.T) {
	g := mustNew(t, house()).Admit(&fakeView{}, askPrefix("203.0.113.0/24")).Grant
	tests := []struct {
		name   string
		change func(*Config)
		code   dots.Code
		text   string
	}{
		{"nothing", func(*Config) {}, 0, ""},
		{
			"a prefix less", func(c *Config) {
				c.Domains[0].Prefixes = prefixes("198.51.100.0/24", "203.0.113.0/25", "2001:db8:1::/48")
			},
			dots.CodeBadRequest, "target-prefix 203.0.113.0/24 not yours",
		},
		{
			"the client is gone", func(c *Config) { c.Domains[0].Clients = c.Domains[0].Clients[1:] },
			dots.CodeUnauthorized, "not authorised to ask for mitigation",
		},
		{
			"the client is a guest", func(c *Config) { c.Domains[0].Clients[0].Guest = true },
			dots.CodeUnauthorized, "not authorised to ask for mitigation",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := house()
			tt.change(&c)
			p := mustNew(t, c)
			now, err := p.Renew(&fakeView{}, g)
			if tt.code != 0 {
				wantDeny(t, err, tt.code, tt.text)
			} else if err != nil {
				t.Errorf("refused: %v", err)
			}
			if s := diff(g.Expanded, now.Expanded); s != "" {
				t.Error(s)
			}
		})
	}
}

// TestRenewForgetsAddressesThatAreNobodys: while DNS fails the addresses of before stay, but for those that the domain owns no more.
func TestRenewForgetsAddressesThatAreNobodys(t *testing.T) {
	v := &fakeView{names: map[string]Resolution{"www.example.com": addresses("198.51.100.1", "203.0.113.200")}}
	g := mustNew(t, house()).Admit(v, ask(dots.Target{FQDNs: []string{"www.example.com"}})).Grant
	c := house()
	c.Domains[0].Prefixes = prefixes("198.51.100.0/24", "203.0.113.0/25")
	now, err := mustNew(t, c).Renew(&fakeView{}, g)
	if err != nil {
		t.Fatal(err)
	}
	if s := diff(prefixes("198.51.100.1/32"), now.Expanded.Prefixes) + diff(now.Expanded, now.Outside.Expanded); s != "" {
		t.Error(s)
	}
}
