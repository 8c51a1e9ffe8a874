package policy

import (
	"net/netip"
	"slices"
)

// Serves reports whether a leg has the ports and protocols of a share.
func Serves(leg, share Footprint) bool {
	has := serviceOf(leg.Target)
	return has.or(serviceOf(share.Target)).equal(has)
}

// Covered reports whether legs give a share all that it needs as they are, so that Arrange would keep them and make it a member of all of them: each
// of its prefixes lies in one of theirs whole, and they have its ports and protocols. The legs are all those that the share overlaps, under one cuid.
// It is false wherever names or URIs are among what any of them asks for: that is for Arrange to say.
func Covered(share Footprint, legs []Footprint) bool {
	if share.textual() || len(legs) == 0 || len(share.Target.Prefixes) == 0 {
		return false
	}
	var all []netip.Prefix
	for _, l := range legs {
		if l.textual() || !Serves(l, share) {
			return false
		}
		all = append(all, masked(l.Target.Prefixes)...)
	}
	all = outermost(all)
	return !slices.ContainsFunc(masked(share.Target.Prefixes), func(p netip.Prefix) bool { return !holds(all, p) })
}

// Beyond returns the addresses of a target that lie in none of the parts, as the fewest prefixes in order; none: the parts have all of them.
func (e Expanded) Beyond(parts []Expanded) []netip.Prefix {
	var all []netip.Prefix
	for _, part := range parts {
		all = append(all, part.Prefixes...)
	}
	all = outermost(all)
	var rest []netip.Prefix
	for _, p := range outermost(e.Prefixes) {
		if !holds(all, p) {
			rest = append(rest, without(p, slices.DeleteFunc(slices.Clone(all), func(q netip.Prefix) bool { return !p.Overlaps(q) }))...)
		}
	}
	return rest
}
