package dots

import (
	"net/netip"
	"slices"
)

// PortRange is an inclusive range of ports. A single port has Upper equal to Lower.
type PortRange struct {
	Lower, Upper uint16
}

// ICMPTypeRange is an inclusive range of ICMP types, by the family of the target prefix (RFC 9066).
type ICMPTypeRange struct {
	Lower, Upper uint8
}

// Target is what a mitigation protects. Order is the client's own and is kept (RFC 9132, Section 4.4.2).
// No ports or no protocols means all of them.
type Target struct {
	Prefixes  []netip.Prefix
	Ports     []PortRange
	Protocols []uint8 // IP protocol numbers
	FQDNs     []string
	URIs      []string
	Aliases   []string
}

// Empty reports whether the target names nothing to protect: no prefix, name, URI or alias.
// Ports and protocols alone are not a target (RFC 9132, Section 4.4.1).
func (t Target) Empty() bool {
	return len(t.Prefixes) == 0 && len(t.FQDNs) == 0 && len(t.URIs) == 0 && len(t.Aliases) == 0
}

// Equal reports whether two targets have the same elements, in whatever order.
func (t Target) Equal(o Target) bool {
	return sameSet(t.Prefixes, o.Prefixes) && sameSet(t.Ports, o.Ports) && sameSet(t.Protocols, o.Protocols) &&
		sameSet(t.FQDNs, o.FQDNs) && sameSet(t.URIs, o.URIs) && sameSet(t.Aliases, o.Aliases)
}

// sameSet compares two lists as sets. Lists that agree in order, which is the case of every
// refresh, are compared without allocating.
func sameSet[T comparable](a, b []T) bool {
	if slices.Equal(a, b) {
		return true
	}
	in := make(map[T]bool, len(a))
	for _, v := range a {
		in[v] = false
	}
	seen := 0
	for _, v := range b {
		done, ok := in[v]
		if !ok {
			return false
		}
		if !done {
			in[v] = true
			seen++
		}
	}
	return seen == len(in)
}
