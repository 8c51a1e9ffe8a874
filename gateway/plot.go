package gateway

import (
	"maps"
	"slices"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// hood is a plot's neighbourhood of a change: the legs that carry or overlap what changed, what is wanted of them, and the other legs of
// those who want it.
type hood struct {
	plot
	legs     []*leg // may change, sorted
	fixed    []*leg // stay
	gone     []*leg // do not stand any more, or must not: their places are to be taken
	members  []*mitigation
	byKey    map[dots.MitigationKey]*mitigation
	made     []*leg
	standing []policy.Standing // legs, then fixed
	shares   []policy.Share
	asIs     []*leg // among legs: stay as they are, if nobody new comes
}

// arrange makes the legs of a plot follow what changed.
func (c *Core) arrange(p plot, ch *change) {
	h := c.neighbourhood(p, ch)
	bundles := c.bundles(h)
	if slices.ContainsFunc(bundles, func(b policy.Bundle) bool { return b.Keeps < 0 }) {
		if c.frugal {
			c.putOff(&c.soon, ch.mits, ch.legs, c.now)
			return
		}
		if c.rollOver(p.scope) {
			h = c.neighbourhood(p, ch)
			bundles = c.bundles(h)
		}
	}
	used := map[*leg]bool{}
	for _, b := range bundles {
		c.apply(h, b, used)
	}
	for _, l := range h.legs {
		if !used[l] {
			h.gone = append(h.gone, l)
		}
	}
	slices.SortFunc(h.gone, compareLegsOf)
	for _, l := range h.gone {
		c.supplant(l, h)
	}
	for _, l := range h.made {
		c.recordLeg(l)
		if l.state != held {
			c.out.want(l.want)
		}
	}
}

// apply keeps the leg that a bundle is, or makes it; used are those legs that are kept or replaced.
func (c *Core) apply(h *hood, b policy.Bundle, used map[*leg]bool) {
	members := h.who(b.Members)
	if len(members) == 0 || b.Keeps >= len(h.legs) { // nobody's, but kept calm; or fixed
		return
	}
	var replaced []*leg
	for _, i := range b.Replaces {
		replaced = append(replaced, h.legs[i])
	}
	if b.Keeps >= 0 {
		l := h.legs[b.Keeps]
		used[l] = true
		if sameBody(l.want.Request, c.bodyOf(h.plot, members, b.Target)) {
			c.keep(l, b.Expanded, members)
			return
		}
		replaced = []*leg{l} // under the same mid nothing else may change
	}
	for _, l := range replaced {
		used[l] = true
	}
	h.made = append(h.made, c.makeLeg(h.plot, b.Footprint, members, replaced))
}

// bundles says which legs are to stand.
func (c *Core) bundles(h *hood) []policy.Bundle {
	for {
		list := policy.Arrange(h.standing, h.shares, func(t dots.Target) bool { return c.fits(h, t) })
		if !h.unbound(list) {
			return list
		}
	}
}

// unbound takes back that legs are to stay as they are which cannot, and reports whether there are any: what nobody wants of them must not go into another one.
func (h *hood) unbound(list []policy.Bundle) bool {
	kept := func(l *leg) bool {
		return slices.ContainsFunc(list, func(b policy.Bundle) bool { return b.Keeps >= 0 && b.Keeps < len(h.legs) && h.legs[b.Keeps] == l })
	}
	before := len(h.asIs)
	for _, l := range h.asIs {
		if !kept(l) {
			nobody := dots.MitigationKey{MID: l.want.Key.MID}
			h.shares = slices.DeleteFunc(h.shares, func(s policy.Share) bool { return s.Key == nobody })
		}
	}
	h.asIs = slices.DeleteFunc(h.asIs, func(l *leg) bool { return !kept(l) })
	return len(h.asIs) < before
}

// fits reports whether a target can be asked for in one datagram.
func (c *Core) fits(h *hood, t dots.Target) bool {
	if c.cfg.Fits == nil {
		return true
	}
	l := dots.Leg{Key: h.leg(dots.MIDRollover), HopLimit: 255, Request: dots.Request{
		MID: dots.MIDRollover, Target: t, OnSignalLoss: h.armed, Lifetime: dots.Some(dots.Lifetime(1<<32 - 1)),
	}}
	if len(h.members) > 0 {
		l.CDID = c.cdidFor(h.uplink, h.members[0]) // where it is told, all members of a cuid of ours are one client's
	}
	return c.cfg.Fits(h.uplink, l)
}

// neighbourhood gathers what a change concerns.
func (c *Core) neighbourhood(p plot, ch *change) *hood {
	legs, members := maps.Clone(ch.legs), map[*mitigation]bool{}
	for m := range ch.mits {
		c.surround(p, m, legs, members)
	}
	for c.widen(p, legs, members) {
	}
	h := &hood{plot: p, byKey: map[dots.MitigationKey]*mitigation{}}
	for _, l := range slices.SortedFunc(maps.Keys(legs), compareLegsOf) {
		switch {
		case l.want.Withdraw:
		case l.current && !l.renew:
			h.legs = append(h.legs, l)
		default:
			h.gone = append(h.gone, l)
		}
	}
	c.gather(h, legs, members)
	return h
}

// widen adds the members of legs, and reports whether there may be more: those that wait to be arranged lack legs, and may overlap any.
func (c *Core) widen(p plot, legs map[*leg]bool, members map[*mitigation]bool) bool {
	more := false
	for l := range legs {
		for _, m := range l.members {
			if members[m] {
				continue
			}
			members[m] = true
			if m.stale || c.later.mits[m] || c.soon.mits[m] {
				c.surround(p, m, legs, members)
				more = true
			}
		}
	}
	return more
}

// surround adds a mitigation, and the legs that carry it or overlap what it wants.
func (c *Core) surround(p plot, m *mitigation, legs map[*leg]bool, members map[*mitigation]bool) {
	members[m] = true
	for _, l := range c.legsIn(m, p) {
		legs[l] = true
	}
	if part, ok := m.shares[p]; ok {
		for _, k := range c.ground.Overlaps(p.name(), part.Expanded) {
			legs[c.leg(k)] = true
		}
	}
}

// gather adds what is wanted, and by whom.
func (c *Core) gather(h *hood, legs map[*leg]bool, members map[*mitigation]bool) {
	for m := range members {
		if _, ok := m.shares[h.plot]; ok && c.mits[m.key] == m {
			h.members = append(h.members, m)
			h.byKey[m.key] = m
		}
	}
	slices.SortFunc(h.members, compareMitigations)
	for _, m := range h.members {
		h.shares = append(h.shares, policy.Share{Key: m.key, Footprint: m.shares[h.plot]})
		for _, l := range c.legsIn(m, h.plot) {
			if !legs[l] && !slices.Contains(h.fixed, l) {
				h.fixed = append(h.fixed, l)
			}
		}
	}
	for _, l := range h.legs {
		c.keepCalm(h, l)
		h.standing = append(h.standing, policy.Standing{Footprint: l.part, Behind: c.behind(l)})
	}
	for _, l := range h.fixed {
		h.standing = append(h.standing, policy.Standing{Footprint: l.part, Fixed: true})
	}
}

// keepCalm keeps a leg that changed a moment ago from being made smaller while somebody of before still wants a part of it, so that clients that come and
// go are no storm of requests: what it covers beyond that stays wanted for a while, by nobody. So does one that the uplink refused to have changed.
func (c *Core) keepCalm(h *hood, l *leg) {
	stays := slices.ContainsFunc(l.members, func(m *mitigation) bool { return h.byKey[m.key] == m })
	switch {
	case !stays:
		return
	case l.asIs.After(c.now) && !h.comeTo(l):
		l.settleAt = l.asIs
		h.asIs = append(h.asIs, l)
	case l.calm.After(c.now):
		l.calm = latest(l.calm, c.now.Add(shrinkGap))
		l.settleAt = l.calm
	default:
		return
	}
	c.due.arm(l)
	h.shares = append(h.shares, policy.Share{Key: dots.MitigationKey{MID: l.want.Key.MID}, Footprint: l.part})
}

// comeTo reports whether somebody wants a part of what a leg covers who is not among its members.
func (h *hood) comeTo(l *leg) bool {
	return slices.ContainsFunc(h.members, func(m *mitigation) bool {
		return !l.carries(m) && m.shares[h.plot].Expanded.Overlaps(l.part.Expanded)
	})
}

// who finds mitigations by their keys.
func (h *hood) who(keys []dots.MitigationKey) []*mitigation {
	var found []*mitigation
	for _, k := range keys {
		if m := h.byKey[k]; m != nil {
			found = append(found, m)
		}
	}
	return found
}

// supplant ends a leg that is in nobody's use any more. It is withdrawn once what takes its place stands: a new leg that overlaps it, or the leg
// of a mitigation that comes in the place of one that it carried. Where there is nothing of the kind it goes at once.
func (c *Core) supplant(l *leg, h *hood) {
	next := c.successor(l, h.made)
	c.delist(l)
	l.renew = false
	c.due.arm(l)
	switch {
	case next == nil && l.vanished && !l.stood:
		c.legGone(l)
		return
	case next == nil:
		c.leave(l)
		return
	}
	c.passOn(l, next)
	if l.stood || l.state == placing && !l.vanished {
		c.takeOver(next, []dots.LegKey{l.want.Key})
		c.hush(l)
	} else { // it is known not to stand
		c.takeOver(next, c.letGo(l))
		c.legGone(l)
	}
	if !slices.Contains(h.made, next) {
		c.recordLeg(next)
	}
}

// hush stops asking for a leg that was never answered once another one takes its place. Arriving late it would delete what stands and what the other one is
// still to replace, with nothing in its place until that one arrives (RFC 9132, Section 4.4.1.3). It may stand all the same, and is withdrawn
// when the other one does.
func (c *Core) hush(l *leg) {
	if l.state == placing && !l.stood && !l.hushed {
		l.hushed = true
		if !slices.Contains(c.unhushed, l) { // else nobody was told otherwise yet
			c.out.Forgets = append(c.out.Forgets, l.want.Key)
		}
	}
}

// speakUp asks for it again at the end of the step, where nothing takes its place any more.
func (c *Core) speakUp(l *leg) {
	if l.hushed {
		l.hushed = false
		c.unhushed = append(c.unhushed, l)
	}
}

// sayUnhushed says how legs are to stand that are asked for again, and forgets none that is asked for, or withdrawn, after it was hushed.
func (c *Core) sayUnhushed() {
	for _, l := range c.unhushed {
		if c.leg(l.want.Key) == l && !l.hushed && !l.want.Withdraw {
			c.stamp(l) // it was long ago, perhaps
			c.out.want(l.want)
		}
	}
	c.unhushed = nil
	c.out.Forgets = slices.DeleteFunc(c.out.Forgets, func(k dots.LegKey) bool {
		l := c.leg(k)
		return l != nil && !l.hushed
	})
}

// successor finds what takes a leg's place and does not stand yet.
func (c *Core) successor(l *leg, made []*leg) *leg {
	for _, n := range made {
		if n.part.Expanded.Overlaps(l.part.Expanded) {
			return n
		}
	}
	for _, m := range l.members {
		h := m.heir
		if h == nil || c.mits[h.key] != h || h.phase != live {
			continue
		}
		for _, k := range h.legs {
			if n := c.leg(k); n != l && n.state != placed && n.plot().armed == l.plot().armed {
				return n
			}
		}
	}
	return nil
}

// keep leaves a leg as it is, but for whom it carries and the addresses that its names have now: those the uplink finds by itself.
func (c *Core) keep(l *leg, now policy.Expanded, members []*mitigation) {
	if !slices.Equal(l.part.Expanded.Prefixes, now.Prefixes) {
		l.part.Expanded = now
		c.survey(l)
	}
	c.setMembers(l, members)
}
