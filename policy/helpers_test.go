package policy

import (
	"crypto/sha256"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
)

// fakeView is a core's state as a test writes it down.
type fakeView struct {
	names map[string]Resolution
	mits  int
	cuids int
	live  []Overlap // those that overlap are found by comparing
	asked []Expanded
}

func (v *fakeView) Resolved(name string) (Resolution, bool) {
	r, ok := v.names[name]
	return r, ok
}

func (v *fakeView) Mitigations(dots.Client) int { return v.mits }

func (v *fakeView) CUIDs(string) int { return v.cuids }

func (v *fakeView) Overlaps(domain string, t Expanded) []Overlap {
	v.asked = append(v.asked, t)
	var found []Overlap
	for _, o := range v.live {
		if domain == "acme" && o.Expanded.Overlaps(t) {
			found = append(found, o)
		}
	}
	return found
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func addresses(list ...string) Resolution {
	var r Resolution
	for _, s := range list {
		r.Addresses = append(r.Addresses, netip.MustParseAddr(s))
	}
	return r
}

func spki(s string) [32]byte { return sha256.Sum256([]byte(s)) }

// house is a valid Config with two domains: acme with clients one, two, guest and gate, and other with client stranger.
func house() Config {
	return Config{
		Domains: []Domain{{
			Name:     "acme",
			Prefixes: prefixes("198.51.100.0/24", "203.0.113.0/25", "203.0.113.128/25", "2001:db8:1::/48"),
			Names:    []string{"Example.com."},
			URIs:     []string{"https://hosted.example.net/acme", "https://shop.example.net:8443"},
			Aliases: map[string]dots.Target{
				"web":  {Prefixes: prefixes("198.51.100.80/32"), Ports: []dots.PortRange{{Lower: 443, Upper: 443}}, Protocols: []uint8{6}},
				"mail": {FQDNs: []string{"mail.example.com"}},
			},
			Clients: []ClientEntry{
				{Name: "one", CertNames: []string{"One.example.com"}, SPKIs: [][32]byte{spki("key one")}},
				{Name: "two", PSKIdentities: []string{"two"}},
				{Name: "guest", CertNames: []string{"guest.example.com"}, Guest: true},
				{Name: "gate", CertNames: []string{"gate.example.com"}, TrustedGateway: true},
			},
			Uplinks: []string{"north"},
		}, {
			Name:     "other",
			Prefixes: prefixes("192.0.2.0/24"),
			Names:    []string{"other.example"},
			Aliases:  map[string]dots.Target{"theirs": {Prefixes: prefixes("192.0.2.1/32")}},
			Clients:  []ClientEntry{{Name: "stranger", CertNames: []string{"stranger.example"}}},
			Uplinks:  []string{"south"},
		}},
		Uplinks: []Uplink{{Name: "north"}, {Name: "south", CUIDMode: CUIDPerClient, RelayOptional: []uint64{130}}},
	}
}

// rejecting is house where a later request gives way to another client's.
func rejecting() Config {
	c := house()
	c.Domains[0].OnOverlap = OverlapRejectNew
	return c
}

func mustNew(t testing.TB, c Config) *Policy {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatalf("checking the configuration: %v", err)
	}
	return p
}

var one = dots.Client{Name: "one", CUID: "cuid-one"}

// ask is a request of client one under mid 10.
func ask(t dots.Target) Ask {
	return Ask{
		Client: one, CUIDOwner: "one",
		Request: dots.Request{MID: 10, Target: t, Lifetime: dots.Some(dots.Lifetime(600))},
	}
}

func askPrefix(list ...string) Ask { return ask(dots.Target{Prefixes: prefixes(list...)}) }

// overlap is a live mitigation on prefixes.
func overlap(c dots.Client, mid uint32, list ...string) Overlap {
	return Overlap{
		Key: dots.MitigationKey{Client: c, MID: mid}, Remaining: 100,
		Expanded: Expanded{Prefixes: prefixes(list...)}.normal(),
	}
}

// diff compares values that hold addresses.
func diff(want, got any) string {
	return cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }))
}

// wantDeny checks a refusal's code and text and the rule that binds every one of them: a text of at most 64 bytes.
func wantDeny(t *testing.T, got *dots.Error, code dots.Code, text string) {
	t.Helper()
	if got == nil {
		t.Fatalf("allowed, want %v %s", code, text)
	}
	if got.Code != code || got.Text != text {
		t.Errorf("refused with %v %q, want %v %q", got.Code, got.Text, code, text)
	}
	if len(got.Text) > dots.MaxDiagnostic {
		t.Errorf("the text has %d bytes", len(got.Text))
	}
	if code == dots.CodeUnavailable && (got.MaxAge <= 0 || got.MaxAge%time.Second != 0) {
		t.Errorf("5.03 with Max-Age %v", got.MaxAge)
	}
}
