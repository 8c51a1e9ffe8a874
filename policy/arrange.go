package policy

import (
	"slices"

	"github.com/dotsgate/dotsgate/dots"
)

// Footprint is a target as uplinks are asked for it.
type Footprint struct {
	// Target holds prefixes, names, URIs, ports and protocols, no aliases.
	Target dots.Target
	// Expanded is Target with the addresses of its names.
	Expanded Expanded
}

// Share is what a mitigation needs of the legs under one cuid and of one trigger type.
type Share struct {
	Key dots.MitigationKey
	Footprint
}

// Standing is a leg as it is wanted now. No two that are given to Arrange overlap.
type Standing struct {
	Footprint
	// Fixed: it stays as it is. It counts for what it covers, and is named in no Bundle.
	Fixed bool
}

// Bundle is a leg as it is to be.
type Bundle struct {
	Footprint
	Members []dots.MitigationKey // whose targets it covers in part or whole, sorted
	// Keeps is the index of the Standing that stays exactly as it is; -1: this is a new leg.
	Keeps int
	// Replaces are the indices of the Standing whose place a new leg takes: what is still wanted of each of them is in this Bundle whole,
	// because the uplink deletes them when it takes the new one (RFC 9132, Section 4.4.1.3). Ascending.
	Replaces []int
}

// Arrange says which legs are to stand for what is wanted, given those that do. The Bundles are pairwise disjoint and cover every Share
// with its ports and protocols, no address that no Share has, and leave nothing that is wanted without cover on the way. A Standing that is
// neither kept nor replaced is wanted by nobody. fits reports whether a target can be asked for in one datagram.
func Arrange(standing []Standing, wanted []Share, fits func(dots.Target) bool) []Bundle {
	_ = fits
	var out []Bundle
	for _, group := range groups(wanted) {
		b := Bundle{Keeps: -1}
		for _, s := range group {
			b.Members = append(b.Members, s.Key)
			b.Footprint = b.Footprint.with(s.Footprint)
		}
		slices.SortFunc(b.Members, compareKey)
		for i, s := range standing {
			switch {
			case s.Fixed || !s.Expanded.Overlaps(b.Expanded):
			case s.Target.Equal(b.Target):
				b.Keeps = i
			default:
				b.Replaces = append(b.Replaces, i)
			}
		}
		out = append(out, b)
	}
	return out
}

// groups gathers what overlaps.
func groups(wanted []Share) [][]Share {
	var all [][]Share
	for _, s := range wanted {
		one := []Share{s}
		all = slices.DeleteFunc(all, func(g []Share) bool {
			if !slices.ContainsFunc(g, func(o Share) bool { return o.Expanded.Overlaps(s.Expanded) }) {
				return false
			}
			one = append(one, g...)
			return true
		})
		all = append(all, one)
	}
	return all
}

// with is the union of two footprints.
func (f Footprint) with(o Footprint) Footprint {
	if f.Target.Empty() {
		return o
	}
	return Footprint{Target: union([]dots.Target{f.Target, o.Target}), Expanded: f.Expanded.with(o.Expanded)}
}
