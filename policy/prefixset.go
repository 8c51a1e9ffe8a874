package policy

import (
	"net/netip"
	"slices"
	"sort"
)

// A set of addresses is written as a list of prefixes that is sorted (netip.Prefix.Compare) and in which no prefix lies in another. The
// functions here take and return such lists, unless they say something else. What they are given they leave as it is, and may return.

// outermost makes a list of any prefixes, without host bits, to a set: sorted, and one inside another is dropped.
func outermost(list []netip.Prefix) []netip.Prefix {
	if isSet(list) {
		return slices.Clip(list)
	}
	all := slices.Clone(list)
	slices.SortFunc(all, netip.Prefix.Compare)
	kept := all[:1]
	for _, p := range all[1:] { // sorted, a prefix comes right before those inside it
		if !kept[len(kept)-1].Overlaps(p) {
			kept = append(kept, p)
		}
	}
	return kept
}

// isSet reports whether a list of prefixes without host bits is a set already.
func isSet(list []netip.Prefix) bool {
	for i := 1; i < len(list); i++ {
		if list[i-1].Compare(list[i]) >= 0 || list[i-1].Overlaps(list[i]) {
			return false
		}
	}
	return true
}

// holds reports whether a prefix lies in one of the set.
func holds(set []netip.Prefix, p netip.Prefix) bool {
	i := sort.Search(len(set), func(i int) bool { return set[i].Compare(p) > 0 })
	return i > 0 && set[i-1].Bits() <= p.Bits() && set[i-1].Overlaps(p)
}

// overlaps reports whether a prefix has an address of the set.
func overlaps(set []netip.Prefix, p netip.Prefix) bool {
	if holds(set, p) {
		return true
	}
	i := sort.Search(len(set), func(i int) bool { return set[i].Compare(p) >= 0 })
	return i < len(set) && set[i].Overlaps(p)
}

// joined joins the two halves of a prefix where they are both in the set and may allows it, again and again.
func joined(set []netip.Prefix, may func(netip.Prefix) bool) []netip.Prefix {
	apart := true
	for i := 1; i < len(set) && apart; i++ {
		_, halves := parent(set[i-1], set[i])
		apart = !halves
	}
	if apart {
		return set
	}
	out := make([]netip.Prefix, 0, len(set))
	for _, p := range set {
		for len(out) > 0 {
			up, ok := parent(out[len(out)-1], p)
			if !ok || !may(up) {
				break
			}
			out, p = out[:len(out)-1], up
		}
		out = append(out, p)
	}
	return out
}

// parent returns the prefix of which low and high are the halves; false: they are not.
func parent(low, high netip.Prefix) (netip.Prefix, bool) {
	if low.Bits() != high.Bits() || high.Bits() == 0 || low == high {
		return netip.Prefix{}, false
	}
	up := netip.PrefixFrom(high.Addr(), high.Bits()-1).Masked()
	return up, up.Addr() == low.Addr()
}

// sameAddresses reports whether two sets, however they are cut, have the same addresses.
func sameAddresses(a, b []netip.Prefix) bool {
	if slices.Equal(a, b) {
		return true
	}
	always := func(netip.Prefix) bool { return true }
	return slices.Equal(joined(a, always), joined(b, always))
}

// without returns a prefix without some of its parts: the fewest prefixes that have exactly the rest. The parts are a set, all inside p.
func without(p netip.Prefix, parts []netip.Prefix) []netip.Prefix {
	return appendWithout(nil, p, parts)
}

func appendWithout(out []netip.Prefix, p netip.Prefix, parts []netip.Prefix) []netip.Prefix {
	switch {
	case len(parts) == 0:
		return append(out, p)
	case parts[0].Bits() <= p.Bits():
		return out
	}
	low, high := halves(p)
	n := sort.Search(len(parts), func(i int) bool { return !parts[i].Addr().Less(high.Addr()) })
	return appendWithout(appendWithout(out, low, parts[:n]), high, parts[n:])
}

// halves cuts a prefix of more than one address in two.
func halves(p netip.Prefix) (low, high netip.Prefix) {
	bytes := p.Addr().AsSlice()
	bytes[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	a, _ := netip.AddrFromSlice(bytes)
	return netip.PrefixFrom(p.Addr(), p.Bits()+1), netip.PrefixFrom(a, p.Bits()+1)
}
