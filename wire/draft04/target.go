package draft04

import (
	"math"
	"net/netip"
	"slices"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// The target attributes, keys 4 to 11 and the name target-prefix (draft-ietf-dots-signal-channel-04, Section 5.3.1).

// target reads one of the target attributes; done is false where key is none of them.
func (r *reader) target(key uint64, t *dots.Target) (done bool, err error) {
	switch key {
	case keyTargetIP, nameTargetPrefix:
		var more []netip.Prefix
		more, err = wire.ReadList(&r.Reader, key, 3, func() (netip.Prefix, error) { return r.prefix(key) })
		t.Prefixes = append(t.Prefixes, more...)
	case keyTargetPortRange:
		err = r.ports(&t.Ports)
	case keyTargetProtocol:
		err = r.protocols(&t.Protocols)
	case keyFQDN:
		t.FQDNs, err = r.ReadTexts(key, wire.CheckName)
	case keyURI:
		t.URIs, err = r.ReadTexts(key, wire.CheckURI)
	case keyAliasName:
		t.Aliases, err = r.ReadTexts(key, wire.CheckText)
	default:
		return false, nil
	}
	return true, err
}

// prefix reads an address as a prefix of full length, or a prefix. RFC 9132, Section 4.4.1 is
// stricter than the draft in what a target may be, and holds here too.
func (r *reader) prefix(key uint64) (netip.Prefix, error) {
	raw, ok := r.Text()
	if !ok {
		return netip.Prefix{}, r.Bad(key, "not a text string")
	}
	p, err := netip.ParsePrefix(string(raw))
	if key == keyTargetIP {
		var a netip.Addr
		if a, err = netip.ParseAddr(string(raw)); err == nil && a.Zone() == "" {
			p = netip.PrefixFrom(a, a.BitLen())
		}
	}
	if err != nil || !p.IsValid() {
		return netip.Prefix{}, r.Bad(key, "neither address nor prefix")
	}
	if r.Lenient {
		return p.Masked(), nil
	}
	if what := wire.CheckTarget(p); what != "" {
		return netip.Prefix{}, r.Bad(key, what)
	}
	return p, nil
}

// ports reads port ranges; those that share a lower end become one.
func (r *reader) ports(into *[]dots.PortRange) error {
	ranges, err := r.ReadPorts(keyTargetPortRange, keyLowerPort)
	at := make(map[uint16]int, len(ranges))
	merged := ranges[:0]
	for _, p := range ranges {
		if i, twice := at[p.Lower]; twice {
			merged[i].Upper = max(merged[i].Upper, p.Upper)
			continue
		}
		at[p.Lower] = len(merged)
		merged = append(merged, p)
	}
	*into = merged
	return err
}

// protocols reads protocols. draft-ietf-dots-signal-channel-04, Section 5.3.1: 0 means all of them.
func (r *reader) protocols(into *[]uint8) error {
	protocols, err := wire.ReadList(&r.Reader, keyTargetProtocol, 1, func() (uint8, error) {
		v, err := r.ReadUint(keyTargetProtocol, math.MaxUint8)
		return uint8(v), err
	})
	if slices.Contains(protocols, 0) {
		protocols = nil
	}
	*into = protocols
	return err
}

// wide reports whether a prefix is more than one address.
func wide(p netip.Prefix) bool { return !p.IsSingleIP() }

// checkSayable returns a refusal where a target cannot be asked for in this dialect.
func checkSayable(t dots.Target) error {
	switch {
	case t.Empty():
		return dots.Refuse(dots.CodeBadRequest, "target missing")
	case slices.ContainsFunc(t.Prefixes, wide):
		return dots.Refuse(dots.CodeBadRequest, "target-prefix: only single addresses can be protected")
	case slices.Contains(t.Protocols, 0):
		return dots.Refuse(dots.CodeBadRequest, "target-protocol: 0 cannot be protected alone")
	}
	return nil
}

// writeTarget writes the attributes with a key; writePrefixes writes what has a name, after all keys.
func writeTarget(w *wire.Writer, t dots.Target) {
	if slices.ContainsFunc(t.Prefixes, netip.Prefix.IsSingleIP) {
		w.Key(keyTargetIP)
		w.BeginArray()
		for _, p := range t.Prefixes {
			if !wide(p) {
				w.Element()
				w.Text(p.Addr().String())
			}
		}
		w.EndArray()
	}
	w.Ports(keyTargetPortRange, keyLowerPort, t.Ports)
	w.Key(keyTargetProtocol)
	w.BeginArray()
	for _, p := range t.Protocols {
		w.Element()
		w.Uint(uint64(p))
	}
	if len(t.Protocols) == 0 {
		w.Element()
		w.Uint(0)
	}
	w.EndArray()
	w.KeyTexts(keyFQDN, t.FQDNs)
	w.KeyTexts(keyURI, t.URIs)
	w.KeyTexts(keyAliasName, t.Aliases)
}

func writePrefixes(w *wire.Writer, prefixes []netip.Prefix) {
	if !slices.ContainsFunc(prefixes, wide) {
		return
	}
	w.TextKey(textTargetPrefix)
	w.BeginArray()
	for _, p := range prefixes {
		if wide(p) {
			w.Element()
			w.Prefix(p)
		}
	}
	w.EndArray()
}
