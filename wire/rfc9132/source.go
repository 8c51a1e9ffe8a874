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
		return true, r.texts(key, checkSource, &s.Prefixes)
	case keySourcePortRange:
		return true, r.ports(key, &s.Ports)
	case keySourceICMPType:
		return true, r.icmpTypes(&s.ICMPTypes)
	}
	return false, nil
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

func (r *reader) icmpTypes(into *[]dots.ICMPTypeRange) error {
	n, err := r.array(keySourceICMPType)
	if err != nil {
		return err
	}
	list := make([]dots.ICMPTypeRange, 0, r.room(n, smallestTypes))
	for range n {
		lower, upper, err := r.span(keySourceICMPType, keyLowerType, math.MaxUint8)
		if err != nil {
			return err
		}
		list = append(list, dots.ICMPTypeRange{Lower: uint8(lower), Upper: uint8(upper)})
	}
	if !r.lenient && wire.Twice(list, func(t dots.ICMPTypeRange) uint8 { return t.Lower }) {
		return bad(keySourceICMPType, "the same lower-type twice")
	}
	*into = orNil(list)
	return nil
}

func writeSource(w *wire.Writer, s dots.Source) {
	writeTexts(w, keySourcePrefix, s.Prefixes)
	writePorts(w, keySourcePortRange, s.Ports)
	if len(s.ICMPTypes) == 0 {
		return
	}
	w.Key(keySourceICMPType)
	w.BeginArray()
	for _, t := range s.ICMPTypes {
		w.Element()
		writeSpan(w, keyLowerType, uint64(t.Lower), uint64(t.Upper))
	}
	w.EndArray()
}
