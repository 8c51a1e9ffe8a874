package gateway

import (
	"log/slog"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// answered takes an uplink's answer in. An answer to an older revision than the wanted one changes nothing: the
// uplink's session goes on with the newer.
func (c *Core) answered(a dots.LegAnswer) {
	l := c.leg(a.Key)
	if l == nil || l.state == left || l.state == foreign || a.Revision != l.want.Revision || a.Withdraw != l.want.Withdraw {
		return
	}
	switch {
	case a.Withdraw:
		c.withdrawAnswered(l, a)
	case a.Code.Success():
		c.stands(l, a)
	default:
		c.legRefused(l, a)
	}
}

// withdrawAnswered ends a leg whose DELETE was taken; the uplink may go on for a while and says so by status 5
// (RFC 9132, Section 4.4.4).
func (c *Core) withdrawAnswered(l *leg, a dots.LegAnswer) {
	if a.Code != dots.CodeDeleted && a.Code != dots.CodeNotFound {
		c.out.note(slog.LevelWarn, "uplink refused a withdrawal, trying again", legAttrs(l.want.Key, slog.String("code", a.Code.String()))...)
		l.retryAt = c.now.Add(max(a.MaxAge, min(retryWithdraw<<min(l.denied, 6), withdrawAtMost)))
		l.denied++
		c.due.arm(l)
		return
	}
	m := c.carried(l)
	if a.Code == dots.CodeNotFound || m == nil || m.phase != terminating {
		c.legGone(l)
		return
	}
	l.state = left
	l.expires = m.termUntil
	c.due.arm(l)
	c.deleteLeg(l.want.Key)
}

// stands notes that a leg is in force, withdraws what it replaced, and answers its callers.
func (c *Core) stands(l *leg, a dots.LegAnswer) {
	if l.state != placed {
		l.state = placed
		l.placedAt = c.now
	}
	l.retryAt, l.vanished, l.doubted = time.Time{}, false, false
	c.setStood(l, true)
	if l.want.Efficacy {
		l.want.Efficacy, l.want.Request.Attack = false, 0
		c.out.want(l.want) // the same revision: nothing is sent, but a reconnect must not repeat the efficacy
	}
	c.planRefresh(l, a.Lifetime)
	c.leaveAll(c.letGo(l))
	m := c.carried(l)
	if m == nil {
		return
	}
	before := c.shows(m)
	if a.Conflict.Set {
		l.report.Conflict = a.Conflict
	}
	c.accepted(m)
	if c.shows(m) != before || a.Conflict.Set {
		c.changed(m)
	}
	c.due.arm(m)
}

// planRefresh refreshes a leg on behalf of its client where the uplink granted less than the client has left.
func (c *Core) planRefresh(l *leg, granted dots.Maybe[dots.Lifetime]) {
	l.refreshAt = time.Time{}
	defer c.due.arm(l)
	asked := l.want.Request.Lifetime.Or(dots.DefaultLifetime)
	got := granted.Or(asked)
	if got == dots.Indefinite || !asked.Longer(got) {
		return
	}
	l.refreshAt = c.now.Add(max(time.Duration(got)*time.Second/2, minRefresh))
}

// legRefused does what the fan-back table says of an uplink's refusal.
func (c *Core) legRefused(l *leg, a dots.LegAnswer) {
	m := c.carried(l)
	if m == nil { // a later leg has its place: if this one stood, it stands until that one does
		if !l.stood {
			c.legGone(l)
		}
		return
	}
	if a.Conflict.Set && a.Conflict.Value.Cause == dots.CauseCUIDCollision {
		c.setStood(l, false) // the cuid is another's, so this leg cannot stand under it
	}
	if c.tooLow(m, l, a) {
		c.climb(m, l)
		return
	}
	if c.gone(l, a) {
		c.vanish(m, l)
		return
	}
	l.mind(a.Conflict, c.now)
	out := policy.FanBack(refusalOf(a), policy.Situation{
		Request: l.want.Request, Own: m.grant.Expanded, NodeID: c.cfg.NodeID, CUIDMode: c.policy.CUIDMode(l.want.Key.Uplink),
		Refresh: l.stood, Late: len(m.wait) == 0, CUIDInUse: c.legs[scopeOf(l.want.Key)].stood > 0, Newer: c.newerThan(l),
		HideTopology: c.cfg.HideTopology,
	})
	c.out.note(outcomeLevel(out), "uplink refused a leg", legAttrs(l.want.Key, slog.String("code", a.Code.String()),
		slog.String("text", a.Text), slog.String("client", m.key.Client.Name), slog.Uint64("mid", uint64(m.key.MID)))...)
	switch out.Action {
	case policy.Accept:
		c.stands(l, a)
	case policy.Hold, policy.Alert:
		c.holdLeg(m, l, out)
	case policy.Recreate:
		if a.Code == dots.CodeNotFound {
			c.vanish(m, l)
		} else {
			c.recreate(m, l)
		}
	case policy.NewCUID:
		c.collided(m, l)
	default:
		c.giveUp(m, l, out)
	}
}

// refusalOf is an answer as an error.
func refusalOf(a dots.LegAnswer) *dots.Error {
	return &dots.Error{
		Code: a.Code, Text: a.Text, Conflict: a.Conflict, MaxAge: a.MaxAge, Redirect: dots.Maybe[dots.Redirect]{Set: a.Redirected},
	}
}

// outcomeLevel is how loud the log is about a refusal.
func outcomeLevel(o policy.Outcome) slog.Level {
	switch {
	case o.Alarm || o.Action == policy.Alert:
		return slog.LevelError
	case o.Action == policy.Accept:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// newerThan is the mid with which we replaced a leg, where we did.
func (c *Core) newerThan(l *leg) dots.Maybe[uint32] {
	by, ok := c.replacedBy[l.want.Key]
	return dots.Maybe[uint32]{Value: by.MID, Set: ok}
}

// holdLeg keeps the mitigation and asks again later. Who waits is told at once, if there is something to tell: a request that
// was never accepted is refused then, and gone.
func (c *Core) holdLeg(m *mitigation, l *leg, out policy.Outcome) {
	if out.ToClient != nil && m.fresh {
		c.refuseNew(m, l, out.ToClient)
		return
	}
	if out.ToClient != nil {
		c.refuseAll(c.out, m, out.ToClient)
	}
	before := c.shows(m)
	l.state, l.refreshAt = held, time.Time{}
	l.retryAt = c.now.Add(max(out.RetryAfter, minRefresh))
	c.due.arm(l)
	if c.shows(m) != before {
		c.changed(m)
	}
	c.due.arm(m)
}

// giveUp ends a mitigation that the uplink refuses: with the refusal where the client still waits, else by status 7, kept
// until its client had time to see it. Of a refused refresh what was granted before stands until it expires.
func (c *Core) giveUp(m *mitigation, l *leg, out policy.Outcome) {
	switch {
	case m.fresh:
		c.refuseNew(m, l, out.ToClient)
	case len(m.wait) > 0 && out.RetryAfter > 0:
		c.holdLeg(m, l, out)
	case len(m.wait) > 0:
		c.refuseAll(c.out, m, out.ToClient)
		c.due.arm(m)
	default:
		if out.ToClient != nil && out.ToClient.Conflict.Set {
			m.own = out.ToClient.Conflict
		}
		c.withdrawnByUs(m, l)
	}
}

// refuseNew removes a mitigation that was never accepted; what it would have superseded stays.
func (c *Core) refuseNew(m *mitigation, refused *leg, err *dots.Error) {
	c.refuseAll(c.out, m, err)
	for _, k := range m.legs {
		if l := c.leg(k); l != nil {
			c.letGo(l)
		}
	}
	c.leaveLegs(m, refused)
	c.expel(m)
	c.dropRecord(m)
	if old := m.prior; old != nil {
		c.adopt(old, nil)
		c.recordMitigation(old, nil)
		c.separate(old) // meanwhile its targets were another's to ask for
	}
	c.out.wait(c.pending())
}

// leaveLegs withdraws the legs of a mitigation. One that was refused and never stood needs no withdrawal.
func (c *Core) leaveLegs(m *mitigation, refused *leg) {
	for _, k := range m.legs {
		switch l := c.leg(k); {
		case l == nil:
		case l == refused && !l.stood:
			c.forgetLeg(l)
		default:
			c.leave(l)
		}
	}
}
