package gateway

import (
	"net/netip"
	"slices"

	"github.com/dotsgate/dotsgate/policy"
)

// covers says which of a mitigation's targets each of its legs protects: by their indices in its prefixes, names and URIs as the uplinks
// know them.
func covers(parts []policy.Part, legs []*leg, own policy.Expanded) {
	for i, l := range legs {
		e := l.part.Expanded
		for n, p := range own.Prefixes {
			if slices.ContainsFunc(e.Prefixes, func(q netip.Prefix) bool { return q.Overlaps(p) }) {
				parts[i].Covers = append(parts[i].Covers, n)
			}
		}
		parts[i].Covers = append(parts[i].Covers, shared(own.Names, e.Names, len(own.Prefixes))...)
		parts[i].Covers = append(parts[i].Covers, shared(own.URIs, e.URIs, len(own.Prefixes)+len(own.Names))...)
	}
}

// shared lists the indices, from an offset on, of those words that are in another list, too, which is sorted.
func shared(words, others []string, offset int) []int {
	var found []int
	for i, w := range words {
		if _, ok := slices.BinarySearch(others, w); ok {
			found = append(found, offset+i)
		}
	}
	return found
}
