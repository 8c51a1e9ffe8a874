package rfc9132

import (
	"math"
	"net/netip"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// The target attributes, keys 6 to 13 (RFC 9132, Section 4.4.1): of a request, a report and a conflict's scope.

// target reads one of the target attributes; done is false where key is none of them.
func (r *reader) target(key uint64, t *dots.Target) (done bool, err error) {
	switch key {
	case keyTargetPrefix:
		return true, r.prefixes(&t.Prefixes)
	case keyTargetPortRange:
		return true, r.ports(key, &t.Ports)
	case keyTargetProtocol:
		return true, r.protocols(&t.Protocols)
	case keyTargetFQDN:
		return true, r.texts(key, wire.CheckName, &t.FQDNs)
	case keyTargetURI:
		return true, r.texts(key, wire.CheckURI, &t.URIs)
	case keyAliasName:
		return true, r.texts(key, wire.CheckText, &t.Aliases)
	}
	return false, nil
}

// smallestPrefix is the encoded length of the shortest prefix, "::/0".
const smallestPrefix = 5

func (r *reader) prefixes(into *[]netip.Prefix) error {
	n, err := r.array(keyTargetPrefix)
	if err != nil {
		return err
	}
	list := make([]netip.Prefix, 0, r.room(n, smallestPrefix))
	for range n {
		p, err := r.prefix()
		if err != nil {
			return err
		}
		list = append(list, p)
	}
	*into = orNil(list)
	return nil
}

// prefix reads one target prefix. RFC 9132, Section 4.4.1: in CIDR notation; no broadcast, loopback or multicast.
// A server's is only brought to its canonical form, an address to one of full length.
func (r *reader) prefix() (netip.Prefix, error) {
	raw, ok := r.Text()
	if !ok {
		return netip.Prefix{}, bad(keyTargetPrefix, "not a text string")
	}
	s := string(raw)
	p, err := netip.ParsePrefix(s)
	if err != nil {
		if a, err := netip.ParseAddr(s); err == nil && r.lenient && a.Zone() == "" {
			return netip.PrefixFrom(a, a.BitLen()), nil
		}
		return netip.Prefix{}, bad(keyTargetPrefix, "not a CIDR prefix")
	}
	if r.lenient {
		return p.Masked(), nil
	}
	if what := wire.CheckTarget(p); what != "" {
		return netip.Prefix{}, bad(keyTargetPrefix, what)
	}
	return p, nil
}

// smallestPorts is the encoded length of the shortest port range.
const smallestPorts = 3

// ports reads a list of port ranges. RFC 9132, Section 4.4.1: lower-port alone is one port and is the list's key.
func (r *reader) ports(within uint64, into *[]dots.PortRange) error {
	n, err := r.array(within)
	if err != nil {
		return err
	}
	list := make([]dots.PortRange, 0, r.room(n, smallestPorts))
	for range n {
		lower, upper, err := r.span(within, keyLowerPort, math.MaxUint16)
		if err != nil {
			return err
		}
		list = append(list, dots.PortRange{Lower: uint16(lower), Upper: uint16(upper)})
	}
	if !r.lenient && wire.Twice(list, func(p dots.PortRange) uint16 { return p.Lower }) {
		return bad(within, "the same lower-port twice")
	}
	*into = orNil(list)
	return nil
}

// span reads a range: the key low holds its lower end, the key after that its upper one, which may be left out.
func (r *reader) span(within, low, limit uint64) (lower, upper uint64, err error) {
	var hasLower, hasUpper bool
	err = r.entries(within, func(key uint64) (err error) {
		switch key {
		case low:
			hasLower = true
			lower, err = r.uint(key, limit)
		case low + 1:
			hasUpper = true
			upper, err = r.uint(key, limit)
		default:
			err = r.stray(key)
		}
		return err
	})
	switch {
	case err != nil:
		return 0, 0, err
	case !hasLower:
		return 0, 0, bad(low, "missing")
	case !hasUpper:
		return lower, lower, nil
	case upper < lower:
		return 0, 0, bad(low+1, "below "+name(low))
	}
	return lower, upper, nil
}

func (r *reader) protocols(into *[]uint8) error {
	n, err := r.array(keyTargetProtocol)
	if err != nil {
		return err
	}
	list := make([]uint8, 0, r.room(n, 1))
	for range n {
		v, err := r.uint(keyTargetProtocol, math.MaxUint8)
		if err != nil {
			return err
		}
		list = append(list, uint8(v))
	}
	*into = orNil(list)
	return nil
}

// writeTarget writes the target attributes that are present.
func writeTarget(w *wire.Writer, t dots.Target) {
	if len(t.Prefixes) > 0 {
		w.Key(keyTargetPrefix)
		w.BeginArray()
		for _, p := range t.Prefixes {
			w.Element()
			w.Prefix(p)
		}
		w.EndArray()
	}
	writePorts(w, keyTargetPortRange, t.Ports)
	if len(t.Protocols) > 0 {
		w.Key(keyTargetProtocol)
		w.BeginArray()
		for _, p := range t.Protocols {
			w.Element()
			w.Uint(uint64(p))
		}
		w.EndArray()
	}
	writeTexts(w, keyTargetFQDN, t.FQDNs)
	writeTexts(w, keyTargetURI, t.URIs)
	writeTexts(w, keyAliasName, t.Aliases)
}

func writeTexts(w *wire.Writer, key uint64, list []string) {
	if len(list) > 0 {
		w.Key(key)
		w.Texts(list)
	}
}

func writePorts(w *wire.Writer, key uint64, list []dots.PortRange) {
	if len(list) == 0 {
		return
	}
	w.Key(key)
	w.BeginArray()
	for _, p := range list {
		w.Element()
		writeSpan(w, keyLowerPort, uint64(p.Lower), uint64(p.Upper))
	}
	w.EndArray()
}

// writeSpan writes a range; one of a single value has no upper end.
func writeSpan(w *wire.Writer, low, lower, upper uint64) {
	w.BeginMap()
	w.Key(low)
	w.Uint(lower)
	if upper != lower {
		w.Key(low + 1)
		w.Uint(upper)
	}
	w.EndMap()
}
