package gateway

import (
	"log/slog"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// inForce finds the leg of another mitigation that a leg of m under the same cuid and of the same trigger type would push out. The
// uplink deletes whichever has the lower mid, so two of ours that overlap would delete each other in turn (RFC 9132, Section 4.4.1.3).
// What m is to supersede or push back is not in its way. nil: there is none.
func (c *Core) inForce(m *mitigation, s scope, armed bool) *leg {
	for _, k := range c.index.Overlaps(m.grant.Domain, m.grant.Expanded) {
		o := c.mits[k]
		if o == nil || o == m || o.phase != live || gives(m, o) {
			continue
		}
		for _, lk := range o.legs {
			if l := c.leg(lk); l != nil && l.of == k && scopeOf(lk) == s && l.want.Request.OnSignalLoss == armed && l.inForce() {
				return l
			}
		}
	}
	return nil
}

// inForce reports whether a leg stands at the uplink, or is on its way to.
func (l *leg) inForce() bool { return !l.want.Withdraw && !l.vanished && !l.lost }

// gives reports whether o goes or is pushed back as soon as m stands.
func gives(m, o *mitigation) bool {
	return o.key.Client == m.key.Client &&
		(slices.Contains(m.grant.Supersedes, o.key.MID) || slices.Contains(m.grant.Deactivates, o.key.MID))
}

// rival is inForce for a leg that exists.
func (c *Core) rival(m *mitigation, l *leg) *leg {
	return c.inForce(m, scopeOf(l.want.Key), l.want.Request.OnSignalLoss)
}

// yield holds a leg back for the one that is in force, which stays: the client sees the conflict, and the leg is asked for under a new mid
// once the other one is gone (RFC 9132, Section 4.4.1.3).
func (c *Core) yield(m *mitigation, l, by *leg) {
	known := l.after == by.want.Key
	l.state, l.vanished, l.after = held, true, by.want.Key
	l.refreshAt, l.retryAt = time.Time{}, c.now.Add(yieldGap)
	c.due.arm(l)
	if c.tellRival(m, c.mits[by.of], false) {
		c.changed(m)
	}
	if known {
		return
	}
	if !l.stood { // a new session must not repeat it
		c.out.Forgets = append(c.out.Forgets, l.want.Key)
	}
	if !l.lost {
		c.recordLeg(l)
		l.retryAt = c.now.Add(yieldGap)
		c.due.arm(l)
	}
}

// tellRival shows both clients that their requests are in conflict, and reports whether it is new to that of m. Of one client's own
// there is nothing to tell. Only one that is over for good has a time to ask again at.
func (c *Core) tellRival(m, o *mitigation, over bool) bool {
	if o == nil || o.key.Client == m.key.Client {
		return false
	}
	conflict, inform := policy.Yields(m.grant.Expanded, overlapOf(o, c.now))
	c.inform([]policy.Inform{inform})
	if !over {
		conflict.RetryTimer = 0
	}
	if sameConflict(m.own, conflict) {
		return false
	}
	m.own = dots.Some(conflict)
	return true
}

// yielded ends the conflict of a leg that was held back.
func (c *Core) yielded(m *mitigation, l *leg) {
	if l.after != (dots.LegKey{}) {
		l.after = dots.LegKey{}
		m.own = dots.Maybe[dots.Conflict]{}
		c.changed(m)
	}
}

// separate ends a mitigation that overlaps another one in force by now, because its names lead there: as if it were asked for only now.
// Of two of one client the lower mid goes (RFC 9132, Section 4.4.1.3).
func (c *Core) separate(m *mitigation) {
	for _, k := range slices.Clone(m.legs) {
		l := c.leg(k)
		if l == nil || l.vanished || m.phase != live {
			continue
		}
		for by := c.rival(m, l); by != nil && m.phase == live; by = c.rival(m, l) {
			o, loser := c.mits[by.of], m
			if o.key.Client == m.key.Client {
				if gives(o, m) { // it goes anyhow once that one stands
					break
				}
				if o.key.MID < m.key.MID {
					loser = o
				}
			}
			c.out.note(slog.LevelWarn, "mitigation ended: it overlaps another one by now", keyAttrs(loser.key, slog.String("other", by.of.Client.Name))...)
			if loser == m {
				c.tellRival(m, o, true)
			}
			c.withdrawnByUs(loser, nil)
		}
	}
}

// restateHeld brings back what a leg waits for: the end of one that it takes the place of, or of one in force that overlaps.
func (c *Core) restateHeld(l *leg) {
	m := c.carried(l)
	if m == nil || l.want.Withdraw || l.after == (dots.LegKey{}) {
		return
	}
	by := c.leg(l.after)
	switch {
	case by != nil && by.of == l.of:
		l.state = held
		c.blocks[l.after] = l.want.Key
	case by != nil || !l.want.Request.OnSignalLoss:
		c.setStood(l, false)
		l.state, l.vanished, l.retryAt = held, true, c.now.Add(yieldGap)
		c.due.arm(l)
	}
}

// outranked holds back a restored leg that overlaps one with a higher mid, which is what stands at the uplink
// (RFC 9132, Section 4.4.1.3), and reports whether it did.
func (c *Core) outranked(m *mitigation, l *leg) bool {
	by := c.rival(m, l)
	if by == nil || by.want.Key.MID < l.want.Key.MID {
		return false
	}
	c.setStood(l, false)
	c.yield(m, l, by)
	return true
}
