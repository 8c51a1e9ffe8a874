package gateway

import (
	"log/slog"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// leg finds a leg; nil: there is none.
func (c *Core) leg(k dots.LegKey) *leg {
	if h := c.legs[scopeOf(k)]; h != nil {
		return h.legs[k.MID]
	}
	return nil
}

// firstLeg is the leg that carries a mitigation now; nil: none.
func (c *Core) firstLeg(m *mitigation) *leg {
	if len(m.legs) == 0 {
		return nil
	}
	return c.leg(m.legs[0])
}

// carried is the mitigation that a leg carries; nil: none any more.
func (c *Core) carried(l *leg) *mitigation {
	m := c.mits[l.of]
	if m == nil || !slices.Contains(m.legs, l.want.Key) {
		return nil
	}
	return m
}

// without takes a leg out of those that carry a mitigation.
func (m *mitigation) without(k dots.LegKey) {
	m.legs = slices.DeleteFunc(slices.Clone(m.legs), func(own dots.LegKey) bool { return own == k })
	if m.mirror == k {
		m.mirror = dots.LegKey{}
	}
}

// place makes the leg of a mitigation and asks for it. It withdraws the legs that it replaces once it stands.
func (c *Core) place(m *mitigation, p policy.Placement, replaces []dots.LegKey) {
	m.legs = nil
	if m.asked.OnSignalLoss && !c.mirrors(p.Uplink) {
		return
	}
	c.addLeg(m, c.scopeFor(p), m.asked.OnSignalLoss, replaces)
}

// mirrors reports whether an uplink is told of armed requests.
func (c *Core) mirrors(uplink string) bool { return !c.cfg.NoMirror && !c.cfg.Unmirrored[uplink] }

// addLeg makes a leg and asks for it.
func (c *Core) addLeg(m *mitigation, s scope, armed bool, replaces []dots.LegKey) {
	l := c.newLeg(m, s, armed)
	c.takeOver(l, replaces)
	if by := c.rival(m, l); by != nil {
		c.yield(m, l, by)
		return
	}
	c.recordLeg(l)
	c.out.want(l.want)
}

// newLeg makes a leg under a scope of ours, with a mid that was never used there.
func (c *Core) newLeg(m *mitigation, s scope, armed bool) *leg {
	c.settleScope(s)
	l := &leg{of: m.key, state: placing}
	l.want = dots.Leg{Key: s.leg(c.takeMID(s)), Request: m.grant.Request, HopLimit: m.hopLimit, CDID: m.cdid, Revision: 1}
	l.want.Request.MID = l.want.Key.MID
	l.want.Request.OnSignalLoss = armed
	l.want.Request.Lifetime = m.toAsk(c.now)
	l.want.Request.Attack = 0
	c.keepLeg(l)
	m.legs = append(slices.Clip(m.legs), l.want.Key)
	if armed {
		m.mirror = l.want.Key
	}
	return l
}

// toAsk is the lifetime that is left, as an uplink is asked for it: never 0, which is no lifetime (RFC 9132, Section 4.4.1).
func (m *mitigation) toAsk(now time.Time) dots.Maybe[dots.Lifetime] {
	left := m.remaining(now)
	if left == 0 {
		left = 1
	}
	return dots.Some(left)
}

// takeOver notes which legs are withdrawn once l stands: make before break.
func (c *Core) takeOver(l *leg, keys []dots.LegKey) {
	for _, k := range keys {
		l.replaces = append(l.replaces, k)
		c.replacedBy[k] = l.want.Key
	}
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
	return keys
}

// handOver withdraws legs once the leg of a later mitigation stands; at once if it does.
func (c *Core) handOver(by *mitigation, keys []dots.LegKey) {
	next := c.firstLeg(by)
	if next != nil && next.state != placed && !next.want.Withdraw {
		c.takeOver(next, keys)
		return
	}
	c.leaveAll(keys)
}

// recordLeg keeps a new leg. If it cannot be kept it is not asked for either, but tried again later.
func (c *Core) recordLeg(l *leg) {
	l.lost = false
	c.due.arm(l)
	c.put(l.record(), func(*Ready) {
		if c.leg(l.want.Key) == l && !l.want.Withdraw {
			l.lost, l.state, l.retryAt = true, held, c.now.Add(retryStore)
			c.due.arm(l)
		}
	})
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
	c.letGo(l)
	c.setStood(l, false)
	if l.state == foreign {
		h.foreign--
	}
	delete(h.legs, l.want.Key.MID)
	delete(c.replacedBy, l.want.Key)
	c.legCount--
	if len(h.legs) == 0 {
		delete(c.legs, s)
	}
	c.due.disarm(l)
}

// leave withdraws a leg, and with it those that it was to replace: nothing is to stand under their keys. The wish is durable until
// the uplink answered it.
func (c *Core) leave(l *leg) {
	if l == nil || l.state == leaving || l.state == left || l.state == foreign {
		return
	}
	replaced := c.letGo(l)
	l.state, l.lost, l.vanished = leaving, false, false
	l.want.Withdraw, l.want.Efficacy = true, false
	l.want.Revision++
	l.refreshAt, l.retryAt = time.Time{}, time.Time{}
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

// lastsUntil is when a leg is over at the uplink by itself, even if our DELETE never arrives.
func (c *Core) lastsUntil(l *leg) time.Time {
	asked := l.want.Request.Lifetime.Or(dots.DefaultLifetime)
	if asked == dots.Indefinite { // given up after a while; a reconnect adopts it if it still stands
		return c.now.Add(foreignKept)
	}
	return c.now.Add(time.Duration(asked) * time.Second)
}

// legGone ends a leg: nothing stands at the uplink under its key any more.
func (c *Core) legGone(l *leg) {
	m := c.carried(l)
	c.forgetLeg(l)
	if m == nil || m.phase != terminating {
		return
	}
	for _, k := range m.legs {
		if c.leg(k) != nil {
			return
		}
	}
	c.finish(m)
}

// forgetLeg removes a leg from the tables, the store and the uplink's session. What it was to replace is withdrawn, and
// what waited for its end is asked for.
func (c *Core) forgetLeg(l *leg) {
	replaced := c.letGo(l)
	c.dropLeg(l)
	if l.state != left && l.state != foreign { // those have no record
		c.deleteLeg(l.want.Key)
	}
	c.out.Forgets = append(c.out.Forgets, l.want.Key)
	c.leaveAll(replaced)
	c.unblock(l.want.Key)
}

// legDue refreshes a leg before it expires at the uplink, asks again for a held one, and gives up a withdrawn one
// that is over by itself.
func (c *Core) legDue(l *leg) {
	if c.leg(l.want.Key) != l {
		return
	}
	switch {
	case passed(l.expires, c.now) && (l.state == leaving || l.state == left || l.state == foreign):
		c.legGone(l)
		return
	case passed(l.retryAt, c.now) || passed(l.refreshAt, c.now):
		l.retryAt, l.refreshAt = time.Time{}, time.Time{}
		c.askAgain(l)
	}
	if c.leg(l.want.Key) == l {
		c.due.arm(l)
	}
}

// askAgain tells the uplink once more how a leg is to stand, with the lifetime that is left.
func (c *Core) askAgain(l *leg) {
	if !l.want.Withdraw {
		m := c.carried(l)
		switch {
		case m == nil || m.phase != live:
			if l.lost { // nobody was ever told of it
				c.forgetLeg(l)
			}
			return
		case l.vanished:
			c.recreate(m, l)
			return
		}
		l.want.Request.Lifetime = m.toAsk(c.now)
		if l.lost {
			if by := c.rival(m, l); by != nil {
				c.yield(m, l, by)
				return
			}
			c.settleScope(scopeOf(l.want.Key))
			c.recordLeg(l)
			c.recordMitigation(m, nil)
		}
		if c.leg(l.after) != nil {
			return
		}
		if l.state == held {
			l.state = placing
		}
	}
	l.want.Revision++
	c.out.want(l.want)
}

// vanish notes that a leg went without our will, and asks for it anew. Meanwhile nothing is in force: status 1.
func (c *Core) vanish(m *mitigation, l *leg) {
	before := c.shows(m)
	l.vanished = true
	l.report = dots.Report{Status: dots.StatusTerminated}
	m.shown = 0
	c.setStood(l, false)
	c.recreate(m, l)
	if c.shows(m) != before && !slices.Contains(c.out.Changed, m.key) {
		c.changed(m)
	}
}

// recreate asks for a mitigation under a new, higher mid: its leg vanished, or the uplink takes a repetition of it for something else; then it may
// stand still, and is withdrawn once the new one stands. Not more often than recreateGap allows, and never above one of ours that is in force.
func (c *Core) recreate(m *mitigation, l *leg) {
	l.doubted = false
	if wait := l.earliestAnew(); wait.After(c.now) {
		l.state, l.retryAt = held, wait
		l.vanished = true
		c.due.arm(l)
		return
	}
	if by := c.rival(m, l); by != nil {
		c.yield(m, l, by)
		return
	}
	if l.after == (dots.LegKey{}) {
		c.out.note(slog.LevelWarn, "leg went at the uplink, asking again under a new mid", legAttrs(l.want.Key)...)
	} else {
		c.out.note(slog.LevelInfo, "nothing overlaps any more, asking under a new mid", legAttrs(l.want.Key)...)
	}
	c.yielded(m, l)
	armed := l.want.Key == m.mirror
	replaces := c.letGo(l)
	m.without(l.want.Key)
	if l.stood {
		l.refreshAt, l.retryAt = time.Time{}, time.Time{}
		c.due.arm(l)
		replaces = append(replaces, l.want.Key)
	} else {
		c.forgetLeg(l)
	}
	c.addLeg(m, scopeOf(l.want.Key), armed, replaces)
	c.recordMitigation(m, nil)
}
