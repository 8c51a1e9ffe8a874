package policy

import (
	"cmp"
	"net/netip"
	"slices"
)

// portion is the part of a footprint that one provider assigned.
type portion struct {
	owner string // uplink or farm; empty: any may be asked for it
	part  Footprint
}

// portions divides a footprint by provider; none: it would be cut into too many parts. A name's addresses decide for it; where not all addresses are of one provider, names go as
// their addresses, so that no provider is told what is another's.
//
// RFC 9284, Section 5: a request for addresses that a provider assigned goes to that provider and to no other.
func (p *Policy) portions(f Footprint) []portion {
	if p.assigned.Size() == 0 {
		return []portion{{part: f}}
	}
	var cut cutter
	for _, q := range f.Expanded.Prefixes {
		if cut.by(p, q); len(cut.found) > maxPieces {
			return nil
		}
	}
	if len(cut.found) == 0 {
		return []portion{{part: f}}
	}
	slices.SortStableFunc(cut.found, func(a, b owned) int { return cmp.Compare(a.owner, b.owner) })
	if first := cut.found[0].owner; first == cut.found[len(cut.found)-1].owner {
		return []portion{{owner: first, part: f}}
	}
	var all []portion
	for _, o := range cut.found {
		if n := len(all); n == 0 || all[n-1].owner != o.owner {
			all = append(all, portion{owner: o.owner})
		}
		part := &all[len(all)-1].part
		part.Target.Prefixes = append(part.Target.Prefixes, o.prefix)
	}
	for i := range all {
		part := &all[i].part
		part.Target.Ports, part.Target.Protocols = f.Target.Ports, f.Target.Protocols
		part.Target.Prefixes = outermost(part.Target.Prefixes)
		part.Expanded.Prefixes = part.Target.Prefixes
	}
	return all
}

// owned is a prefix whose addresses are all of one provider.
type owned struct {
	owner  string
	prefix netip.Prefix
}

// cutter cuts prefixes where providers' begin and end.
type cutter struct{ found []owned }

// by adds a prefix, cut.
func (c *cutter) by(p *Policy, q netip.Prefix) {
	for _, owner := range p.assigned.Supernets(q) {
		c.found = append(c.found, owned{owner, q})
		return
	}
	var inside []netip.Prefix
	for in, owner := range p.assigned.Subnets(q) {
		if len(c.found) > maxPieces {
			return
		}
		inside = append(inside, in)
		c.found = append(c.found, owned{owner, in})
	}
	for _, rest := range without(q, outermost(inside)) {
		c.found = append(c.found, owned{prefix: rest})
	}
}

// combined is the union of portions of one footprint, which is given where they are all of it.
func combined(list []portion, of int, whole Footprint) Footprint {
	switch len(list) {
	case of:
		return whole
	case 1:
		return list[0].part
	}
	f := Footprint{Target: list[0].part.Target}
	f.Target.Prefixes = nil
	for _, one := range list {
		f.Target.Prefixes = append(f.Target.Prefixes, one.part.Target.Prefixes...)
	}
	f.Target.Prefixes = outermost(f.Target.Prefixes)
	f.Expanded.Prefixes = f.Target.Prefixes
	return f
}
