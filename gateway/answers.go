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
	if l == nil || a.Revision != l.want.Revision || a.Withdraw != l.want.Withdraw {
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
		l.retryAt = c.now.Add(max(a.MaxAge, retryWithdraw))
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
	l.want.Efficacy, l.want.Request.Attack = false, 0
	c.out.want(l.want) // the same revision: nothing is sent, but a reconnect must not repeat the efficacy
	c.planRefresh(l, a.Lifetime)
	for _, k := range l.replaces {
		c.leave(c.leg(k))
	}
	l.replaces = nil
	if m := c.carried(l); m != nil {
		if a.Conflict.Set {
			l.report.Conflict = a.Conflict
		}
		c.accepted(m)
		c.changed(m)
		c.due.arm(m)
	}
}

// planRefresh refreshes a leg on behalf of its client where the uplink granted less than the client has left.
func (c *Core) planRefresh(l *leg, granted dots.Maybe[dots.Lifetime]) {
	l.refreshAt = time.Time{}
	asked := l.want.Request.Lifetime.Or(dots.DefaultLifetime)
	got := granted.Or(asked)
	if got == dots.Indefinite || !asked.Longer(got) {
		return
	}
	l.refreshAt = c.now.Add(max(time.Duration(got)*time.Second/2, minRefresh))
	c.due.arm(l)
}

// legRefused does what the fan-back table says of an uplink's refusal.
func (c *Core) legRefused(l *leg, a dots.LegAnswer) {
	m := c.carried(l)
	if m == nil {
		c.legGone(l)
		return
	}
	refusal := &dots.Error{Code: a.Code, Text: a.Text, Conflict: a.Conflict, MaxAge: a.MaxAge}
	out := policy.FanBack(refusal, policy.Situation{
		Request: l.want.Request, Own: m.grant.Expanded, NodeID: c.cfg.NodeID, CUIDMode: c.policy.CUIDMode(l.want.Key.Uplink),
		Refresh: l.state == placed, Late: len(m.wait) == 0, CUIDInUse: c.othersStand(l), Newer: c.newerThan(l),
	})
	c.out.note(outcomeLevel(out), "uplink refused a leg", legAttrs(l.want.Key, slog.String("code", a.Code.String()),
		slog.String("text", a.Text), slog.String("client", m.key.Client.Name), slog.Uint64("mid", uint64(m.key.MID)))...)
	switch out.Action {
	case policy.Accept:
		c.stands(l, a)
	case policy.Hold, policy.Alert:
		c.holdLeg(m, l, out)
	case policy.Recreate:
		l.state = held
		c.recreate(m, l)
	case policy.NewCUID:
		c.moveScope(scopeOf(l.want.Key))
	default:
		c.giveUp(m, out.ToClient)
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

// othersStand reports whether other legs are in force under a leg's cuid.
func (c *Core) othersStand(l *leg) bool {
	for _, o := range c.legs[scopeOf(l.want.Key)] {
		if o != l && o.state == placed {
			return true
		}
	}
	return false
}

// newerThan is the mid with which we replaced a leg, where we did.
func (c *Core) newerThan(l *leg) dots.Maybe[uint32] {
	for _, o := range c.legs[scopeOf(l.want.Key)] {
		for _, k := range o.replaces {
			if k == l.want.Key {
				return dots.Some(o.want.Key.MID)
			}
		}
	}
	return dots.Maybe[uint32]{}
}

// holdLeg keeps the mitigation and asks again later. Who waits is told at once, if there is something to tell: a request that was
// never accepted is refused then, and gone.
func (c *Core) holdLeg(m *mitigation, l *leg, out policy.Outcome) {
	if out.ToClient != nil && len(m.wait) > 0 && m.wait[0].code == dots.CodeCreated {
		c.refuseNew(m, out.ToClient)
		return
	}
	if out.ToClient != nil {
		c.refuseAll(c.out, m, out.ToClient)
	}
	l.state = held
	l.retryAt = c.now.Add(max(out.RetryAfter, minRefresh))
	c.due.arm(l)
	c.changed(m)
}

// giveUp ends a mitigation that the uplink refuses: with the refusal where the client still waits, else by status 7, kept
// until its client had time to see it.
func (c *Core) giveUp(m *mitigation, err *dots.Error) {
	if len(m.wait) > 0 && m.wait[0].code == dots.CodeCreated {
		c.refuseNew(m, err)
		return
	}
	if len(m.wait) > 0 { // a refresh was refused; what was granted before stands until it expires
		c.refuseAll(c.out, m, err)
		return
	}
	if err != nil && err.Conflict.Set {
		m.own = err.Conflict
	}
	c.withdrawnByUs(m)
}

// refuseNew removes a mitigation that was never accepted; what it would have superseded stays.
func (c *Core) refuseNew(m *mitigation, err *dots.Error) {
	c.refuseAll(c.out, m, err)
	for _, k := range m.legs {
		if l := c.leg(k); l != nil {
			c.leaveOrForget(l)
		}
	}
	c.expel(m)
	c.dropRecord(m)
	c.out.wait(c.pending())
}

// leaveOrForget withdraws a leg that may stand; one that was refused cannot, so it is forgotten.
func (c *Core) leaveOrForget(l *leg) {
	if l.state == placing || l.state == held {
		c.forgetLeg(l)
		return
	}
	c.leave(l)
}

// moveScope takes a new cuid after a collision at the uplink, and asks for every leg anew under it
// (RFC 9132, Section 4.4.1.1). It is called only while nothing stands under the old one.
func (c *Core) moveScope(from scope) {
	to := scope{from.uplink, c.cfg.NewCUID()}
	for p, cuid := range c.own {
		if p.Uplink == from.uplink && cuid == from.cuid {
			c.setOwn(p, to.cuid)
		}
	}
	c.out.note(slog.LevelWarn, "cuid taken at the uplink, using a new one", slog.String("uplink", from.uplink), slog.String("old", from.cuid), slog.String("new", to.cuid))
	for _, l := range c.sortedScope(from) {
		m := c.carried(l)
		c.forgetLeg(l)
		if m == nil || m.phase != live {
			continue
		}
		armed := m.mirror == l.want.Key
		m.legs = nil
		c.addLeg(m, to, armed, nil)
		c.recordMitigation(m, nil)
	}
}
