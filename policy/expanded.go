package policy

import (
	"net/netip"

	"github.com/dotsgate/dotsgate/dots"
)

// Expanded is a target in the form in which targets are compared. Every list is sorted and has no duplicates.
type Expanded struct {
	Prefixes []netip.Prefix // those asked for and the addresses of names, without host bits
	Names    []string       // in lower case, without trailing dot; the hosts of URIs are among them
	URIs     []string       // in normal form
	Aliases  []string       // as written
}

// Overlaps reports whether two targets have an address, name, URI or alias in common. Ports and protocols do not count
// (RFC 9132, Section 4.4.1.3).
func (e Expanded) Overlaps(o Expanded) bool { return false }

// Intersect returns what two targets have in common: of two overlapping prefixes the longer one.
func (e Expanded) Intersect(o Expanded) dots.Target { return dots.Target{} }
