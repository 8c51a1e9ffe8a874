package gateway

import (
	"log/slog"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// refresh prolongs a mitigation and tells its uplink again, with the same mid and parameters (RFC 9132,
// Section 4.4.1.3). An efficacy update is a refresh that carries the client's view of the attack (RFC 9132, Section 4.4.3).
func (c *Core) refresh(m *mitigation, ask dots.Ask, g policy.Grant, tickets []Ticket) {
	before := *m
	if g.Request.Lifetime.Set {
		m.lifetime = g.Request.Lifetime.Value
		m.asked.Lifetime = ask.Request.Lifetime
		m.setExpiry(c.now)
	}
	m.hopLimit, m.cdid = ask.HopLimit, ask.CDID
	c.recordMitigation(m, func(out *Ready) {
		m.lifetime, m.asked.Lifetime, m.expires = before.lifetime, before.asked.Lifetime, before.expires
		c.refuseAll(out, m, c.busy("cannot store now"))
		c.due.arm(m)
	})
	c.out.note(slog.LevelInfo, "mitigation refreshed", keyAttrs(m.key, slog.Int64("lifetime", int64(m.lifetime)), slog.Bool("efficacy", ask.Efficacy))...)
	up := false
	for _, k := range m.legs {
		l := c.leg(k)
		if l == nil || l.want.Withdraw {
			continue
		}
		c.refreshLeg(m, l, ask)
		up = up || c.up[k.Uplink]
	}
	c.await(m, tickets, dots.CodeChanged, up)
	c.due.arm(m)
}

// refreshLeg tells the uplink again how the leg is to stand. The armed leg of a triggered mitigation carries no efficacy.
func (c *Core) refreshLeg(m *mitigation, l *leg, ask dots.Ask) {
	l.want.Request.Lifetime = dots.Some(m.remaining(c.now))
	l.want.HopLimit, l.want.CDID = m.hopLimit, m.cdid
	if ask.Efficacy {
		l.want.Efficacy = true
		l.want.Request.Attack = ask.Request.Attack
	}
	l.want.Revision++
	c.out.want(l.want)
}
