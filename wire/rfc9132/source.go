package rfc9132

import (
	"math"
	"net/netip"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// The source attributes, keys 32768 to 32772 (RFC 9066, Section 5.3.1): hints on the signal channel.

// source reads one of the source attributes; done is false where key is none of them.
func (r *reader) source(key uint64, s *dots.Source) (done bool, err error) {
	switch key {
	case keySourcePrefix:
		s.Prefixes, err = r.ReadTexts(key, checkSource)
	case keySourcePortRange:
		s.Ports, err = r.ports(key)
	case keySourceICMPType:
		s.ICMPTypes, err = r.icmpTypes()
	default:
		return false, nil
	}
	return true, err
}

func checkSource(s string) string {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return "not a CIDR prefix"
	}
	return wire.CheckSource(p)
}

// smallestTypes is the encoded length of the shortest range of ICMP types.
const smallestTypes = 5

func (r *reader) icmpTypes() ([]dots.ICMPTypeRange, error) {
	list, err := wire.ReadList(&r.Reader, keySourceICMPType, smallestTypes, func() (dots.ICMPTypeRange, error) {
		lower, upper, err := r.ReadSpan(keySourceICMPType, keyLowerType, math.MaxUint8)
		return dots.ICMPTypeRange{Lower: uint8(lower), Upper: uint8(upper)}, err
	})
	if err == nil && !r.Lenient && wire.Twice(list, func(t dots.ICMPTypeRange) uint8 { return t.Lower }) {
		err = bad(keySourceICMPType, "the same lower-type twice")
	}
	return list, err
}

func writeSource(w *wire.Writer, s dots.Source) {
	w.KeyTexts(keySourcePrefix, s.Prefixes)
	w.Ports(keySourcePortRange, keyLowerPort, s.Ports)
	if len(s.ICMPTypes) == 0 {
		return
	}
	w.Key(keySourceICMPType)
	w.BeginArray()
	for _, t := range s.ICMPTypes {
		w.Element()
		w.Span(keyLowerType, uint64(t.Lower), uint64(t.Upper))
	}
	w.EndArray()
}
