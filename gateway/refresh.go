package gateway

import (
	"log/slog"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// refresh prolongs a mitigation and tells its uplink again, with the same mid and parameters (RFC 9132,
// Section 4.4.1.3). An efficacy update is a refresh that carries the client's view of the attack (RFC 9132, Section 4.4.3).
func (c *Core) refresh(m *mitigation, a *asking, g policy.Grant) {
	ask := a.ask
	before := *m
	if g.Request.Lifetime.Set {
		m.lifetime = g.Request.Lifetime.Value
		m.asked.Lifetime = ask.Request.Lifetime
		m.setExpiry(c.now)
	}
	m.hopLimit = ask.HopLimit
	m.own = dots.Maybe[dots.Conflict]{} // of the time before: the client was told
	c.recordMitigation(m, c.undoRefresh(m, &before))
	c.out.note(slog.LevelInfo, "mitigation refreshed", c.audit(a, dots.CodeChanged, slog.Int64("lifetime", int64(m.lifetime)), slog.Bool("efficacy", ask.Efficacy))...)
	asked := false
	for _, k := range m.legs {
		if l := c.leg(k); l != nil && c.carried(l) == m && c.refreshLeg(m, l, ask) {
			asked = asked || c.up[k.Uplink]
		}
	}
	c.await(m, a.tickets, dots.CodeChanged, asked)
}

// undoRefresh takes a refresh back that could not be stored; who waits for something older waits on.
func (c *Core) undoRefresh(m *mitigation, before *mitigation) func(*Ready) {
	seq := c.pending()
	lifetime, asked, expires, answerBy := before.lifetime, before.asked.Lifetime, before.expires, before.answerBy
	hopLimit, own := before.hopLimit, before.own
	return func(out *Ready) {
		m.lifetime, m.asked.Lifetime, m.expires = lifetime, asked, expires
		m.hopLimit, m.own = hopLimit, own
		var kept []waiter
		for _, w := range m.wait {
			if w.seq >= seq {
				out.refuse(w.ticket, c.cannotStore())
			} else {
				kept = append(kept, w)
			}
		}
		m.wait = kept
		if len(kept) == 0 {
			m.answerBy = answerBy
		}
		for _, k := range m.legs {
			if l := c.leg(k); l != nil && !l.want.Withdraw {
				l.want.Request.Lifetime = m.toAsk(c.now)
				l.want.HopLimit = hopLimit
				l.want.Efficacy, l.want.Request.Attack = false, 0
			}
		}
		if c.mits[m.key] == m {
			c.due.arm(m)
		}
	}
}

// refreshLeg tells the uplink again how the leg is to stand, and reports whether it did: a leg that the uplink refused for now is asked
// for when its time has come, and the armed leg of a triggered mitigation carries no efficacy. Nor does one that was never
// confirmed: an efficacy update of an unknown mid is not answered (RFC 9132, Section 4.4.3).
func (c *Core) refreshLeg(m *mitigation, l *leg, ask dots.Ask) bool {
	if l.want.Withdraw {
		return false
	}
	l.want.Request.Lifetime = m.toAsk(c.now)
	l.want.HopLimit = m.hopLimit
	if l.state == held {
		return false
	}
	if ask.Efficacy && l.state == placed && (!m.fired || l.want.Key != m.mirror) {
		l.want.Efficacy = true
		l.want.Request.Attack = ask.Request.Attack
	}
	l.want.Revision++
	c.out.want(l.want)
	return true
}
