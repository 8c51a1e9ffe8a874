package gateway

import (
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// leg finds a leg; nil: there is none.
func (c *Core) leg(k dots.LegKey) *leg {
	if l := c.lastLeg; l != nil && l.want.Key == k {
		return l
	}
	if h := c.legs[scopeOf(k)]; h != nil {
		c.lastLeg = h.legs[k.MID]
		return c.lastLeg
	}
	return nil
}

// makeLeg makes a leg under a mid that was never used there, and asks for it. Those that it replaces go once it stands: make before break.
func (c *Core) makeLeg(p plot, part policy.Footprint, members []*mitigation, replaced []*leg) *leg {
	l := c.newLeg(p, part, members)
	for _, r := range replaced {
		if !r.settleAt.IsZero() { // it has what is kept of that one for a while
			l.settleAt = l.calm
		}
		c.delist(r)
		c.due.arm(r)
		if k := r.after; c.leg(k) != nil {
			l.state, l.after = held, k
			c.blocks[k] = l.want.Key
		}
	}
	l.newcomers = notIn(members, c.standFor(replaced))
	c.takeOver(l, legKeys(replaced))
	for _, r := range replaced {
		c.passOn(r, l)
		if l.state != held {
			c.hush(r)
		}
	}
	return l
}

// newLeg makes a leg under a scope of ours, with a mid that was never used there.
func (c *Core) newLeg(p plot, part policy.Footprint, members []*mitigation) *leg {
	c.settleScope(p.scope)
	l := &leg{state: placing, part: part, members: members, born: c.pending(), calm: c.now.Add(shrinkGap), told: c.now}
	l.want = dots.Leg{Key: p.leg(c.takeMID(p.scope)), Request: c.bodyOf(p, members, part.Target), Revision: 1}
	l.want.Request.MID = l.want.Key.MID
	c.stamp(l)
	c.keepLeg(l)
	c.enlist(l)
	return l
}

// stamp says of a leg what may change under its mid: lifetime, Hop-Limit and cdid. The lifetime is the longest that its members have left;
// the Hop-Limit the smallest, or a request that goes in a circle would get a new one each time (RFC 8768, Section 3).
func (c *Core) stamp(l *leg) {
	var longest dots.Lifetime
	hop := uint8(0)
	for _, m := range l.members {
		if left := m.toAsk(c.now); left.Longer(longest) {
			longest = left
		}
		if hop == 0 || m.hopLimit < hop {
			hop = m.hopLimit
		}
	}
	if len(l.members) == 0 {
		return
	}
	l.want.Request.Lifetime, l.want.HopLimit, l.want.CDID = dots.Some(longest), hop, c.cdidOf(l)
	l.until = time.Time{}
	if longest != dots.Indefinite {
		l.until = c.now.Add(time.Duration(longest) * time.Second)
	}
	if longest.Longer(l.longest) {
		l.longest = longest
	}
}

// cdidOf is the cdid of a leg: only where a cuid of ours stands for one client can it be told (RFC 9132, Section 4.4.1.2). What came from a trusted
// gateway goes on as it is; else it is that of the client's credential, where the uplink is to be told.
func (c *Core) cdidOf(l *leg) string { return c.cdidFor(l.want.Key.Uplink, l.members[0]) }

// cdidFor is the cdid of what is asked of an uplink for a mitigation.
func (c *Core) cdidFor(uplink string, m *mitigation) string {
	switch {
	case c.policy.CUIDMode(uplink) != policy.CUIDPerClient:
		return ""
	case m.key.Client.CDID != "":
		return m.key.Client.CDID
	case c.policy.InsertsCDID(uplink):
		return m.cdid
	}
	return ""
}

// toAsk is the lifetime that is left, as an uplink is asked for it: never 0, which is no lifetime (RFC 9132, Section 4.4.1).
func (m *mitigation) toAsk(now time.Time) dots.Lifetime {
	if left := m.remaining(now); left != 0 {
		return left
	}
	return 1
}

// freshen tells the uplink again how a leg is to stand where some of its members need more than was asked for last: a longer lifetime, or a smaller
// Hop-Limit. While clients come and go a longer lifetime has time, if what was asked for lasts a while.
func (c *Core) freshen(l *leg, of ...*mitigation) {
	hop, longer := l.needs(of)
	switch lasts := l.until.Sub(c.now) > recreateGap; {
	case hop:
		c.tell(l)
	case !longer:
	case len(l.members) > 1 && l.state == placed && lasts && c.now.Sub(l.told) < shrinkGap:
		c.tellSoon(l)
	default:
		c.tell(l)
	}
}

// tellSoon lets a leg be told once more, but not before shrinkGap is over since it was.
func (c *Core) tellSoon(l *leg) {
	l.refreshAt = earliest(l.refreshAt, l.told.Add(shrinkGap))
	c.due.arm(l)
}

// needs reports whether members of a leg need a smaller Hop-Limit or a longer lifetime than was asked for last.
func (l *leg) needs(of []*mitigation) (hop, longer bool) {
	for _, m := range of {
		hop = hop || m.hopLimit < l.want.HopLimit
		longer = longer || !l.until.IsZero() && (m.expires.IsZero() || m.expires.After(l.until))
	}
	return hop, longer
}

// tell states a leg once more, with what its members have left, and reports whether it did: one that the uplink refused for now, or that waits for another
// one's end, is asked for when its time has come.
func (c *Core) tell(l *leg) bool {
	c.stamp(l)
	if l.state == held || l.want.Withdraw {
		return false
	}
	l.judge()
	l.told = c.now
	l.want.Revision++
	c.out.want(l.want)
	return true
}

// takeOver notes which legs are withdrawn once l stands: make before break.
func (c *Core) takeOver(l *leg, keys []dots.LegKey) {
	for _, k := range keys {
		l.replaces = append(l.replaces, k)
		c.replacedBy[k] = l.want.Key
	}
	c.survey(l)
}

// letGo unties a leg from those that it was to replace, and returns them.
func (c *Core) letGo(l *leg) []dots.LegKey {
	keys := l.replaces
	l.replaces = nil
	for _, k := range keys {
		if c.replacedBy[k] == l.want.Key {
			delete(c.replacedBy, k)
		}
	}
	if len(keys) > 0 {
		c.survey(l)
	}
	return keys
}

// setAdrift lets other legs take the places that a leg was to take, which goes for a reason of its own.
func (c *Core) setAdrift(l *leg) {
	for _, r := range c.legsOf(c.letGo(l)) {
		if !r.want.Withdraw {
			r.renew = true
			c.loosen(r)
		}
	}
}

// replacer is the leg that is to take another one's place; nil: none.
func (c *Core) replacer(l *leg) *leg {
	if k, ok := c.replacedBy[l.want.Key]; ok {
		return c.leg(k)
	}
	return nil
}

// recordLeg keeps a leg. If a new one cannot be kept it is dropped: the uplink never heard of it.
func (c *Core) recordLeg(l *leg) {
	c.due.arm(l)
	c.put(l.record(), nil)
}

// keepLeg enters a leg in the tables.
func (c *Core) keepLeg(l *leg) {
	s := scopeOf(l.want.Key)
	h := c.legs[s]
	if h == nil {
		h = &holding{legs: map[uint32]*leg{}}
		c.legs[s] = h
	}
	h.legs[l.want.Key.MID] = l
	c.lastLeg = nil
	c.legCount++
	if l.state == foreign {
		h.foreign++
	}
	if l.stood {
		h.stood++
	}
}

// setStood notes whether a leg may stand at the uplink.
func (c *Core) setStood(l *leg, stood bool) {
	if l.stood != stood {
		l.stood = stood
		h := c.legs[scopeOf(l.want.Key)]
		if stood {
			h.stood++
		} else {
			h.stood--
		}
	}
}

// dropLeg takes a leg out of the tables.
func (c *Core) dropLeg(l *leg) {
	s := scopeOf(l.want.Key)
	h := c.legs[s]
	if h == nil || h.legs[l.want.Key.MID] != l {
		return
	}
	c.delist(l)
	c.letGo(l)
	if by := c.replacer(l); by != nil {
		by.replaces = slices.DeleteFunc(by.replaces, func(k dots.LegKey) bool { return k == l.want.Key })
	}
	delete(c.replacedBy, l.want.Key)
	c.setStood(l, false)
	if l.state == foreign {
		h.foreign--
	}
	delete(h.legs, l.want.Key.MID)
	c.lastLeg = nil
	c.legCount--
	if len(h.legs) == 0 {
		delete(c.legs, s)
	}
	delete(c.loose, l)
	c.due.disarm(l)
}

// leave withdraws a leg, and with it those that it was to replace: nothing is to stand under their keys. The wish is durable until
// the uplink answered it.
func (c *Core) leave(l *leg) {
	if l == nil || l.state == leaving || l.state == left || l.state == foreign {
		return
	}
	c.delist(l)
	replaced := c.letGo(l)
	l.state, l.vanished, l.doubted, l.renew, l.hushed = leaving, false, false, false, false
	l.want.Withdraw, l.want.Efficacy = true, false
	l.want.Revision++
	l.refreshAt, l.retryAt, l.settleAt = time.Time{}, time.Time{}, time.Time{}
	l.expires = c.lastsUntil(l)
	c.putLess(l.record())
	c.out.want(l.want)
	c.due.arm(l)
	c.leaveAll(replaced)
}

func (c *Core) leaveAll(keys []dots.LegKey) {
	for _, k := range keys {
		c.leave(c.leg(k))
	}
}

// lastsUntil is when a leg is over at the uplink by itself, even if our DELETE never arrives. Whatever was asked for without an answer may have got
// there, a moment ago.
func (c *Core) lastsUntil(l *leg) time.Time {
	asked := l.want.Request.Lifetime.Or(dots.DefaultLifetime)
	if l.longest.Longer(asked) {
		asked = l.longest
	}
	switch {
	case asked == dots.Indefinite && l.want.Request.OnSignalLoss: // what would be triggered there is not given up so soon
		return c.now.Add(armedKept)
	case asked == dots.Indefinite: // given up after a while; a reconnect adopts it if it still stands
		return c.now.Add(foreignKept)
	}
	return c.now.Add(time.Duration(asked) * time.Second)
}

// legGone ends a leg: nothing stands at the uplink under its key any more. What was terminating under it is over.
func (c *Core) legGone(l *leg) {
	past := l.past
	c.forgetLeg(l)
	for _, m := range past {
		m.past = slices.DeleteFunc(m.past, func(k dots.LegKey) bool { return k == l.want.Key })
		if len(m.past) == 0 && m.phase == terminating && c.mits[m.key] == m {
			c.finish(m)
		}
	}
}

// forgetLeg removes a leg from the tables, the store and the uplink's session. What it was to replace is replaced by what replaces it, or
// withdrawn, and what waited for its end is asked for.
func (c *Core) forgetLeg(l *leg) {
	by := c.replacer(l)
	replaced := c.letGo(l)
	c.dropLeg(l)
	if l.state != left && l.state != foreign { // those have no record
		c.deleteLeg(l.want.Key)
	}
	c.out.Forgets = append(c.out.Forgets, l.want.Key)
	if by != nil && len(replaced) > 0 {
		c.takeOver(by, replaced)
		c.recordLeg(by)
	} else {
		c.leaveAll(replaced)
	}
	c.unblock(l.want.Key)
}

// legDue refreshes a leg before it expires at the uplink, asks again for a held one, and gives up a withdrawn one
// that is over by itself.
func (c *Core) legDue(l *leg) {
	if c.leg(l.want.Key) != l {
		return
	}
	switch {
	case passed(l.expires, c.now) && !l.current:
		c.legGone(l)
		return
	case passed(l.retryAt, c.now) || passed(l.refreshAt, c.now):
		l.retryAt, l.refreshAt = time.Time{}, time.Time{}
		c.askAgain(l)
	}
	if passed(l.settleAt, c.now) {
		l.settleAt = time.Time{}
		c.loosen(l)
	}
	if c.leg(l.want.Key) == l {
		c.due.arm(l)
	}
}

// askAgain tells the uplink once more how a leg is to stand, with the lifetime that is left.
func (c *Core) askAgain(l *leg) {
	switch {
	case l.want.Withdraw:
		l.want.Revision++
		c.out.want(l.want)
	case l.vanished:
		c.recreate(l)
	case c.leg(l.after) == nil:
		if l.state == held {
			l.state = placing
		}
		c.tell(l)
	}
}
