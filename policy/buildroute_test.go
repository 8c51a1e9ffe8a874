package policy

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// TestNewFindsFaultsOfRoutes: every wrong word about uplinks, farms, mitigators, strategies and recursion is named with its place.
func TestNewFindsFaultsOfRoutes(t *testing.T) {
	acme := func(change func(*Domain)) func(*Config) { return func(c *Config) { change(&c.Domains[0]) } }
	tests := []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"none", func(*Config) {}, nil},
		{
			"farms", func(c *Config) {
				c.Farms = append(c.Farms, Farm{}, Farm{Name: "north", Members: []string{"south"}}, Farm{Name: "farm", Members: []string{"east", "east", "west", "farm/2"}})
				c.Domains[0].Uplinks, c.Domains[1].Uplinks = []string{"north"}, []string{"north"}
			},
			[]string{
				"farms[1].name: is missing", "farms[1].members: there is none", `farms[2].name: "north" is used twice`, `farms[3].name: "farm" is used twice`,
				`farms[3].members[1]: "east" is in farm "farm" already`, `farms[3].members[2]: "west" is not known`, `farms[3].members[3]: "farm/2" is in farm "farm" already`,
			},
		},
		{
			"destinations", acme(func(d *Domain) { d.Uplinks = []string{"west", "north", "farm/1", "north", "box", "farm"} }),
			[]string{
				`domains[0].uplinks[0]: "west" is not known`, `domains[0].uplinks[2]: "farm/1" is one server of farm "farm"`,
				`domains[0].uplinks[3]: "north" is named twice`, `domains[0].uplinks[4]: "box" is a local mitigator`,
			},
		},
		{
			"mitigators", acme(func(d *Domain) { d.Mitigators = []string{"box", "box", "bax", "north", "farm/2"} }),
			[]string{
				`domains[0].mitigators[1]: "box" is named twice`, `domains[0].mitigators[2]: "bax" is not known`,
				`domains[0].mitigators[4]: "farm/2" is one server of farm "farm"`, `domains[0].uplinks[0]: "north" is under mitigators, too`,
			},
		},
		{"a DOTS server as a mitigator", acme(func(d *Domain) { d.Mitigators = []string{"farm"} }), nil},
		{"strategies", func(c *Config) { c.Domains[0].Strategy, c.Domains[1].Strategy = "fastest", StrategyAll }, []string{`domains[0].strategy: "fastest" is not known`}},
		{"no uplink of several", acme(func(d *Domain) { d.Uplinks = nil }), []string{"domains[0].uplinks: is missing, and there are several uplinks"}},
		{"no uplink of several, but a mitigator", acme(func(d *Domain) { d.Uplinks, d.Mitigators = nil, []string{"box"} }), nil},
		{
			"only local ones", func(c *Config) {
				c.Uplinks, c.Farms = c.Uplinks[6:], nil
				c.Domains[0].Uplinks, c.Domains[1].Uplinks, c.Domains[1].Mitigators = nil, nil, []string{"hook"}
			}, []string{"domains[0].uplinks: is missing, and there are local mitigators only"},
		},
		{
			"recursion", acme(func(d *Domain) {
				d.Mitigators = []string{"box"}
				d.Recursion = Recursion{PktsPerSecond: 1, Mitigations: -1, Low: 1.5, Hold: -time.Second}
			}),
			[]string{"domains[0].recursion.mitigations: -1 is negative", "domains[0].recursion.low: 1.5 is no share of a threshold", "domains[0].recursion.hold: -1s is negative"},
		},
		{
			"recursion, no number", acme(func(d *Domain) { d.Mitigators, d.Recursion = []string{"box"}, Recursion{Low: math.NaN()} }),
			[]string{"domains[0].recursion.low: NaN is no share of a threshold"},
		},
		{"recursion from nowhere", acme(func(d *Domain) { d.Recursion.OnExceeded = true }), []string{"domains[0].recursion: the domain has no local mitigators to go on from"}},
		{
			"recursion to nowhere", acme(func(d *Domain) { d.Uplinks, d.Mitigators, d.Recursion.OnExceeded = nil, []string{"box"}, true }),
			[]string{"domains[0].recursion: the domain has no uplinks to go on to"},
		},
		{
			"keep-both", acme(func(d *Domain) {
				d.OnOverlap, d.Uplinks, d.Mitigators = OverlapKeepBoth, []string{"farm", "east"}, []string{"box"}
			}),
			[]string{`domains[0].on_overlap: keep-both, but the clients share a cuid at uplink "east", which is per-domain`},
		},
		{"keep-both where it can be", acme(func(d *Domain) {
			d.OnOverlap, d.Uplinks, d.Mitigators = OverlapKeepBoth, []string{"farm", "south"}, []string{"box"}
		}), nil},
		{
			"cdid", func(c *Config) { c.Uplinks[0].CDID, c.Uplinks[1].CDID, c.Uplinks[2].CDID = true, true, true },
			[]string{
				"uplinks[0].cdid: one cdid cannot speak for all clients behind a cuid that is aggregate",
				"uplinks[2].cdid: one cdid cannot speak for all clients behind a cuid that is per-domain",
			},
		},
		{
			"prefixes of providers", func(c *Config) {
				c.Uplinks[0].Prefixes = prefixes("198.51.100.0/24", "198.51.100.1/24", "224.0.0.0/8")
				c.Uplinks[1].Prefixes = prefixes("198.51.100.64/26")
				c.Uplinks[3].Prefixes, c.Uplinks[4].Prefixes = prefixes("203.0.113.0/24"), prefixes("203.0.113.0/25")
				c.Uplinks[6].Prefixes = prefixes("192.0.2.0/24")
			}, []string{
				"uplinks[0].prefixes[1]: 198.51.100.1/24 has host bits set", "uplinks[0].prefixes[2]: 224.0.0.0/8 takes in 224.0.0.0/4, which nobody owns",
				`uplinks[1].prefixes[0]: 198.51.100.64/26 overlaps 198.51.100.0/24 of uplink "north"`,
				"uplinks[6].prefixes[0]: a local mitigator assigns no addresses",
			},
		},
		{
			"one that leaves", func(c *Config) {
				c.Uplinks[0].Leaving, c.Domains[0].Uplinks = true, []string{"south", c.Uplinks[0].Name}
				c.Uplinks[1].CUIDMode = "other"
			}, []string{`uplinks[1].cuid: "other" is not known`, `domains[0].uplinks[1]: "north" is not known`},
		},
		{"a farm's prefixes", func(c *Config) {
			c.Uplinks[3].Prefixes, c.Uplinks[4].Prefixes = prefixes("203.0.113.0/24"), prefixes("203.0.113.0/24")
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := estate()
			tt.change(&c)
			_, err := New(c)
			if s := diff(tt.want, faults(t, err)); s != "" {
				t.Error(s)
			}
		})
	}
}

// A domain that names no uplink goes to the only one, be it a farm; local mitigators do not count.
func TestTheOnlyUplink(t *testing.T) {
	c := estate()
	c.Uplinks = c.Uplinks[3:]
	c.Domains[0].Uplinks, c.Domains[1].Uplinks = nil, nil
	c.Domains[1].Mitigators = []string{"box"}
	p := mustNew(t, c)
	if a, b := p.domains["acme"].route, p.domains["other"].route; strings.Join(a.uplinks, " ") != "farm" || strings.Join(b.uplinks, " ") != "farm" {
		t.Errorf("%v and %v", a, b)
	}
}

func TestNewFindsFaultsOfTranslations(t *testing.T) {
	tests := []struct {
		name     string
		mappings []string
		change   func(*Config)
		want     []string
	}{
		{name: "fine", mappings: []string{"10.0.0.0/24 198.51.100.0/24", "10.0.1.1/32 203.0.113.1/32 80-81 8080-8081", "10.0.1.1/32 203.0.113.1/32 82-82 8082-8082"}},
		{name: "unequal", mappings: []string{"10.0.0.0/24 198.51.100.0/25"}, want: []string{"domains[0].nat[0]: 10.0.0.0/24 has 2^8 addresses and 198.51.100.0/25 2^7"}},
		{name: "unequal families", mappings: []string{"10.0.0.0/24 2001:db8::/64"}, want: []string{"domains[0].nat[0]: 10.0.0.0/24 has 2^8 addresses and 2001:db8::/64 2^64"}},
		{name: "host bits", mappings: []string{"10.0.0.1/24 198.51.100.1/24"}, want: []string{
			"domains[0].nat[0].inside: 10.0.0.1/24 has host bits set", "domains[0].nat[0].outside: 198.51.100.1/24 has host bits set",
		}},
		{name: "reserved", mappings: []string{"10.0.0.0/24 127.0.0.0/24"}, want: []string{"domains[0].nat[0].outside: 127.0.0.0/24 takes in 127.0.0.0/8, which nobody owns"}},
		{name: "not its own", mappings: []string{"11.0.0.0/24 198.51.100.0/24"}, want: []string{"domains[0].nat[0].inside: 11.0.0.0/24 is not in the domain's prefixes"}},
		{
			name: "twice inside", mappings: []string{"10.0.0.0/24 198.51.100.0/24", "10.0.0.4/32 203.0.113.1/32", "10.0.0.0/16 100.64.0.0/16"},
			want: []string{"domains[0].nat[1].inside: 10.0.0.4/32 overlaps 10.0.0.0/24 of nat[0]", "domains[0].nat[2].inside: 10.0.0.0/16 overlaps 10.0.0.0/24 of nat[0]"},
		},
		{name: "twice outside", mappings: []string{"10.0.0.0/24 198.51.100.0/24", "10.0.1.0/32 198.51.100.9/32"}, want: []string{"domains[0].nat[1].outside: 198.51.100.9/32 overlaps 198.51.100.0/24 of nat[0]"}},
		{
			name: "ports that meet", mappings: []string{"10.0.0.1/32 198.51.100.1/32 80-90 80-90", "10.0.0.2/32 198.51.100.1/32 80-81 90-91", "10.0.0.1/32 198.51.100.2/32 90-91 1-2"},
			want: []string{"domains[0].nat[1].outside: 198.51.100.1/32 overlaps 198.51.100.1/32 of nat[0]", "domains[0].nat[2].inside: 10.0.0.1/32 overlaps 10.0.0.1/32 of nat[0]"},
		},
		{
			name: "ports and none", mappings: []string{"10.0.0.1/32 198.51.100.1/32 80-90 80-90", "10.0.0.2/32 198.51.100.1/32"},
			want: []string{"domains[0].nat[1].outside: 198.51.100.1/32 overlaps 198.51.100.1/32 of nat[0]"},
		},
		{name: "unequal ports", mappings: []string{"10.0.0.1/32 198.51.100.1/32 80-90 80-91"}, want: []string{"domains[0].nat[0].outside_ports: 80-91 are not as many as 80-90"}},
		{name: "ports from behind", mappings: []string{"10.0.0.1/32 198.51.100.1/32 90-80 80-90"}, want: []string{"domains[0].nat[0].inside_ports: 90-80 ends before it begins"}},
		{name: "ports from behind, outside", mappings: []string{"10.0.0.1/32 198.51.100.1/32 80-90 90-80"}, want: []string{"domains[0].nat[0].outside_ports: 90-80 ends before it begins"}},
		{name: "ports of one side", mappings: []string{"10.0.0.1/32 198.51.100.1/32 80-90 0-0"}, want: []string{"domains[0].nat[0]: has ports on one side only"}},
		{
			name: "an alias that is not mapped", mappings: []string{"10.0.0.0/24 198.51.100.0/24"},
			change: func(c *Config) {
				c.Domains[0].Aliases = map[string]dots.Target{"far": {Prefixes: prefixes("10.9.0.0/24")}, "near": {Prefixes: prefixes("10.0.0.0/24")}}
			},
			want: []string{"domains[0].aliases.far: target-prefix 10.9.0.0/24 has no outside address"},
		},
		{
			name: "two domains that meet outside", mappings: []string{"10.0.0.0/24 192.0.2.0/24"},
			want: []string{`domains[1].nat: 192.0.2.0/24 outside overlaps 192.0.2.0/24 of domain "acme"`},
		},
		{
			name: "two domains that share an address by its ports", mappings: []string{"10.0.0.1/32 203.0.113.1/32 80-80 80-80", "10.0.0.2/32 203.0.113.2/32 443-443 443-443"},
			change: func(c *Config) { c.Domains[1].NAT = []Mapping{mapping("192.0.2.1/32 203.0.113.1/32 443-443 443-443")} },
			want:   []string{`domains[1].nat: 203.0.113.1/32 outside overlaps 203.0.113.1/32 of domain "acme"`},
		},
		{
			name: "inside alone does not meet", mappings: []string{"10.0.0.0/24 198.51.100.0/24"},
			change: func(c *Config) { c.Domains[1].Uplinks = []string{"north"} },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := inner(tt.mappings...)
			if tt.change != nil {
				tt.change(&c)
			}
			_, err := New(c)
			if s := diff(tt.want, faults(t, err)); s != "" {
				t.Error(s)
			}
		})
	}
}

func TestNewFindsFaultsOfClasses(t *testing.T) {
	c := house()
	zero := dots.Some(0)
	c.Classes = []Class{{}, {Name: "a"}, {Name: "a", Limits: Limits{MaxObservers: zero, RequestsPerMinute: zero, NewCUIDsPerHour: zero, MaxMitigations: zero}}}
	c.Domains[0].Clients[0].Class = "b"
	_, err := New(c)
	want := []string{
		"classes[0].name: is missing", `classes[2].name: "a" is used twice`, "classes[2].limits.max_mitigations: 0 is too few", "classes[2].limits.max_observers: 0 is too few",
		"classes[2].limits.requests_per_minute: 0 is too few", "classes[2].limits.new_cuids_per_hour: 0 is too few", `domains[0].clients[0].class: "b" is not known`,
	}
	if s := diff(want, faults(t, err)); s != "" {
		t.Error(s)
	}
}

// TestClasses: a class's limits go before the domain's, those before the defaults.
func TestClasses(t *testing.T) {
	c := house()
	c.Defaults = Defaults{MaxLifetime: 1000, MaxMitigations: 10, MaxCUIDs: 3}
	c.Domains[0].Limits = Limits{MaxLifetime: dots.Some(dots.Lifetime(500)), MaxMitigations: dots.Some(5), MaxObservers: dots.Some(7), RequestsPerMinute: dots.Some(60)}
	c.Classes = []Class{
		{Name: "gold", Limits: Limits{
			MaxMitigations: dots.Some(8), MaxObservers: dots.Some(9), AllowIndefinite: dots.Some(true), NewCUIDsPerHour: dots.Some(2), MaxCUIDs: dots.Some(4),
		}},
		{Name: "short", Limits: Limits{MaxLifetime: dots.Some(dots.Lifetime(60)), RequestsPerMinute: dots.Some(1)}},
		{Name: "visitor", Guest: true},
	}
	for i, class := range []string{"gold", "short", "visitor"} {
		c.Domains[0].Clients[i].Class = class
	}
	p := mustNew(t, c)
	tests := []struct {
		client             string
		mitigates          bool
		longest, endless   dots.Lifetime // granted of a very long one, and of one without end
		mitigations, cuids int
		observers          int
		rates              Rates
	}{
		{"one", true, 500, dots.Indefinite, 8, 4, 9, Rates{RequestsPerMinute: 60, NewCUIDsPerHour: 2}},
		{"two", true, 60, 60, 5, 3, 7, Rates{RequestsPerMinute: 1}},
		{"guest", false, 0, 0, 0, 0, 7, Rates{RequestsPerMinute: 60}},
		{"gate", true, 500, 500, 5, 3, 7, Rates{RequestsPerMinute: 60}},
		{"stranger", true, 1000, 1000, 10, 3, 0, Rates{}},
		{"nobody", false, 0, 0, 0, 0, 0, Rates{}},
	}
	for _, tt := range tests {
		if p.MayMitigate(tt.client) != tt.mitigates || p.MaxObservers(tt.client) != tt.observers || p.Rates(tt.client) != tt.rates {
			t.Errorf("%s: mitigates %v, observers %d, rates %+v", tt.client, p.MayMitigate(tt.client), p.MaxObservers(tt.client), p.Rates(tt.client))
		}
		if !tt.mitigates {
			continue
		}
		target := "198.51.100.0/24"
		if tt.client == "stranger" {
			target = "192.0.2.0/24"
		}
		a := askPrefix(target)
		a.Client.Name, a.CUIDOwner = tt.client, tt.client
		for asked, want := range map[dots.Lifetime]dots.Lifetime{100000: tt.longest, dots.Indefinite: tt.endless} {
			a.Request.Lifetime = dots.Some(asked)
			if got := p.Admit(&fakeView{mits: tt.mitigations - 1}, a); got.Deny != nil || got.Grant.Request.Lifetime.Value != want {
				t.Errorf("%s: %d s granted of %d, want %d (%v)", tt.client, got.Grant.Request.Lifetime.Value, asked, want, got.Deny)
			}
		}
		wantDeny(t, p.Admit(&fakeView{mits: tt.mitigations}, a).Deny, dots.CodeUnavailable, "too many mitigations")
		a.CUIDOwner = ""
		if v := p.Admit(&fakeView{cuids: tt.cuids - 1}, a); v.Deny != nil {
			t.Errorf("%s: %v", tt.client, v.Deny)
		}
		wantDeny(t, p.Admit(&fakeView{cuids: tt.cuids}, a).Deny, dots.CodeUnavailable, "too many cuids")
	}
}
