package policy

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// faults returns every FieldError of an error as path: cause.
func faults(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%v does not join", err)
	}
	var list []string
	for _, e := range joined.Unwrap() {
		var f *FieldError
		if !errors.As(e, &f) {
			t.Fatalf("%v is no FieldError", e)
		}
		if f.Path == "" || f.Cause == "" || f.Fix == "" || f.Error() != f.Path+": "+f.Cause+"; "+f.Fix {
			t.Errorf("incomplete: %+v", f)
		}
		list = append(list, f.Path+": "+f.Cause)
	}
	return list
}

func TestNewFindsFaults(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"none", func(*Config) {}, nil},
		{"no uplink", func(c *Config) { c.Uplinks = nil }, []string{"uplinks: there is none"}},
		{
			"uplink names", func(c *Config) { c.Uplinks = append(c.Uplinks, Uplink{}, Uplink{Name: "north"}) },
			[]string{"uplinks[2].name: is missing", `uplinks[3].name: "north" is used twice`},
		},
		{"cuid mode", func(c *Config) { c.Uplinks[0].CUIDMode = "each" }, []string{`uplinks[0].cuid: "each" is not known`}},
		{
			"relayed keys", func(c *Config) { c.Uplinks[0].RelayOptional = []uint64{128, 255, 16384, 65535, 127, 256, 16383, 65536} },
			[]string{
				"uplinks[0].relay_optional[4]: 127 is no comprehension-optional key", "uplinks[0].relay_optional[5]: 256 is no comprehension-optional key",
				"uplinks[0].relay_optional[6]: 16383 is no comprehension-optional key", "uplinks[0].relay_optional[7]: 65536 is no comprehension-optional key",
			},
		},
		{"defaults", func(c *Config) {
			c.Defaults = Defaults{MaxLifetime: -1, DefaultGrantForIndefinite: 1 << 32, MaxMitigations: -1, MaxCUIDs: -1, MaxNames: -1, RetryAfter: time.Millisecond}
		}, []string{
			"limits.max_lifetime: -1 is no finite lifetime", "limits.indefinite_grant: 4294967296 is no finite lifetime",
			"limits.max_mitigations: -1 is too few", "limits.max_cuids: -1 is too few", "limits.max_names_in_target: is negative",
			"limits.retry_after: is not a whole number of seconds",
		}},
		{"limits", func(c *Config) {
			c.Domains[1].Limits = Limits{MaxLifetime: dots.Some(dots.Lifetime(0)), MaxMitigations: dots.Some(0), MaxCUIDs: dots.Some(0)}
		}, []string{
			"domains[1].limits.max_lifetime: 0 is no finite lifetime",
			"domains[1].limits.max_mitigations: 0 is too few", "domains[1].limits.max_cuids: 0 is too few",
		}},
		{
			"domain names", func(c *Config) { c.Domains[0].Name, c.Domains[1].Name = "", "" },
			[]string{"domains[0].name: is missing", "domains[1].name: is missing", `domains[1].name: "" is used twice`},
		},
		{
			"keep both under one cuid", func(c *Config) { c.Domains[0].OnOverlap, c.Domains[1].OnOverlap = OverlapKeepBoth, OverlapKeepBoth },
			[]string{`domains[0].on_overlap: keep-both, but the clients share a cuid at uplink "north", which is aggregate`},
		},
		{
			"rules", func(c *Config) { c.Domains[0].OnOverlap, c.Domains[0].OnDNSFailure = "fight", "guess" },
			[]string{`domains[0].on_overlap: "fight" is not known`, `domains[0].on_dns_failure: "guess" is not known`},
		},
		{"known rules", func(c *Config) { c.Domains[0].OnOverlap, c.Domains[0].OnDNSFailure = OverlapRejectNew, DNSAllow }, nil},
		{
			"uplink of a domain", func(c *Config) { c.Domains[0].Uplinks, c.Domains[1].Uplinks = nil, []string{"west"} },
			[]string{"domains[0].uplinks: is missing, and there are several uplinks", `domains[1].uplinks[0]: "west" is not known`},
		},
		{"only uplink", func(c *Config) { c.Uplinks = c.Uplinks[:1]; c.Domains[0].Uplinks, c.Domains[1].Uplinks = nil, nil }, nil},
		{"nothing owned", func(c *Config) { c.Domains[1] = Domain{Name: "bare", Uplinks: []string{"north"}} }, []string{"domains[1].prefixes: there is none"}},
		{"aliases", func(c *Config) {
			c.Domains[1].Aliases = map[string]dots.Target{
				"": {Prefixes: prefixes("192.0.2.1/32")}, "a": {}, "b": {Aliases: []string{"a"}}, "c": {Prefixes: prefixes("198.51.100.0/24")},
				"d": {FQDNs: []string{"www.example.com"}}, "e": {URIs: []string{"https://192.0.2.9/"}}, "f": {URIs: []string{"192.0.2.9"}},
				"g": {Ports: []dots.PortRange{{Lower: 1, Upper: 1}}},
			}
		}, []string{
			"domains[1].aliases: an alias has no name", "domains[1].aliases.a: has no target", "domains[1].aliases.b: names other aliases",
			"domains[1].aliases.c: target-prefix 198.51.100.0/24 not yours", "domains[1].aliases.d: target-fqdn www.example.com not yours",
			"domains[1].aliases.f: target-uri 192.0.2.9 has no clear host", "domains[1].aliases.g: has no target",
		}},
		{"everything at once", func(c *Config) {
			c.Uplinks[0].CUIDMode, c.Domains[0].OnOverlap, c.Domains[0].Clients[1].Name = "x", "y", "one"
		}, []string{`uplinks[0].cuid: "x" is not known`, `domains[0].on_overlap: "y" is not known`, `domains[0].clients[1].name: "one" is used in domain "acme" already`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := house()
			tt.change(&c)
			p, err := New(c)
			if s := diff(tt.want, faults(t, err)); s != "" {
				t.Error(s)
			}
			if (p == nil) != (err != nil) {
				t.Errorf("policy %v with error %v", p, err)
			}
		})
	}
}

// RFC 9132, Section 4.4.1: nobody owns broadcast, loopback or multicast addresses.
func TestNewChecksPrefixes(t *testing.T) {
	tests := []struct {
		prefix netip.Prefix
		cause  string // empty: fine
	}{
		{netip.MustParsePrefix("100.64.0.0/10"), ""},
		{netip.MustParsePrefix("2001:db8:2::/48"), ""},
		{netip.MustParsePrefix("192.0.2.128/25"), ""}, // inside another of the domain's own
		{netip.Prefix{}, "is no prefix"},
		{netip.MustParsePrefix("100.64.0.1/10"), "100.64.0.1/10 has host bits set"},
		{netip.MustParsePrefix("0.0.0.0/0"), "0.0.0.0/0 takes in 0.0.0.0/8, which nobody owns"},
		{netip.MustParsePrefix("127.0.0.1/32"), "127.0.0.1/32 takes in 127.0.0.0/8, which nobody owns"},
		{netip.MustParsePrefix("224.0.0.0/3"), "224.0.0.0/3 takes in 224.0.0.0/4, which nobody owns"},
		{netip.MustParsePrefix("255.255.255.255/32"), "255.255.255.255/32 takes in 255.255.255.255/32, which nobody owns"},
		{netip.MustParsePrefix("::/0"), "::/0 takes in ::/127, which nobody owns"},
		{netip.MustParsePrefix("::1/128"), "::1/128 takes in ::/127, which nobody owns"},
		{netip.MustParsePrefix("::ffff:192.0.2.0/120"), "::ffff:192.0.2.0/120 takes in ::ffff:0.0.0.0/96, which nobody owns"},
		{netip.MustParsePrefix("ff02::/16"), "ff02::/16 takes in ff00::/8, which nobody owns"},
		{netip.MustParsePrefix("198.51.100.0/25"), `198.51.100.0/25 overlaps 198.51.100.0/24 of domain "acme"`},
		{netip.MustParsePrefix("198.51.0.0/16"), `198.51.0.0/16 overlaps 198.51.100.0/24 of domain "acme"`},
	}
	for _, tt := range tests {
		t.Run(tt.prefix.String(), func(t *testing.T) {
			c := house()
			c.Domains[1].Prefixes = append(c.Domains[1].Prefixes, tt.prefix)
			_, err := New(c)
			var want []string
			if tt.cause != "" {
				want = []string{"domains[1].prefixes[1]: " + tt.cause}
			}
			if s := diff(want, faults(t, err)); s != "" {
				t.Error(s)
			}
		})
	}
}

func TestNewChecksNamesAndURIs(t *testing.T) {
	c := house()
	c.Domains[1].Names = []string{"fine.example", "*.bad.example", "example.com", "deep.example.com", "fine.example"}
	c.Domains[1].URIs = []string{"https://fine.example/x", "fine.example", "https://fine.example/?q=1", "https://198.51.100.1/", "https://192.0.2.1/"}
	_, err := New(c)
	want := []string{
		`domains[1].names[1]: "*.bad.example" is no host name`,
		`domains[1].names[2]: "example.com" belongs to domain "acme"`,
		`domains[1].uris[1]: "fine.example" is no URI prefix`,
		`domains[1].uris[2]: "https://fine.example/?q=1" is no URI prefix`,
		"domains[1].uris[3]: 198.51.100.1 is not in the domain's prefixes",
	}
	if s := diff(want, faults(t, err)); s != "" {
		t.Error(s)
	}
}

func TestNewChecksClients(t *testing.T) {
	c := house()
	c.Domains[1].Clients = []ClientEntry{
		{},
		{Name: "one", PSKIdentities: []string{"unused"}},
		{Name: "same name", CertNames: []string{"fresh.example", "ONE.example.com."}},
		{Name: "same key", SPKIs: [][32]byte{spki("key one")}},
		{Name: "same identity", PSKIdentities: []string{"", "two"}},
		{Name: "empty", CertNames: []string{"."}},
		{Name: "kinds differ", PSKIdentities: []string{"guest.example.com"}},
	}
	_, err := New(c)
	got := faults(t, err)
	want := []string{
		"domains[1].clients[0].name: is missing",
		"domains[1].clients[0].credentials: there is none",
		`domains[1].clients[1].name: "one" is used in domain "acme" already`,
		`domains[1].clients[2].credentials.cert_names[1]: certificate name "one.example.com" is given twice`,
		"domains[1].clients[3].credentials.spki_sha256[0]: public key ",
		"domains[1].clients[4].credentials.psk_identities[0]: is empty",
		`domains[1].clients[4].credentials.psk_identities[1]: PSK identity "two" is given twice`,
		"domains[1].clients[5].credentials.cert_names[0]: is empty",
	}
	if len(got) != len(want) {
		t.Fatalf("%d faults: %s", len(got), strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got %s\nwant %s", got[i], want[i])
		}
	}
}
