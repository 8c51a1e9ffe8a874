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
	undo := c.undoRefresh(m)
	lasted, asked, hops := m.lifetime, m.asked.Lifetime, m.hopLimit
	if passed(m.expires, c.now) { // it was let alone until now
		c.touch(m)
	}
	if g.Request.Lifetime.Set {
		m.lifetime = g.Request.Lifetime.Value
		m.asked.Lifetime = ask.Request.Lifetime
		m.setExpiry(c.now)
	}
	m.hopLimit = ask.HopLimit
	m.own = dots.Maybe[dots.Conflict]{} // of the time before: the client was told
	same := m.lifetime == lasted && m.asked.Lifetime == asked && m.hopLimit == hops
	c.recordRefresh(m, same, undo)
	lifetime := m.lifetime
	c.out.noteLater(slog.LevelInfo, "mitigation refreshed", func() []slog.Attr {
		return c.audit(a, dots.CodeChanged, slog.Int64("lifetime", int64(lifetime)), slog.Bool("efficacy", ask.Efficacy))
	})
	for _, k := range m.legs {
		c.refreshLeg(m, c.leg(k), ask)
	}
	c.await(m, a.tickets, dots.CodeChanged)
}

// undoRefresh takes a refresh, which is to be made now, back should it not be stored; who waits for something older waits on.
func (c *Core) undoRefresh(m *mitigation) func(*Ready) {
	seq := c.pending()
	lifetime, asked, expires, answerBy := m.lifetime, m.asked.Lifetime, m.expires, m.answerBy
	hopLimit, own := m.hopLimit, m.own
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
			l := c.leg(k)
			c.stamp(l)
			l.want.Efficacy, l.want.Request.Attack = false, 0
		}
		if c.mits[m.key] == m {
			c.due.arm(m)
		}
	}
}

// refreshLeg tells the uplink again how a leg is to stand. One that carries several is told only where that needs more than was asked for last, or an
// efficacy is to be told. The armed leg of a triggered mitigation carries no efficacy, nor does one that was never
// confirmed: an efficacy update of an unknown mid is not answered (RFC 9132, Section 4.4.3). Those of several clients are told together, shrinkGap
// after the leg was told last, or so many of them could come that none is answered.
func (c *Core) refreshLeg(m *mitigation, l *leg, ask *dots.Ask) {
	m.attack = 0
	if ask.Efficacy {
		m.attack = ask.Request.Attack
	}
	efficacy := ask.Efficacy && l.state == placed && l.want.Request.OnSignalLoss == (m.asked.OnSignalLoss && !m.fired)
	l.judged = l.judged || efficacy
	switch {
	case len(l.members) == 1, efficacy && c.now.Sub(l.told) >= shrinkGap:
		c.tell(l)
	case efficacy:
		c.tellSoon(l)
		fallthrough
	default:
		c.freshen(l, m)
	}
}

// judge puts an efficacy that is to be told into what is wanted of a leg: of several clients' views that of one under attack wins.
func (l *leg) judge() {
	if !l.judged {
		return
	}
	l.judged = false
	l.want.Efficacy, l.want.Request.Attack = false, 0
	for _, m := range l.members {
		if l.state == placed && m.attack != 0 && (!l.want.Efficacy || m.attack == dots.AttackUnderAttack) {
			l.want.Efficacy, l.want.Request.Attack = true, m.attack
		}
	}
}
