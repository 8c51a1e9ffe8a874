package policy

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
)

// Expanded is a target in the form in which targets are compared. Every list is sorted and has no duplicates.
type Expanded struct {
	Prefixes []netip.Prefix // those asked for and the addresses of names, without host bits
	Names    []string       // in lower case, without trailing dot; the hosts of URIs are among them
	URIs     []string       // in normal form
	Aliases  []string       // as written
}

// Empty reports whether there is nothing to compare.
func (e Expanded) Empty() bool {
	return len(e.Prefixes) == 0 && len(e.Names) == 0 && len(e.URIs) == 0 && len(e.Aliases) == 0
}

// Overlaps reports whether two targets have an address, name, URI or alias in common. Ports and protocols do not count.
//
// RFC 9132, Section 4.4.1.3: requests overlap when they have a common address, prefix, name, URI or alias.
func (e Expanded) Overlaps(o Expanded) bool {
	for _, p := range e.Prefixes {
		if slices.ContainsFunc(o.Prefixes, p.Overlaps) {
			return true
		}
	}
	return len(common(e.Names, o.Names)) > 0 || len(common(e.URIs, o.URIs)) > 0 || len(common(e.Aliases, o.Aliases)) > 0
}

// Intersect returns what two targets have in common: of two overlapping prefixes the longer one, sorted. It names nothing that
// only one of them has.
func (e Expanded) Intersect(o Expanded) dots.Target {
	t := dots.Target{FQDNs: common(e.Names, o.Names), URIs: common(e.URIs, o.URIs), Aliases: common(e.Aliases, o.Aliases)}
	t.Prefixes = commonPrefixes(e.Prefixes, o.Prefixes)
	return t
}

// commonPrefixes returns, of every two overlapping prefixes of two sorted lists, the longer one, in one sweep. Sorted, a prefix comes
// right before those inside it, so that for each list only the widest prefix reached last needs to be remembered.
func commonPrefixes(a, b []netip.Prefix) []netip.Prefix {
	var both []netip.Prefix
	var openA, openB netip.Prefix
	for len(a)+len(b) > 0 {
		var p, other netip.Prefix
		if len(b) == 0 || len(a) > 0 && a[0].Compare(b[0]) <= 0 {
			p, other, a = a[0], openB, a[1:]
			openA = widest(openA, p)
		} else {
			p, other, b = b[0], openA, b[1:]
			openB = widest(openB, p)
		}
		if other.Overlaps(p) && (len(both) == 0 || both[len(both)-1] != p) {
			both = append(both, p)
		}
	}
	return both
}

// widest returns p, or open where p lies in it.
func widest(open, p netip.Prefix) netip.Prefix {
	if open.Overlaps(p) {
		return open
	}
	return p
}

// target returns the whole as a target.
func (e Expanded) target() dots.Target {
	return dots.Target{Prefixes: e.Prefixes, FQDNs: e.Names, URIs: e.URIs, Aliases: e.Aliases}
}

// normal sorts every list in place and drops duplicates.
func (e Expanded) normal() Expanded {
	return Expanded{
		Prefixes: sorted(e.Prefixes, netip.Prefix.Compare),
		Names:    sorted(e.Names, strings.Compare), URIs: sorted(e.URIs, strings.Compare), Aliases: sorted(e.Aliases, strings.Compare),
	}
}

// Union returns what either covers.
func (e Expanded) Union(o Expanded) Expanded {
	switch {
	case o.Empty():
		return e
	case e.Empty():
		return o
	}
	return e.with(o)
}

// with adds the lists of o.
func (e Expanded) with(o Expanded) Expanded {
	return Expanded{
		Prefixes: slices.Concat(e.Prefixes, o.Prefixes),
		Names:    slices.Concat(e.Names, o.Names), URIs: slices.Concat(e.URIs, o.URIs), Aliases: slices.Concat(e.Aliases, o.Aliases),
	}.normal()
}

// common returns what two sorted lists share.
func common(a, b []string) []string {
	var both []string
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case a[0] > b[0]:
			b = b[1:]
		default:
			both = append(both, a[0])
			a, b = a[1:], b[1:]
		}
	}
	return both
}

// sorted sorts a list in place and drops duplicates.
func sorted[T comparable](list []T, compare func(a, b T) int) []T {
	slices.SortFunc(list, compare)
	return slices.Compact(list)
}
