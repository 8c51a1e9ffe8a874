package bgp

import (
	"encoding/binary"
	"net/netip"
)

// family is an address family of BGP (RFC 4760, Section 3).
type family struct {
	afi  uint16
	safi uint8
}

// The numbers of families: afi of IANA's address families, safi of RFC 4760, Section 6 and RFC 8955, Section 4.
const (
	afiIPv4      = 1
	afiIPv6      = 2
	safiUnicast  = 1
	safiFlowspec = 133
)

// families are all that we may ever have announced in, whatever the mode of today.
func families() []family {
	return []family{{afiIPv4, safiUnicast}, {afiIPv6, safiUnicast}, {afiIPv4, safiFlowspec}, {afiIPv6, safiFlowspec}}
}

// path is a route as it crosses gobgpd's API.
type path struct {
	family family
	nlri   []byte
	attrs  [][]byte // each with its flags, type and length
	local  bool     // announced by gobgpd itself, not learnt from a peer; only in what it lists
}

// id tells routes apart: what BGP calls the same destination has the same id.
func (p path) id() string { return string([]byte{byte(p.family.afi), p.family.safi}) + string(p.nlri) }

// Types and flags of attributes (RFC 4271, Section 4.3, and the documents of each type).
const (
	attrOrigin      = 1
	attrNextHop     = 3
	attrCommunities = 8  // RFC 1997
	attrMPReach     = 14 // RFC 4760, Section 3
	attrExtended    = 16 // RFC 4360
	attrLarge       = 32 // RFC 8092, Section 3

	flagOptional   = 0x80
	flagTransitive = 0x40
	flagLong       = 0x10 // two octets of length

	originIGP = 0
)

// attribute encodes a path attribute (RFC 4271, Section 4.3).
func attribute(flags, kind byte, value []byte) []byte {
	if len(value) < 256 {
		return append([]byte{flags, kind, byte(len(value))}, value...)
	}
	return append(binary.BigEndian.AppendUint16([]byte{flags | flagLong, kind}, uint16(len(value))), value...)
}

// extent splits an attribute into its type and value; ok is false where it is cut off.
func extent(b []byte) (kind byte, value []byte, ok bool) {
	if len(b) < 3 {
		return 0, nil, false
	}
	kind, length, rest := b[1], int(b[2]), b[3:]
	if b[0]&flagLong != 0 {
		if len(b) < 4 {
			return 0, nil, false
		}
		length, rest = int(binary.BigEndian.Uint16(b[2:])), b[4:]
	}
	if len(rest) < length {
		return 0, nil, false
	}
	return kind, rest[:length], true
}

// carries reports whether a route has a large community (RFC 8092, Section 3).
func (p path) carries(want large) bool {
	for _, a := range p.attrs {
		kind, value, ok := extent(a)
		if !ok || kind != attrLarge {
			continue
		}
		for ; len(value) >= 12; value = value[12:] {
			got := large{binary.BigEndian.Uint32(value), binary.BigEndian.Uint32(value[4:]), binary.BigEndian.Uint32(value[8:])}
			if got == want {
				return true
			}
		}
	}
	return false
}

// prefixNLRI encodes a prefix: its length in bits, and as many octets as hold them (RFC 4271, Section 4.3).
func prefixNLRI(p netip.Prefix) []byte {
	octets := p.Masked().Addr().AsSlice()
	return append([]byte{byte(p.Bits())}, octets[:(p.Bits()+7)/8]...)
}

// prefixOf reads a prefix back from a route of a unicast family.
func (p path) prefixOf() (netip.Prefix, bool) {
	octets := make([]byte, 4)
	if p.family.afi == afiIPv6 {
		octets = make([]byte, 16)
	}
	if p.family.safi != safiUnicast || len(p.nlri) == 0 || len(p.nlri)-1 > len(octets) {
		return netip.Prefix{}, false
	}
	copy(octets, p.nlri[1:])
	addr, _ := netip.AddrFromSlice(octets) // its length is right
	prefix := netip.PrefixFrom(addr, int(p.nlri[0]))
	return prefix, prefix.IsValid()
}

// afi is the address family of a prefix.
func afi(p netip.Prefix) uint16 {
	if p.Addr().Is4() {
		return afiIPv4
	}
	return afiIPv6
}

// nextHop gives the attributes that carry a route's next hop: NEXT_HOP for what fits there, else MP_REACH_NLRI (RFC 4760, Section 3).
// A flowspec rule has none on the wire (RFC 8955, Section 4); gobgpd's API asks for one nevertheless, and leaves it out.
func (p path) nextHop(hop netip.Addr) []byte {
	if hop.Is4() {
		return attribute(flagTransitive, attrNextHop, hop.AsSlice())
	}
	value := binary.BigEndian.AppendUint16(nil, p.family.afi)
	value = append(value, p.family.safi, 16)
	value = append(value, hop.AsSlice()...)
	value = append(value, 0)
	return attribute(flagOptional, attrMPReach, append(value, p.nlri...))
}

// common encodes what every route of a mitigator has besides its next hop. The marker is among the large communities.
func common(c communities, extended [][8]byte) [][]byte {
	list := [][]byte{attribute(flagTransitive, attrOrigin, []byte{originIGP})}
	var plain, ext, larges []byte
	for _, n := range c.plain {
		plain = binary.BigEndian.AppendUint32(plain, n)
	}
	for _, e := range extended {
		ext = append(ext, e[:]...)
	}
	for _, l := range c.large {
		for _, n := range []uint32{l.admin, l.data1, l.data2} {
			larges = binary.BigEndian.AppendUint32(larges, n)
		}
	}
	if len(plain) > 0 {
		list = append(list, attribute(flagOptional|flagTransitive, attrCommunities, plain))
	}
	if len(ext) > 0 {
		list = append(list, attribute(flagOptional|flagTransitive, attrExtended, ext))
	}
	return append(list, attribute(flagOptional|flagTransitive, attrLarge, larges))
}
