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
		t.Prefixes, err = wire.ReadList(&r.Reader, key, smallestPrefix, r.prefix)
	case keyTargetPortRange:
		t.Ports, err = r.ports(key)
	case keyTargetProtocol:
		t.Protocols, err = wire.ReadList(&r.Reader, key, 1, r.protocol)
	case keyTargetFQDN:
		t.FQDNs, err = r.ReadTexts(key, wire.CheckName)
	case keyTargetURI:
		t.URIs, err = r.ReadTexts(key, wire.CheckURI)
	case keyAliasName:
		t.Aliases, err = r.ReadTexts(key, wire.CheckText)
	default:
		return false, nil
	}
	return true, err
}

// smallestPrefix is the encoded length of the shortest prefix, "::/0".
const smallestPrefix = 5

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
		if a, err := netip.ParseAddr(s); err == nil && r.Lenient && a.Zone() == "" {
			return netip.PrefixFrom(a, a.BitLen()), nil
		}
		return netip.Prefix{}, bad(keyTargetPrefix, "not a CIDR prefix")
	}
	if r.Lenient {
		return p.Masked(), nil
	}
	if what := wire.CheckTarget(p); what != "" {
		return netip.Prefix{}, bad(keyTargetPrefix, what)
	}
	return p, nil
}

// ports reads a list of port ranges. RFC 9132, Section 4.4.1: lower-port alone is one port and is the list's key.
func (r *reader) ports(within uint64) ([]dots.PortRange, error) {
	list, err := r.ReadPorts(within, keyLowerPort)
	if err == nil && !r.Lenient && wire.Twice(list, func(p dots.PortRange) uint16 { return p.Lower }) {
		err = bad(within, "the same lower-port twice")
	}
	return list, err
}

func (r *reader) protocol() (uint8, error) {
	v, err := r.ReadUint(keyTargetProtocol, math.MaxUint8)
	return uint8(v), err
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
	w.Ports(keyTargetPortRange, keyLowerPort, t.Ports)
	if len(t.Protocols) > 0 {
		w.Key(keyTargetProtocol)
		w.BeginArray()
		for _, p := range t.Protocols {
			w.Element()
			w.Uint(uint64(p))
		}
		w.EndArray()
	}
	w.KeyTexts(keyTargetFQDN, t.FQDNs)
	w.KeyTexts(keyTargetURI, t.URIs)
	w.KeyTexts(keyAliasName, t.Aliases)
}
