package policy

import (
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// A refresh that is told what was granted gets what it would get without.
//
// RFC 9132, Section 4.4.1: a refresh repeats every parameter but lifetime.
func TestAdmitRefreshOfAGrant(t *testing.T) {
	p := mustNew(t, house())
	targets := map[string]dots.Target{
		"prefix":      {Prefixes: prefixes("198.51.100.0/24")},
		"host bits":   {Prefixes: prefixes("203.0.113.9/24"), Ports: []dots.PortRange{{Lower: 443, Upper: 443}}, Protocols: []uint8{6}},
		"address URI": {URIs: []string{"https://198.51.100.7/"}},
		"several":     {Prefixes: prefixes("198.51.100.0/25", "203.0.113.0/24", "198.51.100.128/25")},
		"alias":       {Aliases: []string{"web"}},
		"name":        {FQDNs: []string{"mail.example.com"}},
		"forgotten":   {FQDNs: []string{"www.example.com"}},
	}
	lifetimes := []dots.Maybe[dots.Lifetime]{{}, dots.Some[dots.Lifetime](60), dots.Some[dots.Lifetime](1 << 30), dots.Some(dots.Indefinite), dots.Some[dots.Lifetime](0)}
	for name, target := range targets {
		t.Run(name, func(t *testing.T) {
			v := &fakeView{names: map[string]Resolution{"mail.example.com": addresses("198.51.100.25"), "www.example.com": addresses("198.51.100.80")}}
			a := ask(target)
			first := p.Admit(v, a)
			if first.Deny != nil || first.Grant.Domain == "" {
				t.Fatalf("%+v", first)
			}
			delete(v.names, "www.example.com")
			first.Grant.Supersedes, first.Grant.Informs = []uint32{1}, []Inform{{}} // was done with when it was granted
			for _, lifetime := range lifetimes {
				for _, efficacy := range []bool{false, true} {
					again := a
					again.Held, again.Efficacy, again.Request.Lifetime = dots.Some(a.Request), efficacy, lifetime
					want := p.Admit(v, again)
					again.Granted = &first.Grant
					if s := diff(want, p.Admit(v, again)); s != "" {
						t.Errorf("lifetime %v, efficacy %v (-without +with):\n%s", lifetime, efficacy, s)
					}
				}
			}
		})
	}
}

// What may be another thing by now is looked into all the same.
func TestAdmitLooksAgain(t *testing.T) {
	p := mustNew(t, house())
	held := func(target dots.Target) Ask {
		a := ask(target)
		a.Held = dots.Some(a.Request)
		a.Granted = &Grant{Domain: "of before", Expanded: Expanded{Prefixes: target.Prefixes, Names: target.FQDNs, Aliases: target.Aliases}}
		return a
	}
	prefix := held(dots.Target{Prefixes: prefixes("198.51.100.0/24")})
	if g := p.Admit(&fakeView{}, prefix).Grant; g.Domain != "of before" || !g.Refresh {
		t.Errorf("a grant that lasts was not taken: %+v", g)
	}
	changed := prefix
	changed.Request.Target = dots.Target{Prefixes: prefixes("203.0.113.0/24")}
	wantDeny(t, p.Admit(&fakeView{}, changed).Deny, dots.CodeBadRequest, "mid is known with other parameters: use a higher mid")
	stranger := prefix
	stranger.Client.Name = "guest"
	wantDeny(t, p.Admit(&fakeView{}, stranger).Deny, dots.CodeUnauthorized, "not authorised to ask for mitigation")
	taken := prefix
	taken.CUIDOwner = "two"
	wantDeny(t, p.Admit(&fakeView{}, taken).Deny, dots.CodeConflict, "cuid is in use")
	outside := addresses("192.0.2.1") // where the name leads now
	gone := p.Admit(&fakeView{names: map[string]Resolution{"mail.example.com": outside}}, held(dots.Target{FQDNs: []string{"mail.example.com"}}))
	if gone.Deny == nil {
		t.Error("a name that leads outside by now was not looked up")
	}
	if g := p.Admit(&fakeView{}, held(dots.Target{Aliases: []string{"web"}})).Grant; g.Domain != "acme" {
		t.Errorf("an alias was not looked up: %+v", g)
	}
}
