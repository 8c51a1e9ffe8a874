package gateway

import (
	"slices"

	"github.com/dotsgate/dotsgate/policy"
)

// Many clients may ask for the same targets, all of them when an attack begins and ends. Who joins legs that give it all it needs, or leaves those that
// others need as they are, changes nothing but whom they carry: what is here costs the same however many that are. Everything else is arranged
// together with all that the legs carry.

// carries reports whether a mitigation is among a leg's members.
func (l *leg) carries(m *mitigation) bool {
	at, ok := slices.BinarySearchFunc(l.members, m, compareMitigations)
	return ok && l.members[at] == m
}

// joins makes a mitigation a member of the legs that cover its share of a plot already, and reports whether they do.
func (c *Core) joins(m *mitigation, p plot, share policy.Footprint) bool {
	if len(c.legsIn(m, p)) > 0 {
		return false
	}
	legs := c.legsOf(c.ground.Overlaps(p.name(), share.Expanded))
	parts := make([]policy.Footprint, len(legs))
	for i, l := range legs {
		if _, known := slices.BinarySearchFunc(l.members, m, compareMitigations); known || !l.rests(2) {
			return false
		}
		parts[i] = l.part
	}
	if !policy.Covered(share, parts) {
		return false
	}
	for _, l := range legs {
		at, _ := slices.BinarySearchFunc(l.members, m, compareMitigations)
		l.members = slices.Insert(slices.Clip(l.members), at, m)
		m.carriedBy(l.want.Key)
		l.newcomers = append(slices.Clip(l.newcomers), m)
		c.inForce(l, []*mitigation{m})
	}
	c.touch(m)
	return true
}

// departs takes a mitigation out of its legs of a plot, and reports whether it could: where another one of their members needs the same.
func (c *Core) departs(m *mitigation, p plot) bool {
	legs := c.legsIn(m, p)
	if len(legs) == 0 || slices.ContainsFunc(legs, func(l *leg) bool { return !l.rests(3) }) {
		return false
	}
	twin := slices.IndexFunc(legs[0].members, func(o *mitigation) bool { return o != m && c.twins(m, o, p) && slices.Equal(legs, c.legsIn(o, p)) })
	if twin < 0 {
		return false
	}
	if slices.ContainsFunc(legs, func(l *leg) bool { return !l.carries(m) }) {
		return false
	}
	for _, l := range legs {
		at, _ := slices.BinarySearchFunc(l.members, m, compareMitigations)
		l.members = slices.Concat(l.members[:at], l.members[at+1:])
		l.newcomers = notIn(l.newcomers, []*mitigation{m})
		m.without(l.want.Key)
	}
	return true
}

// rests reports that nothing about a leg is in motion, and that it carries so many at least: with two or more it asks for nothing that is one
// client's own.
func (l *leg) rests(members int) bool {
	return l.current && l.certain() && !l.renew && !l.want.Withdraw && len(l.replaces) == 0 && len(l.members) >= members
}

// twins reports whether two mitigations need the same of a plot.
func (c *Core) twins(m, o *mitigation, p plot) bool {
	mine, theirs := m.shares[p], o.shares[p]
	_, wants := o.shares[p]
	return wants && c.mits[o.key] == o && !o.stale && sameFootprint(mine, theirs)
}

// inForce lets a leg stand for its newcomers at once, where the uplink has to be told of none of them.
func (c *Core) inForce(l *leg, joined []*mitigation) {
	if l.state != placed || l.done != l.want.Revision {
		return
	}
	c.freshen(l, joined...)
	if l.done == l.want.Revision {
		l.newcomers = nil
	}
}
