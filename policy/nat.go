package policy

import (
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"

	"github.com/dotsgate/dotsgate/dots"
)

// translator is a domain's Mappings made ready.
type translator struct {
	inside  bart.Table[[]Mapping] // by Inside
	outside bart.Table[[]Mapping] // by Outside
}

// newTranslator makes a translator of mappings that were checked; nil: there are none.
func newTranslator(list []Mapping) *translator {
	if len(list) == 0 {
		return nil
	}
	t := &translator{}
	for _, m := range list {
		add := func(all []Mapping, _ bool) ([]Mapping, bool) { return append(all, m), false }
		t.inside.Modify(m.Inside, add)
		t.outside.Modify(m.Outside, add)
	}
	return t
}

// ported reports whether a mapping translates ports, too, and so stands for those ports only.
func (m Mapping) ported() bool { return m.InsidePorts != dots.PortRange{} }

// ports returns the ports of a target as they are outside; false: none of them is there. No ports are all of them.
func (m Mapping) ports(asked []dots.PortRange) (out []dots.PortRange, ok bool) {
	switch {
	case !m.ported():
		return asked, true
	case len(asked) == 0:
		return []dots.PortRange{m.OutsidePorts}, true
	}
	for _, r := range asked {
		low, high := max(r.Lower, m.InsidePorts.Lower), min(r.Upper, m.InsidePorts.Upper)
		if low <= high {
			shift := m.OutsidePorts.Lower - m.InsidePorts.Lower // may wrap around, and back again
			out = append(out, dots.PortRange{Lower: low + shift, Upper: high + shift})
		}
	}
	return out, len(out) > 0
}

// moved returns what stands for p, which lies in from, in to: both have the same number of addresses.
func moved(p, from, to netip.Prefix) netip.Prefix {
	a, b := p.Addr().AsSlice(), to.Addr().AsSlice()
	free := from.Addr().BitLen() - from.Bits() // bits that may differ, the same in both
	for i := 1; free > 0; i++ {
		mask := byte(0xff)
		if free < 8 {
			mask = 1<<free - 1
		}
		b[len(b)-i] |= a[len(a)-i] & mask
		free -= 8
	}
	addr, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(addr, to.Bits()+p.Bits()-from.Bits())
}

// translated is a part of a target's prefix, with its ports, as it is outside.
type translated struct {
	prefix netip.Prefix
	ports  []dots.PortRange // none: all
}

// maxPieces is the greatest number of parts into which translation or providers may cut a request: what one request costs is bounded by it,
// however many mappings there are.
const maxPieces = 4096

// pieces translates a prefix, cut where mappings end; false: some of its addresses have no place outside, or there are more pieces than one
// request may have. Ports that have none are left out while others of the same address do: nobody reaches them from there.
func (t *translator) pieces(p netip.Prefix, ports []dots.PortRange) (out []translated, whole bool) {
	for in, list := range t.inside.Supernets(p) { // p itself is among them
		for _, m := range list {
			if there, ok := m.ports(ports); ok {
				out, whole = append(out, translated{moved(p, in, m.Outside), there}), true
			}
		}
	}
	var found bart.Lite
	for in, list := range t.inside.Subnets(p) {
		if len(out) > maxPieces {
			return out, false
		}
		for _, m := range list {
			if there, ok := m.ports(ports); ok && in != p {
				out = append(out, translated{m.Outside, there})
				found.Insert(in)
			}
		}
	}
	if whole {
		return out, true
	}
	found.Aggregate()
	return out, found.LookupPrefix(p)
}

// footprint translates what a domain's client asks for: names and URIs become the addresses that they have, because inside names mean nothing
// outside and would tell what is there.
func (t *translator) footprint(asked dots.Target, e Expanded) Footprint {
	f := Footprint{Target: dots.Target{Protocols: asked.Protocols}}
	all := false
	for _, p := range e.Prefixes {
		pieces, _ := t.pieces(p, asked.Ports)
		for _, one := range pieces {
			f.Target.Prefixes = append(f.Target.Prefixes, one.prefix)
			f.Target.Ports = append(f.Target.Ports, one.ports...)
			all = all || len(one.ports) == 0
		}
	}
	f.Target.Prefixes = outermost(f.Target.Prefixes)
	f.Target.Ports = joinedPorts(f.Target.Ports)
	if all {
		f.Target.Ports = nil
	}
	f.Expanded.Prefixes = f.Target.Prefixes
	return f
}

// joinedPorts sorts ranges of ports and joins those that overlap or touch.
func joinedPorts(ranges []dots.PortRange) []dots.PortRange {
	ranges = slices.Clone(ranges)
	slices.SortFunc(ranges, func(a, b dots.PortRange) int { return int(a.Lower) - int(b.Lower) })
	var out []dots.PortRange
	for _, r := range ranges {
		if n := len(out); n > 0 && int(r.Lower) <= int(out[n-1].Upper)+1 {
			out[n-1].Upper = max(out[n-1].Upper, r.Upper)
			continue
		}
		out = append(out, r)
	}
	return out
}

// back returns the inside prefixes that a prefix stands for outside, whatever the ports.
func (t *translator) back(p netip.Prefix) []netip.Prefix {
	var found []netip.Prefix
	for out, list := range t.outside.Supernets(p) {
		for _, m := range list {
			found = append(found, moved(p, out, m.Inside))
		}
	}
	for out, list := range t.outside.Subnets(p) {
		for _, m := range list {
			if out != p {
				found = append(found, m.Inside)
			}
		}
	}
	return found
}

// Inside returns what an uplink says of a grant's target in the words of its client: only what is the grant's own, no ports, aliases or
// anything that two could share outside. It is for the scope of a conflict (RFC 9132, Section 4.4.1.3).
func (p *Policy) Inside(g Grant, scope dots.Target) dots.Target {
	e := Expanded{Prefixes: slices.Clone(masked(scope.Prefixes))}
	if d := p.domains[g.Domain]; d != nil && d.nat != nil {
		e.Prefixes = nil
		for _, q := range scope.Prefixes {
			if q.IsValid() {
				e.Prefixes = append(e.Prefixes, d.nat.back(q.Masked())...)
			}
		}
	} else {
		e.Names, e.URIs = slices.Clone(scope.FQDNs), slices.Clone(scope.URIs)
	}
	return g.Expanded.Intersect(e.normal())
}
