package bgp

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/dotsgate/dotsgate/dots"
)

// Component types of a rule (RFC 8955, Section 4.2.2; RFC 8956, Section 3).
const (
	componentDestination     = 1
	componentProtocol        = 3
	componentDestinationPort = 5
)

// Operators of a value (RFC 8955, Section 4.2.1.1).
const (
	opEnd     = 0x80
	opAnd     = 0x40
	opTwo     = 0x10 // the value has two octets
	opLess    = 0x04
	opGreater = 0x02
	opEqual   = 0x01
)

// maxRule bounds a rule, in octets. A BGP message has 4096 with all attributes (RFC 4271, Section 4.1); many routers take far less.
const maxRule = 2048

// protocols whose ports a rule can match (RFC 8955, Section 4.2.2.5).
func hasPorts(protocol uint8) bool { return protocol == 6 || protocol == 17 }

// blindPorts are those that have ports which no rule can match: DCCP and SCTP.
func blindPorts(protocol uint8) bool { return protocol == 33 || protocol == 132 }

// rules encodes a target's rules for one prefix. One rule is enough, whatever the number of protocols and ports, unless there are
// ports beside protocols that have none: a rule that asks for both matches nothing of these, so they get a rule of their own.
func rules(prefix netip.Prefix, t dots.Target) ([][]byte, *dots.Error) {
	if len(t.Ports) == 0 {
		return oneRule(prefix, t.Protocols, nil)
	}
	var with, without []uint8
	for _, p := range t.Protocols {
		switch {
		case blindPorts(p):
			return nil, dots.Refuse(dots.CodeBadRequest, "ports of DCCP and SCTP cannot be filtered")
		case hasPorts(p):
			with = append(with, p)
		default:
			without = append(without, p)
		}
	}
	if len(t.Protocols) == 0 {
		with = []uint8{6, 17}
	}
	var list [][]byte
	if len(with) > 0 {
		ported, err := oneRule(prefix, with, t.Ports)
		if err != nil {
			return nil, err
		}
		list = ported
	}
	if len(without) > 0 {
		plain, err := oneRule(prefix, without, nil)
		if err != nil {
			return nil, err
		}
		list = append(list, plain...)
	}
	return list, nil
}

// oneRule encodes a rule with its length before it (RFC 8955, Section 4.1). Components stand in the order of their types, and
// values in their own, so that the same rule has the same octets.
func oneRule(prefix netip.Prefix, protocols []uint8, ports []dots.PortRange) ([][]byte, *dots.Error) {
	var rule []byte
	octets := prefixNLRI(prefix)
	if prefix.Addr().Is4() {
		rule = append([]byte{componentDestination}, octets...)
	} else { // RFC 8956, Section 3.1: an offset follows the length
		rule = append([]byte{componentDestination, octets[0], 0}, octets[1:]...)
	}
	if len(protocols) > 0 {
		rule = append(append(rule, componentProtocol), values(asRanges(protocols))...)
	}
	if len(ports) > 0 {
		rule = append(append(rule, componentDestinationPort), values(ports)...)
	}
	switch {
	case len(rule) > maxRule:
		return nil, dots.Refuse(dots.CodeBadRequest, "too many ports for a rule")
	case len(rule) < 240:
		return [][]byte{append([]byte{byte(len(rule))}, rule...)}, nil
	}
	length := 0xf000 | uint16(len(rule))
	return [][]byte{append(binary.BigEndian.AppendUint16(nil, length), rule...)}, nil
}

func asRanges(protocols []uint8) []dots.PortRange {
	list := make([]dots.PortRange, len(protocols))
	for i, p := range protocols {
		list[i] = dots.PortRange{Lower: uint16(p), Upper: uint16(p)}
	}
	return list
}

// values encodes alternatives: a single one as equal, a range as "at least, and at most" (RFC 8955, Section 4.2.1.1).
func values(ranges []dots.PortRange) []byte {
	var b []byte
	last := 0
	for _, r := range joined(ranges) {
		last = len(b)
		if r.Lower == r.Upper {
			b = value(b, opEqual, r.Lower)
			continue
		}
		b = value(b, opGreater|opEqual, r.Lower)
		last = len(b)
		b = value(b, opAnd|opLess|opEqual, r.Upper)
	}
	b[last] |= opEnd
	return b
}

// value appends an operator and its value in as few octets as hold it.
func value(b []byte, op byte, v uint16) []byte {
	if v < 256 {
		return append(b, op, byte(v))
	}
	return binary.BigEndian.AppendUint16(append(b, op|opTwo), v)
}

// joined sorts ranges and makes one of those that overlap or touch.
func joined(ranges []dots.PortRange) []dots.PortRange {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b dots.PortRange) int {
		return cmp.Or(cmp.Compare(a.Lower, b.Lower), cmp.Compare(a.Upper, b.Upper))
	})
	list := sorted[:1]
	for _, r := range sorted[1:] {
		end := &list[len(list)-1]
		if uint32(r.Lower) > uint32(end.Upper)+1 {
			list = append(list, r)
			continue
		}
		end.Upper = max(end.Upper, r.Upper)
	}
	return list
}
