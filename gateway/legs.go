package gateway

import (
	"crypto/sha256"
	"log/slog"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// leg finds a leg; nil: there is none.
func (c *Core) leg(k dots.LegKey) *leg { return c.legs[scopeOf(k)][k.MID] }

// firstLeg is the leg that carries a mitigation now, not its armed one.
func (c *Core) firstLeg(m *mitigation) *leg {
	if len(m.legs) == 0 {
		return nil
	}
	return c.leg(m.legs[0])
}

// carried is the mitigation that a leg carries; nil: none any more.
func (c *Core) carried(l *leg) *mitigation {
	m := c.mits[l.of]
	if m == nil || l.want.Key != m.mirror && !m.has(l.want.Key) {
		return nil
	}
	return m
}

func (m *mitigation) has(k dots.LegKey) bool {
	for _, own := range m.legs {
		if own == k {
			return true
		}
	}
	return false
}

// place makes the leg of a mitigation and asks for it. It withdraws the legs that it replaces once it stands.
func (c *Core) place(m *mitigation, p policy.Placement, replaces []dots.LegKey) {
	m.legs = nil
	if m.asked.OnSignalLoss && c.cfg.NoMirror {
		return
	}
	c.addLeg(m, c.scopeFor(p), m.asked.OnSignalLoss, replaces)
}

// addLeg makes a leg under a scope of ours, with a mid that was never used there.
func (c *Core) addLeg(m *mitigation, s scope, armed bool, replaces []dots.LegKey) *leg {
	l := &leg{of: m.key, state: placing, replaces: replaces}
	l.want = dots.Leg{Key: s.leg(c.takeMID(s)), Request: m.grant.Request, HopLimit: m.hopLimit, CDID: m.cdid, Revision: 1}
	l.want.Request.MID = l.want.Key.MID
	l.want.Request.OnSignalLoss = armed
	l.want.Request.Lifetime = dots.Some(m.remaining(c.now))
	l.want.Request.Attack = 0
	c.keepLeg(l)
	m.legs = append(m.legs, l.want.Key)
	if armed {
		m.mirror = l.want.Key
	}
	c.recordLeg(l)
	c.out.want(l.want)
	c.due.arm(l)
	return l
}

// recordLeg keeps a new leg. If it cannot be kept it is not asked for either, but tried again later.
func (c *Core) recordLeg(l *leg) {
	l.lost = false
	c.put(l.record(), func(*Ready) {
		if c.leg(l.want.Key) == l && !l.want.Withdraw {
			l.lost, l.state, l.retryAt = true, held, c.now.Add(retryHeld)
			c.due.arm(l)
		}
	})
}

// keepLeg enters a leg in the tables.
func (c *Core) keepLeg(l *leg) {
	s := scopeOf(l.want.Key)
	of := c.legs[s]
	if of == nil {
		of = map[uint32]*leg{}
		c.legs[s] = of
	}
	if of[l.want.Key.MID] == nil {
		c.legCount++
	}
	of[l.want.Key.MID] = l
}

// dropLeg takes a leg out of the tables.
func (c *Core) dropLeg(k dots.LegKey) {
	of := c.legs[scopeOf(k)]
	if l := of[k.MID]; l != nil {
		l.refreshAt, l.retryAt, l.expires = time.Time{}, time.Time{}, time.Time{}
		delete(of, k.MID)
		c.legCount--
	}
	if len(of) == 0 {
		delete(c.legs, scopeOf(k))
	}
}

// scopeFor is our cuid at an uplink. It is computed once and kept, so that the renewal of a certificate does
// not change it (RFC 9132, Section 4.4.1.1).
func (c *Core) scopeFor(p policy.Placement) scope {
	cuid, ok := c.own[p]
	if !ok {
		id := c.cfg.Identities[p.Uplink]
		cuid = dots.EncodeCUID(id)
		if p.Scope != "" {
			cuid = dots.EncodeCUID(sha256.Sum256(append(id[:], p.Scope...)))
		}
		c.setOwn(p, cuid)
	}
	return scope{p.Uplink, cuid}
}

// setOwn keeps a cuid of ours, durably.
func (c *Core) setOwn(p policy.Placement, cuid string) {
	before, had := c.own[p]
	c.own[p] = cuid
	c.recordOwn(p, cuid, func(*Ready) {
		if had {
			c.own[p] = before
		} else {
			delete(c.own, p)
		}
	})
}

// takeMID hands out the next mid of a scope (RFC 9132, Section 4.4.1.1). The counter starts again at 0 past the
// rollover, as soon as nothing is active under the scope.
func (c *Core) takeMID(s scope) uint32 {
	n := c.counters[s]
	if n == nil {
		n = &counter{next: 1, reserved: 1}
		c.counters[s] = n
	}
	if n.exhausted() && len(c.legs[s]) == 0 {
		*n = counter{}
	}
	mid, grew := n.take(c.cfg.MIDBlock)
	if grew {
		c.recordCounter(s, n)
	}
	return mid
}

// leave withdraws a leg: nothing is to stand under its key. The wish is durable until the uplink answered it.
func (c *Core) leave(l *leg) {
	if l == nil || l.state == leaving || l.state == left {
		return
	}
	l.state = leaving
	l.want.Withdraw, l.want.Efficacy = true, false
	l.want.Revision++
	l.refreshAt, l.retryAt = time.Time{}, time.Time{}
	l.expires = c.lastsUntil(l)
	c.putLess(l.record(), func(out *Ready) { out.want(l.want) }) // a full disk must not keep a withdrawal from the uplink
	c.out.want(l.want)
	c.due.arm(l)
}

// lastsUntil is when a leg is over at the uplink by itself, even if our DELETE never arrives.
func (c *Core) lastsUntil(l *leg) time.Time {
	const indefinite = 24 * time.Hour // an indefinite one is given up after a day; a reconnect adopts it if it still stands
	asked := l.want.Request.Lifetime.Or(dots.DefaultLifetime)
	if asked == dots.Indefinite {
		return c.now.Add(indefinite)
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

// forgetLeg removes a leg from the tables, the store and the uplink's session.
func (c *Core) forgetLeg(l *leg) {
	c.dropLeg(l.want.Key)
	c.deleteLeg(l.want.Key)
	c.out.Forgets = append(c.out.Forgets, l.want.Key)
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
	c.due.arm(l)
}

// askAgain tells the uplink once more how a leg is to stand, with the lifetime that is left.
func (c *Core) askAgain(l *leg) {
	if !l.want.Withdraw {
		m := c.carried(l)
		if m == nil || m.phase != live {
			return
		}
		l.want.Request.Lifetime = dots.Some(m.remaining(c.now))
		if l.state == held {
			l.state = placing
		}
		if l.lost {
			c.recordLeg(l)
			c.recordMitigation(m, nil)
		}
	}
	l.want.Revision++
	c.out.want(l.want)
}

// recreate asks for a mitigation under a new, higher mid, because its leg went without our will. Not more often than
// recreateGap allows.
func (c *Core) recreate(m *mitigation, l *leg) {
	if wait := l.placedAt.Add(recreateGap); l.state == placed && wait.After(c.now) {
		l.state, l.retryAt = held, wait
		c.due.arm(l)
		return
	}
	c.out.note(slog.LevelWarn, "leg vanished at the uplink, asking again", legAttrs(l.want.Key)...)
	armed := l.want.Key == m.mirror
	kept := m.legs[:0]
	for _, k := range m.legs {
		if k != l.want.Key {
			kept = append(kept, k)
		}
	}
	m.legs = kept
	c.forgetLeg(l)
	c.addLeg(m, scopeOf(l.want.Key), armed, l.replaces)
	c.recordMitigation(m, nil)
}
