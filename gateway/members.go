package gateway

import (
	"slices"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// compareMitigations orders mitigations by their keys.
func compareMitigations(a, b *mitigation) int { return compareKeys(a.key, b.key) }

// compareLegs orders legs' keys by uplink, cuid and mid, compareLegsOf legs.
func compareLegs(a, b dots.LegKey) int {
	if n := compareScopes(scopeOf(a), scopeOf(b)); n != 0 {
		return n
	}
	return int(int64(a.MID) - int64(b.MID))
}

func compareLegsOf(a, b *leg) int { return compareLegs(a.want.Key, b.want.Key) }

// enlist makes a leg current: its plot is arranged from it, and it carries its members.
func (c *Core) enlist(l *leg) {
	l.current = true
	c.survey(l)
	for _, m := range l.members {
		m.carriedBy(l.want.Key)
	}
}

// survey enters what a current leg covers into the index of its plot: with what the legs cover that stand until it is answered.
func (c *Core) survey(l *leg) {
	if l.current {
		c.ground.Insert(l.want.Key, l.plot().name(), l.part.Expanded.Union(c.behind(l)))
	}
}

// behind is what the legs cover whose place a leg is still to take, but for those on which another leg was asked for since: they go with that.
func (c *Core) behind(l *leg) policy.Expanded {
	var all policy.Expanded
	for _, r := range c.legsOf(l.replaces) {
		if r.plot() == l.plot() && !c.builtOver(r) {
			all = all.Union(r.part.Expanded).Union(c.behind(r))
		}
	}
	return all
}

// builtOver reports whether a current leg, with a higher mid, overlaps one whose place another one is to take.
func (c *Core) builtOver(r *leg) bool {
	by := c.replacer(r)
	for by != nil && !by.current {
		by = c.replacer(by)
	}
	for _, k := range c.ground.Overlaps(r.plot().name(), r.part.Expanded) {
		if l := c.leg(k); l != by && l.part.Expanded.Overlaps(r.part.Expanded) {
			return true
		}
	}
	return false
}

// delist ends that. Its members are remembered, should it be made current again.
func (c *Core) delist(l *leg) {
	if !l.current {
		return
	}
	l.current = false
	c.ground.Delete(l.want.Key)
	for _, m := range l.members {
		m.without(l.want.Key)
	}
}

// setMembers changes whom a current leg carries. Newcomers are told of to the uplink only where they need more than was asked for.
func (c *Core) setMembers(l *leg, members []*mitigation) {
	if slices.Equal(l.members, members) {
		return
	}
	joined := notIn(members, l.members)
	for _, m := range notIn(l.members, members) {
		m.without(l.want.Key)
	}
	for _, m := range joined {
		m.carriedBy(l.want.Key)
	}
	l.newcomers = in(slices.Concat(l.newcomers, joined), members)
	l.members = members
	c.inForce(l, joined)
	for _, m := range joined {
		c.touch(m)
	}
}

// carriedBy adds a leg to those that carry a mitigation; without takes it out.
func (m *mitigation) carriedBy(k dots.LegKey) {
	if i, ok := slices.BinarySearchFunc(m.legs, k, compareLegs); !ok {
		m.legs = slices.Insert(slices.Clip(m.legs), i, k)
	}
}

func (m *mitigation) without(k dots.LegKey) {
	if slices.Contains(m.legs, k) {
		m.legs = slices.DeleteFunc(slices.Clone(m.legs), func(own dots.LegKey) bool { return own == k })
	}
}

// standFor lists whom legs stand for at the uplink: the members of those that do, and of those whose place the others are still to take.
func (c *Core) standFor(legs []*leg) []*mitigation {
	var found []*mitigation
	for _, l := range legs {
		if l.stood && !l.vanished {
			found = append(found, notIn(l.members, l.newcomers)...)
		}
		for _, k := range l.replaces {
			if r := c.leg(k); r != nil {
				found = append(found, c.standFor([]*leg{r})...)
			}
		}
	}
	return found
}

// passOn lets those that are terminating under a leg see the one that takes its place as theirs, where it covers them.
func (c *Core) passOn(l, next *leg) {
	for _, m := range l.past {
		if m.phase == terminating && next.part.Expanded.Overlaps(m.grant.Outside.Expanded) && !slices.Contains(next.past, m) {
			next.past = append(next.past, m)
			m.past = append(m.past, next.want.Key)
		}
	}
}

// notIn lists those of a that are not in b, in lists those that are.
func notIn(a, b []*mitigation) []*mitigation {
	if len(b) == 0 {
		return a
	}
	known := setOf(b)
	var rest []*mitigation
	for _, m := range a {
		if !known[m] {
			rest = append(rest, m)
		}
	}
	return rest
}

func in(a, b []*mitigation) []*mitigation {
	known := setOf(b)
	var both []*mitigation
	for _, m := range a {
		if known[m] {
			both = append(both, m)
		}
	}
	return both
}

func setOf(list []*mitigation) map[*mitigation]bool {
	set := make(map[*mitigation]bool, len(list))
	for _, m := range list {
		set[m] = true
	}
	return set
}
