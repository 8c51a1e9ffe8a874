package policy

import (
	"github.com/dotsgate/dotsgate/dots"
)

// Share is what a mitigation needs of the legs under one cuid and of one trigger type.
type Share struct {
	Key dots.MitigationKey
	Footprint
}

// Standing is a leg as it is wanted now. No two that are given to Arrange overlap.
type Standing struct {
	Footprint
	// Fixed: it stays as it is. It counts for what it covers, and is named in no Bundle. A share that overlaps it is taken to be covered
	// there, ports and names included: what overlaps something that changed must not be Fixed.
	Fixed bool
	// Behind is what the legs cover whose place this one is to take and was not answered yet: they stand still, and the uplink deletes them with
	// the first request that overlaps them, without a word of this one. So what is wanted of it joins this one.
	Behind Expanded
}

// Bundle is a leg as it is to be.
type Bundle struct {
	Footprint
	Members []dots.MitigationKey // whose targets it covers in part or whole, sorted
	// Keeps is the index of the Standing that stays exactly as it is; -1: this is a new leg. The addresses in Expanded are those that the
	// names have now.
	Keeps int
	// Replaces are the indices of the Standing whose place a new leg takes: what is still wanted of each of them is in this Bundle whole,
	// because the uplink deletes them when it takes the new one (RFC 9132, Section 4.4.1.3). Ascending.
	Replaces []int
}

// Arrange says which legs are to stand for what is wanted, given those that do. The Bundles are pairwise disjoint and cover every Share
// with its ports and protocols, no address that no Share has, and leave nothing that is wanted without cover on the way. A Standing that is
// neither kept nor replaced is wanted by nobody. fits reports whether a target can be asked for in one datagram; nil: everything does.
// The order of what is given changes nothing of what is covered, and where nothing has to change everything is kept.
//
// A server deletes a request whole when a higher mid under the same cuid overlaps it, whatever the ports (RFC 9132, Section 4.4.1.3). So
// each Standing that has to change goes into exactly one Bundle with all that is still wanted of it:
//
//   - What is covered already needs nothing but the ports of its legs, which are those of all their members.
//   - What overlaps one leg goes into it, what overlaps none makes one of its own, if that is one datagram.
//   - What overlaps several takes in those that lie inside it, and those of whose names it has an address; around the others it is cut.
//     Where that is more than one datagram nothing is taken in, and the rest is cut up into legs of one datagram each.
//   - Names cannot be cut: they go with their addresses, and with every leg that has one of these or the same name, whatever the size.
//   - Who leaves lets a leg shrink to what the others want of it. It is not taken apart even if these are disjoint now and want different
//     ports: the uplink would delete the leg with the first of the new ones, and what is in the second would be without cover for a round trip.
//
// Where cutting would give more pieces than a message may list, what is overlapped is taken in all the same. A leg that shrinks from one
// wide prefix to more single ones than that is split, with such a gap.
func Arrange(standing []Standing, wanted []Share, fits func(dots.Target) bool) []Bundle {
	g := newGround(standing, wanted, fits)
	for i := range g.shares {
		g.anchor(i)
	}
	for i := range g.shares {
		g.claim(i)
	}
	for i := range g.nodes {
		n := &g.nodes[i]
		n.hard = g.tidy(n.hard)
	}
	for i := range g.shares {
		g.extend(i)
	}
	var out []Bundle
	for i := range g.nodes {
		out = append(out, g.bundles(i)...)
	}
	return out
}
