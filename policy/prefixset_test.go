package policy

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// tiny are the addresses that the properties are tried over, one by one: of either family, 32 each.
func tiny() []netip.Addr {
	var all []netip.Addr
	for _, s := range []string{"10.0.0.0", "2001:db8::"} {
		a := netip.MustParseAddr(s)
		for range 32 {
			all = append(all, a)
			a = a.Next()
		}
	}
	return all
}

// tinyPrefix draws a prefix inside tiny.
func tinyPrefix(r *rand.Rand) netip.Prefix {
	a := tiny()[r.IntN(64)]
	p, _ := a.Prefix(a.BitLen() - min(r.IntN(6), r.IntN(6)))
	return p
}

func tinyPrefixes(r *rand.Rand, n int) []netip.Prefix {
	var list []netip.Prefix
	for range n {
		list = append(list, tinyPrefix(r))
	}
	return list
}

// hosts writes down which of tiny are in a list, a bit for each.
func hosts(list []netip.Prefix) uint64 {
	var in uint64
	for _, p := range list {
		bytes := p.Addr().AsSlice()
		first := uint(bytes[len(bytes)-1])
		if !p.Addr().Is4() {
			first += 32
		}
		in |= (1<<(1<<uint(p.Addr().BitLen()-p.Bits())) - 1) << first
	}
	return in
}

// properSet reports whether a list is as prefix sets are.
func properSet(list []netip.Prefix) bool {
	for i, p := range list {
		if p != p.Masked() || i > 0 && (list[i-1].Compare(p) >= 0 || list[i-1].Overlaps(p)) {
			return false
		}
	}
	return true
}

// TestPrefixSets compares every helper with host sets.
func TestPrefixSets(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		list := tinyPrefixes(r, r.IntN(8))
		was := slices.Clone(list)
		set := outermost(list)
		if !properSet(set) || hosts(set) != hosts(list) || !slices.Equal(list, was) {
			t.Fatalf("outermost(%v) = %v", was, set)
		}
		for _, p := range set {
			if !slices.Contains(list, p) {
				t.Fatalf("outermost(%v) made up %v", list, p)
			}
		}
		p := tinyPrefix(r)
		one := hosts([]netip.Prefix{p})
		inOne := slices.ContainsFunc(set, func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Overlaps(p) })
		if holds(set, p) != inOne {
			t.Fatalf("holds(%v, %v) = %v", set, p, !inOne)
		}
		if got, want := overlaps(set, p), hosts(set)&one != 0; got != want {
			t.Fatalf("overlaps(%v, %v) = %v", set, p, got)
		}
		testWithout(t, p, set)
		testJoined(t, set, p)
		testSame(t, r, set)
	}
}

func testWithout(t *testing.T, p netip.Prefix, set []netip.Prefix) {
	t.Helper()
	parts := slices.DeleteFunc(slices.Clone(set), func(q netip.Prefix) bool { return q.Bits() < p.Bits() || !p.Overlaps(q) })
	rest := without(p, parts)
	if want := hosts([]netip.Prefix{p}) &^ hosts(parts); hosts(rest) != want || !properSet(rest) {
		t.Fatalf("without(%v, %v) = %v", p, parts, rest)
	}
	if least := joined(rest, func(netip.Prefix) bool { return true }); len(least) != len(rest) {
		t.Fatalf("without(%v, %v) = %v, but %v is less", p, parts, rest, least)
	}
}

// testJoined lets halves be joined inside one prefix only.
func testJoined(t *testing.T, set []netip.Prefix, in netip.Prefix) {
	t.Helper()
	may := func(q netip.Prefix) bool { return in.Bits() <= q.Bits() && in.Overlaps(q) }
	got := joined(set, may)
	if hosts(got) != hosts(set) || !properSet(got) {
		t.Fatalf("joined(%v) = %v", set, got)
	}
	for i, p := range got {
		if !slices.Contains(set, p) && !may(p) {
			t.Fatalf("joined(%v) in %v: %v", set, in, got)
		}
		if i == 0 {
			continue
		}
		if up, ok := parent(got[i-1], p); ok && may(up) {
			t.Fatalf("joined(%v) in %v left halves: %v", set, in, got)
		}
	}
}

func testSame(t *testing.T, r *rand.Rand, set []netip.Prefix) {
	t.Helper()
	finer := slices.Clone(set)
	for i, p := range finer {
		if !p.IsSingleIP() && r.IntN(2) == 0 {
			low, high := halves(p)
			finer = append(slices.Delete(finer, i, i+1), low, high)
			break
		}
	}
	if !sameAddresses(set, outermost(finer)) {
		t.Fatalf("%v and %v are not the same", set, finer)
	}
	other := outermost(tinyPrefixes(r, 3))
	if got := sameAddresses(set, other); got != (hosts(set) == hosts(other)) {
		t.Fatalf("sameAddresses(%v, %v) = %v", set, other, got)
	}
}

func TestWithoutAtTheEdges(t *testing.T) {
	tests := []struct {
		name  string
		p     string
		parts []string
		want  []string
	}{
		{"nothing", "10.0.0.0/24", nil, []string{"10.0.0.0/24"}},
		{"all", "10.0.0.0/24", []string{"10.0.0.0/24"}, nil},
		{"both halves", "10.0.0.0/24", []string{"10.0.0.0/25", "10.0.0.128/25"}, nil},
		{"the first address", "10.0.0.0/30", []string{"10.0.0.0/32"}, []string{"10.0.0.1/32", "10.0.0.2/31"}},
		{"the last address", "10.0.0.0/30", []string{"10.0.0.3/32"}, []string{"10.0.0.0/31", "10.0.0.2/32"}},
		{"a byte's border", "10.0.0.0/15", []string{"10.1.0.0/16"}, []string{"10.0.0.0/16"}},
		{"everything of IPv4 but a half", "0.0.0.0/0", []string{"0.0.0.0/1"}, []string{"128.0.0.0/1"}},
		{"the end of IPv6", "ffff::/16", []string{"ffff:8000::/17"}, []string{"ffff::/17"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if s := diff(prefixes(tt.want...), without(netip.MustParsePrefix(tt.p), prefixes(tt.parts...))); s != "" {
				t.Error(s)
			}
		})
	}
	if got := without(netip.MustParsePrefix("2001:db8::/32"), prefixes("2001:db8::1/128")); len(got) != 96 {
		t.Errorf("%d prefixes around one address of a /32", len(got))
	}
}
