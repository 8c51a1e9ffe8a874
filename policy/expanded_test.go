package policy

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// RFC 9132, Section 4.4.1.3: what counts as an overlap.
func TestExpandedOverlapsAndIntersect(t *testing.T) {
	tests := []struct {
		name string
		a, b Expanded
		want dots.Target // empty: no overlap
	}{
		{name: "nothing", a: Expanded{}, b: Expanded{}},
		{
			name: "same prefix",
			a:    Expanded{Prefixes: prefixes("198.51.100.0/24")}, b: Expanded{Prefixes: prefixes("198.51.100.0/24")},
			want: dots.Target{Prefixes: prefixes("198.51.100.0/24")},
		},
		{
			name: "one inside the other",
			a:    Expanded{Prefixes: prefixes("198.51.100.0/24")}, b: Expanded{Prefixes: prefixes("198.51.100.128/25")},
			want: dots.Target{Prefixes: prefixes("198.51.100.128/25")},
		},
		{
			name: "neighbours",
			a:    Expanded{Prefixes: prefixes("198.51.100.0/25")}, b: Expanded{Prefixes: prefixes("198.51.100.128/25")},
		},
		{
			name: "families",
			a:    Expanded{Prefixes: prefixes("0.0.0.0/0")}, b: Expanded{Prefixes: prefixes("::/0")},
		},
		{
			name: "several, each once",
			a:    Expanded{Prefixes: prefixes("198.51.100.0/24", "198.51.100.0/25")},
			b:    Expanded{Prefixes: prefixes("198.51.100.1/32", "198.51.100.200/32", "203.0.113.1/32")},
			want: dots.Target{Prefixes: prefixes("198.51.100.1/32", "198.51.100.200/32")},
		},
		{
			name: "names",
			a:    Expanded{Names: []string{"a.example", "c.example"}}, b: Expanded{Names: []string{"b.example", "c.example", "d.example"}},
			want: dots.Target{FQDNs: []string{"c.example"}},
		},
		{name: "subdomain is another name", a: Expanded{Names: []string{"example"}}, b: Expanded{Names: []string{"a.example"}}},
		{name: "uris", a: Expanded{URIs: []string{"u"}}, b: Expanded{URIs: []string{"t", "u"}}, want: dots.Target{URIs: []string{"u"}}},
		{name: "aliases", a: Expanded{Aliases: []string{"x", "y"}}, b: Expanded{Aliases: []string{"y"}}, want: dots.Target{Aliases: []string{"y"}}},
		{name: "name of one is alias of the other", a: Expanded{Names: []string{"x"}}, b: Expanded{Aliases: []string{"x"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, pair := range [][2]Expanded{{tt.a, tt.b}, {tt.b, tt.a}} {
				if got := pair[0].Overlaps(pair[1]); got == tt.want.Empty() {
					t.Errorf("Overlaps = %v, intersection wanted %v", got, tt.want)
				}
				if s := diff(tt.want, pair[0].Intersect(pair[1])); s != "" {
					t.Error(s)
				}
			}
		})
	}
}

func TestWithSortsAndDropsDuplicates(t *testing.T) {
	a := Expanded{Prefixes: prefixes("203.0.113.0/24"), Names: []string{"b"}, URIs: []string{"u"}}
	b := Expanded{Prefixes: prefixes("198.51.100.0/24", "203.0.113.0/24"), Names: []string{"a", "b"}, Aliases: []string{"x"}}
	want := Expanded{
		Prefixes: prefixes("198.51.100.0/24", "203.0.113.0/24"), Names: []string{"a", "b"}, URIs: []string{"u"}, Aliases: []string{"x"},
	}
	if s := diff(want, a.with(b)); s != "" {
		t.Error(s)
	}
	if a.Empty() || !(Expanded{}).Empty() {
		t.Error("Empty is wrong")
	}
}

// naivePrefixes is the oracle of commonPrefixes: every pair is compared.
func naivePrefixes(a, b []netip.Prefix) []netip.Prefix {
	var both []netip.Prefix
	for _, p := range a {
		for _, q := range b {
			switch {
			case !p.Overlaps(q):
			case q.Bits() > p.Bits():
				both = append(both, q)
			default:
				both = append(both, p)
			}
		}
	}
	return sorted(both, netip.Prefix.Compare)
}

func TestCommonPrefixesAgainstAnOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	found := 0
	for range 20000 {
		a, b := append(randomExpanded(r).Prefixes, randomExpanded(r).Prefixes...), append(randomExpanded(r).Prefixes, randomExpanded(r).Prefixes...)
		a, b = sorted(a, netip.Prefix.Compare), sorted(b, netip.Prefix.Compare)
		want := naivePrefixes(a, b)
		found += len(want)
		if s := diff(want, commonPrefixes(a, b)); s != "" {
			t.Fatalf("%v and %v: %s", a, b, s)
		}
	}
	if found < 10000 {
		t.Errorf("only %d were in common: the test shows little", found)
	}
}
