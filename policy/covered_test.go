package policy

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

func TestCovered(t *testing.T) {
	web := Footprint{Target: dots.Target{Prefixes: prefixes("192.0.2.0/28"), Ports: []dots.PortRange{{Lower: 80, Upper: 443}}, Protocols: []uint8{6}}}
	other := Footprint{Target: dots.Target{Prefixes: prefixes("192.0.2.32/28"), Ports: web.Target.Ports, Protocols: []uint8{6}}}
	with := func(change func(*Footprint)) Footprint {
		f := web
		change(&f)
		return f
	}
	named := with(func(f *Footprint) {
		f.Target.FQDNs, f.Expanded.Names = []string{"example.com"}, []string{"example.com"}
	})
	for _, tt := range []struct {
		name  string
		share Footprint
		legs  []Footprint
		want  bool
	}{
		{"the same", web, []Footprint{web}, true},
		{"a part of it", with(func(f *Footprint) { f.Target.Prefixes = prefixes("192.0.2.4/32", "192.0.2.9/32") }), []Footprint{web}, true},
		{"two legs", with(func(f *Footprint) { f.Target.Prefixes = prefixes("192.0.2.4/32", "192.0.2.32/30") }), []Footprint{web, other}, true},
		{"fewer ports", with(func(f *Footprint) { f.Target.Ports = []dots.PortRange{{Lower: 81, Upper: 81}} }), []Footprint{web}, true},
		{"no leg", web, nil, false},
		{"nothing", Footprint{}, []Footprint{web}, false},
		{"wider", with(func(f *Footprint) { f.Target.Prefixes = prefixes("192.0.2.0/27") }), []Footprint{web}, false},
		{"beside it, too", with(func(f *Footprint) { f.Target.Prefixes = prefixes("192.0.2.4/32", "192.0.2.17/32") }), []Footprint{web}, false},
		{"another port", with(func(f *Footprint) { f.Target.Ports = []dots.PortRange{{Lower: 443, Upper: 444}} }), []Footprint{web}, false},
		{"all ports", with(func(f *Footprint) { f.Target.Ports = nil }), []Footprint{web}, false},
		{"another protocol", with(func(f *Footprint) { f.Target.Protocols = []uint8{17} }), []Footprint{web}, false},
		{"a port that one of two legs has not", with(func(f *Footprint) { f.Target.Prefixes = prefixes("192.0.2.4/32", "192.0.2.32/30") }), []Footprint{web, with(func(f *Footprint) {
			f.Target.Prefixes, f.Target.Ports = prefixes("192.0.2.32/28"), []dots.PortRange{{Lower: 80, Upper: 80}}
		})}, false},
		{"a name of the share", named, []Footprint{web}, false},
		{"a name of the leg", web, []Footprint{named}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Covered(tt.share, tt.legs); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
			if !tt.want || len(tt.legs) == 0 {
				return
			}
			standing, shares := make([]Standing, len(tt.legs)), []Share{{keyOf("new", 1), tt.share}}
			for i, l := range tt.legs {
				standing[i] = Standing{Footprint: l}
				shares = append(shares, Share{keyOf("old", uint32(i)), l})
			}
			for _, b := range Arrange(standing, shares, nil) {
				if b.Keeps < 0 {
					t.Errorf("Arrange makes a new leg: %+v", b)
				}
			}
		})
	}
}

// TestBeyond holds what of a target lies in no part: in none that holds it, in several that share it, in one of the other family.
func TestBeyond(t *testing.T) {
	part := func(texts ...string) Expanded { return Expanded{Prefixes: prefixes(texts...)} }
	for _, tt := range []struct {
		name  string
		own   Expanded
		parts []Expanded
		want  []netip.Prefix
	}{
		{"no parts", part("192.0.2.0/24"), nil, prefixes("192.0.2.0/24")},
		{"a wider part", part("192.0.2.0/25"), []Expanded{part("192.0.2.0/24")}, nil},
		{"a half", part("192.0.2.0/24"), []Expanded{part("192.0.2.0/25")}, prefixes("192.0.2.128/25")},
		{"two halves of two parts", part("192.0.2.0/24"), []Expanded{part("192.0.2.0/25"), part("192.0.2.128/25", "2001:db8::/32")}, nil},
		{"one of two", part("192.0.2.1/32", "192.0.2.3/32"), []Expanded{part("192.0.2.0/31"), part("192.0.2.4/32")}, prefixes("192.0.2.3/32")},
		{"the other family", part("2001:db8::/127"), []Expanded{part("0.0.0.0/0")}, prefixes("2001:db8::/127")},
	} {
		if got := tt.own.Beyond(tt.parts); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
