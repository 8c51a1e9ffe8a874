package policy

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// RFC 9132, Section 4.4.1: a client that is not authorised to use the service is answered 4.01.
func TestAdmitAuthorisation(t *testing.T) {
	p := mustNew(t, house())
	for _, name := range []string{"guest", "nobody", ""} {
		a := askPrefix("198.51.100.0/24")
		a.Client.Name, a.CUIDOwner = name, name
		wantDeny(t, p.Admit(&fakeView{}, a).Deny, dots.CodeUnauthorized, "not authorised to ask for mitigation")
	}
	for _, name := range []string{"one", "two", "gate"} {
		a := askPrefix("198.51.100.0/24")
		a.Client.Name, a.CUIDOwner = name, name
		if v := p.Admit(&fakeView{}, a); v.Deny != nil || v.Grant.Domain != "acme" {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// RFC 9132, Section 4.4.1.1: a cuid that another client uses is answered 4.09 with cause 3 and nothing else.
func TestAdmitCUID(t *testing.T) {
	p := mustNew(t, house())
	tests := []struct {
		name, owner string
		cuids       int
		code        dots.Code
	}{
		{"own", "one", 99, 0},
		{"new", "", 15, 0},
		{"new, one too many", "", 16, dots.CodeUnavailable},
		{"another client's", "two", 0, dots.CodeConflict},
		{"another domain's", "stranger", 0, dots.CodeConflict},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := askPrefix("198.51.100.0/24")
			a.CUIDOwner = tt.owner
			got := p.Admit(&fakeView{cuids: tt.cuids}, a).Deny
			switch tt.code {
			case 0:
				if got != nil {
					t.Errorf("refused: %v", got)
				}
			case dots.CodeUnavailable:
				wantDeny(t, got, tt.code, "too many cuids")
				if got.MaxAge != DefaultRetryAfter {
					t.Errorf("Max-Age %v", got.MaxAge)
				}
			default:
				wantDeny(t, got, tt.code, "cuid is in use")
				if s := diff(dots.Some(dots.Conflict{Cause: dots.CauseCUIDCollision}), got.Conflict); s != "" {
					t.Error(s)
				}
			}
		})
	}
}

// A cuid that a credential gives is that credential's, whoever came with it first.
//
// RFC 9132, Section 4.4.1.1: the recommended cuid is made of the client's certificate or PSK identity.
func TestAdmitCUIDOfACredential(t *testing.T) {
	keyOne, pskTwo := dots.EncodeCUID(spki("key one")), dots.Credential{PSKIdentity: "two"}.CUID()
	tests := []struct {
		name, client, cuid, own, owner string
		proven                         bool
		code                           dots.Code
	}{
		{"proven, unbound", "one", "c", "c", "", false, 0},
		{"proven, bound to another", "one", "c", "c", "stranger", false, 0},
		{"proven, bound to another who proved it too", "one", "c", "c", "stranger", true, dots.CodeConflict},
		{"proven, but another cuid", "one", "c", "d", "stranger", false, dots.CodeConflict},
		{"no credential's cuid is known", "one", "", "", "stranger", false, dots.CodeConflict},
		{"of a configured key, by another", "two", keyOne, "", "", false, dots.CodeConflict},
		{"of a configured key, by another domain", "stranger", keyOne, "", "", false, dots.CodeConflict},
		{"of a configured key, by another who held it", "two", keyOne, "", "two", false, dots.CodeConflict},
		{"of a configured key, by its entry", "one", keyOne, "", "", false, 0},
		{"of a configured key, by its entry, bound to another", "one", keyOne, "", "two", true, 0},
		{"of a configured identity, by another", "one", pskTwo, "", "", false, dots.CodeConflict},
		{"of a configured identity, by its entry", "two", pskTwo, pskTwo, "", false, 0},
	}
	p := mustNew(t, house())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := askPrefix("198.51.100.0/24")
			if tt.client == "stranger" {
				a = askPrefix("192.0.2.0/24")
			}
			a.Client = dots.Client{Name: tt.client, CUID: tt.cuid}
			a.OwnCUID, a.CUIDOwner, a.CUIDProven = tt.own, tt.owner, tt.proven
			got := p.Admit(&fakeView{}, a).Deny
			if tt.code != 0 {
				wantDeny(t, got, tt.code, "cuid is in use")
			} else if got != nil {
				t.Errorf("refused: %v", got)
			}
		})
	}
}

// RFC 9132, Section 4.4.1.2: behind a trusted gateway cuid and cdid together tell a client, so that a configured cuid is free there, and the
// gateway's own credential proves nothing.
func TestAdmitCUIDBehindAGateway(t *testing.T) {
	p := mustNew(t, house())
	a := askPrefix("198.51.100.0/24")
	a.Client = dots.Client{Name: "two", CUID: dots.EncodeCUID(spki("key one")), CDID: "d"}
	a.CUIDOwner = ""
	if err := p.Admit(&fakeView{}, a).Deny; err != nil {
		t.Errorf("refused: %v", err)
	}
	a.OwnCUID, a.CUIDOwner = a.Client.CUID, "one"
	wantDeny(t, p.Admit(&fakeView{}, a).Deny, dots.CodeConflict, "cuid is in use")
}

// TestAdmitKnownMID goes through the rows of the table of a PUT's answers for a known mid.
//
// RFC 9132, Section 4.4.1: a refresh repeats every parameter but lifetime.
// RFC 9132, Section 4.4.3: an efficacy update matches a request, or is not answered.
func TestAdmitKnownMID(t *testing.T) {
	base := askPrefix("198.51.100.0/24", "203.0.113.0/24")
	held := base.Request
	held.Lifetime = dots.Some(dots.Lifetime(60))
	const changed = "mid is known with other parameters: use a higher mid"
	tests := []struct {
		name     string
		change   func(*Ask)
		code     dots.Code
		text     string
		refresh  bool
		lifetime dots.Maybe[dots.Lifetime]
	}{
		{name: "other lifetime", change: func(*Ask) {}, refresh: true, lifetime: dots.Some(dots.Lifetime(600))},
		{
			name: "other order", refresh: true, lifetime: dots.Some(dots.Lifetime(600)),
			change: func(a *Ask) { a.Request.Target.Prefixes = prefixes("203.0.113.0/24", "198.51.100.0/24") },
		},
		{
			name: "other optional attribute", refresh: true, lifetime: dots.Some(dots.Lifetime(600)),
			change: func(a *Ask) { a.Request.Optional = []dots.Raw{{Key: 200, Value: []byte{1}}} },
		},
		{
			name: "one prefix less", code: dots.CodeBadRequest, text: changed,
			change: func(a *Ask) { a.Request.Target.Prefixes = prefixes("198.51.100.0/24") },
		},
		{
			name: "ports", code: dots.CodeBadRequest, text: changed,
			change: func(a *Ask) { a.Request.Target.Ports = []dots.PortRange{{Lower: 1, Upper: 1}} },
		},
		{name: "trigger", code: dots.CodeBadRequest, text: changed, change: func(a *Ask) { a.Request.OnSignalLoss = true }},
		{
			name: "lists", code: dots.CodeBadRequest, text: changed,
			change: func(a *Ask) { a.Request.ACLs = []dots.ACLControl{{Name: "x", Activation: 2}} },
		},
		{
			name: "sources", code: dots.CodeBadRequest, text: changed,
			change: func(a *Ask) { a.Request.Source.Prefixes = []string{"192.0.2.0/24"} },
		},
		{
			name: "source ports", code: dots.CodeBadRequest, text: changed,
			change: func(a *Ask) { a.Request.Source.Ports = []dots.PortRange{{Lower: 53, Upper: 53}} },
		},
		{
			name: "source types", code: dots.CodeBadRequest, text: changed,
			change: func(a *Ask) { a.Request.Source.ICMPTypes = []dots.ICMPTypeRange{{Lower: 8, Upper: 8}} },
		},
		{
			name: "draft04 updates", lifetime: dots.Some(dots.Lifetime(600)),
			change: func(a *Ask) { a.Update = true; a.Request.Target.Prefixes = prefixes("198.51.100.0/25") },
		},
		{name: "draft04 refreshes", refresh: true, lifetime: dots.Some(dots.Lifetime(600)), change: func(a *Ask) { a.Update = true }},
		{
			name: "draft04 updates to what is not its own", code: dots.CodeBadRequest, text: "target-prefix 192.0.2.0/24 not yours",
			change: func(a *Ask) { a.Update = true; a.Request.Target.Prefixes = prefixes("192.0.2.0/24") },
		},
		{name: "efficacy", refresh: true, lifetime: dots.Some(dots.Lifetime(600)), change: func(a *Ask) { a.Efficacy = true }},
		{
			name: "efficacy without lifetime", refresh: true,
			change: func(a *Ask) { a.Efficacy = true; a.Request.Lifetime = dots.Maybe[dots.Lifetime]{} },
		},
		{
			name: "efficacy with other parameters", code: dots.CodeBadRequest, text: changed,
			change: func(a *Ask) { a.Efficacy = true; a.Update = true; a.Request.OnSignalLoss = true },
		},
		{
			name: "efficacy of an unknown mid", code: dots.CodeSilent,
			change: func(a *Ask) { a.Efficacy = true; a.Held = dots.Maybe[dots.Request]{} },
		},
		{
			name: "lifetime 0", code: dots.CodeBadRequest, text: "lifetime out of range",
			change: func(a *Ask) { a.Request.Lifetime = dots.Some(dots.Lifetime(0)) },
		},
		{
			name: "new mid, lifetime -2", code: dots.CodeBadRequest, text: "lifetime out of range",
			change: func(a *Ask) {
				a.Held, a.Request.Lifetime = dots.Maybe[dots.Request]{}, dots.Some(dots.Lifetime(-2))
			},
		},
	}
	p := mustNew(t, house())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := base
			a.Held = dots.Some(held)
			tt.change(&a)
			v := p.Admit(&fakeView{mits: 1000}, a) // the quota is no matter for a known mid
			if tt.code != 0 || tt.text != "" {
				wantDeny(t, v.Deny, tt.code, tt.text)
				return
			}
			if tt.name == "efficacy of an unknown mid" {
				if v.Deny == nil || v.Deny.Code != dots.CodeSilent {
					t.Errorf("answered: %+v", v)
				}
				return
			}
			if v.Deny != nil || v.Grant.Refresh != tt.refresh || v.Grant.Request.Lifetime != tt.lifetime {
				t.Errorf("refused %v, refresh %v, lifetime %v", v.Deny, v.Grant.Refresh, v.Grant.Request.Lifetime)
			}
		})
	}
}

// A refresh neither waits for other clients nor is counted: what was granted is granted.
func TestAdmitRefreshMindsNobody(t *testing.T) {
	p := mustNew(t, house())
	a := askPrefix("198.51.100.0/24")
	a.Held = dots.Some(a.Request)
	v := &fakeView{mits: 256, live: []Overlap{
		overlap(dots.Client{Name: "two", CUID: "c"}, 1, "198.51.100.0/24"), overlap(one, 99, "198.51.100.0/24"),
	}}
	got := p.Admit(v, a)
	if got.Deny != nil || !got.Grant.Refresh || len(got.Grant.Informs)+len(got.Grant.Supersedes) > 0 {
		t.Errorf("%+v", got)
	}
	if len(v.asked) > 0 {
		t.Error("overlaps were looked up")
	}
}

// RFC 9132, Section 4.4.1: a server may grant a shorter lifetime and may refuse an indefinite one by granting a finite one.
func TestAdmitLifetime(t *testing.T) {
	type limit = Limits
	day := dots.Some(dots.Lifetime(86400))
	tests := []struct {
		name     string
		defaults Defaults
		limits   limit
		asked    dots.Maybe[dots.Lifetime]
		want     dots.Lifetime
	}{
		{"as asked", Defaults{}, limit{}, dots.Some(dots.Lifetime(math.MaxUint32)), math.MaxUint32},
		{"left out by draft04", Defaults{}, limit{}, dots.Maybe[dots.Lifetime]{}, 3600},
		{"left out, cut", Defaults{MaxLifetime: 60}, limit{}, dots.Maybe[dots.Lifetime]{}, 60},
		{"cut", Defaults{MaxLifetime: 7200}, limit{}, dots.Some(dots.Lifetime(7201)), 7200},
		{"at the bound", Defaults{MaxLifetime: 7200}, limit{}, dots.Some(dots.Lifetime(7200)), 7200},
		{"one second", Defaults{MaxLifetime: 7200}, limit{}, dots.Some(dots.Lifetime(1)), 1},
		{"the domain's bound is longer", Defaults{MaxLifetime: 7200}, limit{MaxLifetime: day}, dots.Some(dots.Lifetime(90000)), 86400},
		{"indefinite refused", Defaults{}, limit{}, dots.Some(dots.Indefinite), 3600},
		{"indefinite refused, own grant", Defaults{DefaultGrantForIndefinite: 1800}, limit{}, dots.Some(dots.Indefinite), 1800},
		{"indefinite refused, grant cut", Defaults{DefaultGrantForIndefinite: 1800, MaxLifetime: 900}, limit{}, dots.Some(dots.Indefinite), 900},
		{"indefinite allowed", Defaults{AllowIndefinite: true, MaxLifetime: 900}, limit{}, dots.Some(dots.Indefinite), dots.Indefinite},
		{"indefinite allowed, not here", Defaults{AllowIndefinite: true}, limit{AllowIndefinite: dots.Some(false)}, dots.Some(dots.Indefinite), 3600},
		{"indefinite allowed here", Defaults{}, limit{AllowIndefinite: dots.Some(true)}, dots.Some(dots.Indefinite), dots.Indefinite},
		{"the domain's grant", Defaults{}, limit{DefaultGrantForIndefinite: day}, dots.Some(dots.Indefinite), 86400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := house()
			c.Defaults, c.Domains[0].Limits = tt.defaults, tt.limits
			a := askPrefix("198.51.100.0/24")
			a.Request.Lifetime = tt.asked
			v := mustNew(t, c).Admit(&fakeView{}, a)
			if v.Deny != nil || v.Grant.Request.Lifetime != dots.Some(tt.want) {
				t.Errorf("refused %v, granted %v, want %d", v.Deny, v.Grant.Request.Lifetime, tt.want)
			}
		})
	}
}

func TestAdmitQuota(t *testing.T) {
	tests := []struct {
		name   string
		mits   int
		limit  dots.Maybe[int]
		live   []Overlap
		denied bool
	}{
		{name: "room for one", mits: 255},
		{name: "full", mits: 256, denied: true},
		{name: "full, but it replaces one", mits: 256, live: []Overlap{overlap(one, 3, "198.51.100.0/25")}},
		{name: "over, and it replaces one", mits: 257, live: []Overlap{overlap(one, 3, "198.51.100.0/25")}, denied: true},
		{name: "full, and it deactivates one", mits: 256, live: []Overlap{func() Overlap {
			o := overlap(one, 3, "198.51.100.0/25")
			o.OnSignalLoss = true
			return o
		}()}, denied: true},
		{name: "the domain's own bound", mits: 1, limit: dots.Some(1), denied: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := house()
			c.Domains[0].Limits.MaxMitigations = tt.limit
			c.Defaults.RetryAfter = 90 * time.Second
			got := mustNew(t, c).Admit(&fakeView{mits: tt.mits, live: tt.live}, askPrefix("198.51.100.0/24")).Deny
			if !tt.denied {
				if got != nil {
					t.Errorf("refused: %v", got)
				}
				return
			}
			wantDeny(t, got, dots.CodeUnavailable, "too many mitigations")
			if got.MaxAge != 90*time.Second {
				t.Errorf("Max-Age %v", got.MaxAge)
			}
		})
	}
}

// A client at its quota must not make the gateway resolve names.
func TestAdmitQuotaComesBeforeQuestions(t *testing.T) {
	p := mustNew(t, house())
	got := p.Admit(&fakeView{mits: 256}, ask(dots.Target{FQDNs: []string{"www.example.com"}}))
	wantDeny(t, got.Deny, dots.CodeUnavailable, "too many mitigations")
	if len(got.Questions) > 0 {
		t.Errorf("asked for %v", got.Questions)
	}
}

// What a reader may ignore travels on only where the uplink's list names it.
func TestAdmitOptionalAttributes(t *testing.T) {
	p := mustNew(t, house())
	raw := []dots.Raw{{Key: 130, Value: []byte{1}}, {Key: 131, Value: []byte{2}}, {Key: 40000, Value: []byte{3}}}
	tests := []struct {
		client, prefix string
		want           []dots.Raw
	}{
		{"one", "198.51.100.0/24", nil},
		{"stranger", "192.0.2.0/24", raw[:1]},
	}
	for _, tt := range tests {
		a := askPrefix(tt.prefix)
		a.Client.Name, a.CUIDOwner, a.Request.Optional = tt.client, tt.client, raw
		g := p.Admit(&fakeView{}, a).Grant
		if s := diff(tt.want, g.Request.Optional); s != "" {
			t.Error(tt.client, s)
		}
		if g.DroppedOptional != len(raw)-len(tt.want) {
			t.Errorf("%s: %d counted as dropped", tt.client, g.DroppedOptional)
		}
	}
}

func TestAdmitIsRepeatable(t *testing.T) {
	p := mustNew(t, house())
	v := &fakeView{names: map[string]Resolution{"mail.example.com": addresses("198.51.100.25", "2001:db8:1::25")}}
	a := ask(dots.Target{Prefixes: prefixes("203.0.113.9/24"), Aliases: []string{"mail", "web"}, URIs: []string{"https://mail.example.com/"}})
	before := fmt.Sprintf("%+v", a)
	first := p.Admit(v, a)
	for range 3 {
		if s := diff(first, p.Admit(v, a)); s != "" {
			t.Fatal(s)
		}
	}
	if after := fmt.Sprintf("%+v", a); after != before {
		t.Errorf("the request was changed:\n%s\n%s", before, after)
	}
}
