package policy

import (
	"fmt"
	"net/netip"

	"github.com/gaissmai/bart"

	"github.com/dotsgate/dotsgate/dots"
)

// translation checks and takes how the domain's addresses are known outside.
func (b *builder) translation(path string, list []Mapping, d *domain) {
	var inside, outside bart.Table[[]spot]
	before := len(b.faults)
	for i, m := range list {
		at := fmt.Sprintf("%s.nat[%d]", path, i)
		good := b.prefix(at+".inside", m.Inside)
		good = b.prefix(at+".outside", m.Outside) && good
		good = b.mappedPorts(at, m) && good
		if !good {
			continue
		}
		if in, out := m.Inside.Addr().BitLen()-m.Inside.Bits(), m.Outside.Addr().BitLen()-m.Outside.Bits(); in != out {
			b.fault(at, fmt.Sprintf("%v has 2^%d addresses and %v 2^%d", m.Inside, in, m.Outside, out), "map as many addresses to as many")
			continue
		}
		if !d.ownsPrefix(m.Inside) {
			b.fault(at+".inside", fmt.Sprintf("%v is not in the domain's prefixes", m.Inside), "add it to prefixes, or take the mapping out")
		}
		b.meets(at+".inside", &inside, m.Inside, spot{i, m.InsidePorts})
		b.meets(at+".outside", &outside, m.Outside, spot{i, m.OutsidePorts})
	}
	if len(b.faults) == before { // what follows from a wrong mapping needs no word
		d.nat = newTranslator(list)
	}
}

// mappedPorts checks the ports of a mapping.
func (b *builder) mappedPorts(at string, m Mapping) bool {
	none := dots.PortRange{}
	switch in, out := m.InsidePorts, m.OutsidePorts; {
	case in == none && out == none:
	case in == none || out == none:
		b.fault(at, "has ports on one side only", "give inside_ports and outside_ports, or neither")
		return false
	case in.Upper < in.Lower:
		b.fault(at+".inside_ports", fmt.Sprintf("%d-%d ends before it begins", in.Lower, in.Upper), "give the lower port first")
		return false
	case out.Upper < out.Lower:
		b.fault(at+".outside_ports", fmt.Sprintf("%d-%d ends before it begins", out.Lower, out.Upper), "give the lower port first")
		return false
	case in.Upper-in.Lower != out.Upper-out.Lower:
		b.fault(at+".outside_ports", fmt.Sprintf("%d-%d are not as many as %d-%d", out.Lower, out.Upper, in.Lower, in.Upper), "map as many ports to as many")
		return false
	}
	return true
}

// spot is where a mapping's ports of one side were said.
type spot struct {
	index int
	ports dots.PortRange // zero: all
}

// shares reports whether two mappings of the same address have a port in common.
func (s spot) shares(o spot) bool {
	none := dots.PortRange{}
	return s.ports == none || o.ports == none || s.ports.Lower <= o.ports.Upper && o.ports.Lower <= s.ports.Upper
}

// meets notes a mapping whose address and port another one has already: they would mean two things. An address may be in several where
// its ports tell them apart.
func (b *builder) meets(at string, t *bart.Table[[]spot], p netip.Prefix, s spot) {
	check := func(q netip.Prefix, list []spot) bool {
		for _, o := range list {
			if s.shares(o) {
				b.fault(at, fmt.Sprintf("%v overlaps %v of nat[%d]", p, q, o.index), "map each address once, or give both different ports")
				return false
			}
		}
		return true
	}
	for q, list := range t.Supernets(p) {
		if !check(q, list) {
			return
		}
	}
	for q, list := range t.Subnets(p) {
		if !check(q, list) {
			return
		}
	}
	t.Modify(p, func(list []spot, _ bool) ([]spot, bool) { return append(list, s), false })
}
