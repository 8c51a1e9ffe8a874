package policy

import (
	"cmp"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// RFC 9132, Section 7.2: peers are known by their credentials.
func TestIdentify(t *testing.T) {
	c := house()
	c.Domains[0].Clients = append(c.Domains[0].Clients, ClientEntry{Name: "renewed", SPKIs: [][32]byte{spki("key new"), spki("key old")}})
	p := mustNew(t, c)
	tests := []struct {
		name string
		cred dots.Credential
		want string
	}{
		{"nothing", dots.Credential{}, ""},
		{"public key", dots.Credential{SPKI: []byte("key one")}, "one"},
		{"public key before name", dots.Credential{SPKI: []byte("key one"), Names: []string{"guest.example.com"}}, "one"},
		{"old key", dots.Credential{SPKI: []byte("key old")}, "renewed"},
		{"new key", dots.Credential{SPKI: []byte("key new")}, "renewed"},
		{"unknown key, known name", dots.Credential{SPKI: []byte("key x"), Names: []string{"guest.example.com"}}, "guest"},
		{"name without case", dots.Credential{SPKI: []byte("key x"), Names: []string{"ONE.example.COM."}}, "one"},
		{"first known name", dots.Credential{SPKI: []byte("key x"), Names: []string{"nobody", "gate.example.com", "one.example.com"}}, "gate"},
		{"subdomain is another name", dots.Credential{SPKI: []byte("key x"), Names: []string{"a.one.example.com"}}, ""},
		{"wildcard is no pattern", dots.Credential{SPKI: []byte("key x"), Names: []string{"*.example.com"}}, ""},
		{"shared key", dots.Credential{PSKIdentity: "two"}, "two"},
		{"shared key with case", dots.Credential{PSKIdentity: "Two"}, ""},
		{"a client's name is no identity", dots.Credential{PSKIdentity: "one"}, ""},
		{"a public key is no shared key", dots.Credential{PSKIdentity: "key one"}, ""},
		{"empty name", dots.Credential{SPKI: []byte("key x"), Names: []string{"", "."}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := p.Identify(tt.cred)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("%q, %v, want %q", got, ok, tt.want)
			}
		})
	}
}

func TestWhoIsWho(t *testing.T) {
	p := mustNew(t, house())
	tests := []struct {
		client, domain     string
		mitigates, gateway bool
	}{
		{"one", "acme", true, false},
		{"guest", "acme", false, false},
		{"gate", "acme", true, true},
		{"stranger", "other", true, false},
		{"nobody", "", false, false},
		{"", "", false, false},
	}
	for _, tt := range tests {
		if got := p.Domain(tt.client); got != tt.domain {
			t.Errorf("domain of %q: %q", tt.client, got)
		}
		if p.MayMitigate(tt.client) != tt.mitigates || p.TrustsCDID(tt.client) != tt.gateway {
			t.Errorf("%q: may mitigate %v, trusted %v", tt.client, p.MayMitigate(tt.client), p.TrustsCDID(tt.client))
		}
	}
}

func TestPlacementByMode(t *testing.T) {
	tests := []struct {
		mode CUIDMode
		want string
	}{
		{"", ""}, {CUIDAggregate, ""}, {CUIDPerDomain, "domain:acme"}, {CUIDPerClient, "client:one:cuid-one"},
	}
	for _, tt := range tests {
		c := house()
		c.Uplinks[0].CUIDMode = tt.mode
		p := mustNew(t, c)
		g := p.Admit(&fakeView{}, askPrefix("198.51.100.0/24")).Grant
		if s := diff([]Place{{Placement: Placement{Uplink: "north", Scope: tt.want}, Part: g.Outside}}, p.Places(allUp{}, Course{Grant: g})); s != "" {
			t.Error(tt.mode, s)
		}
		if got := p.CUIDMode("north"); got != cmp.Or(tt.mode, CUIDAggregate) {
			t.Errorf("mode %q", got)
		}
		g.Domain = "gone"
		if got := p.Places(allUp{}, Course{Grant: g}); len(got) > 0 || p.CUIDMode("gone") != "" {
			t.Errorf("an unknown domain gives %v", got)
		}
	}
}

// A Policy keeps nothing of the Config: a caller that goes on to change it changes no decision.
func TestNewKeepsNoReference(t *testing.T) {
	c := house()
	p := mustNew(t, c)
	c.Domains[0].Prefixes[0] = prefixes("192.0.2.0/24")[0]
	c.Domains[0].Names[0] = "evil.example"
	c.Domains[0].Aliases["web"].Prefixes[0] = prefixes("192.0.2.0/24")[0]
	c.Domains[0].Aliases["evil"] = dots.Target{Prefixes: prefixes("192.0.2.0/24")}
	c.Uplinks[1].RelayOptional[0] = 200
	if v := p.Admit(&fakeView{}, ask(dots.Target{Aliases: []string{"web"}})); v.Deny != nil ||
		v.Grant.Expanded.Prefixes[0] != prefixes("198.51.100.80/32")[0] {
		t.Errorf("%+v", v)
	}
	if v := p.Admit(&fakeView{}, ask(dots.Target{Aliases: []string{"evil"}})); v.Deny == nil {
		t.Error("an alias came in later")
	}
	if !p.uplinks["south"].relays(130) {
		t.Error("the list of relayed keys was changed")
	}
}
