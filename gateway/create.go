package gateway

import (
	"log/slog"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// create makes a mitigation and its legs, durably, and lets its callers wait for the uplink.
func (c *Core) create(key dots.MitigationKey, ask dots.Ask, g policy.Grant, tickets []Ticket) {
	placements := c.policy.Route(g)
	if len(placements) == 0 {
		c.deny(key, c.busy("no uplink for this target"), tickets)
		return
	}
	up := c.up[placements[0].Uplink]
	if !up && c.cfg.WhenDown == WhenDownRefuse {
		c.deny(key, c.busy("uplink down"), tickets)
		return
	}
	old := c.mits[key]
	m := &mitigation{
		key: key, asked: ask.Request, grant: g, hopLimit: ask.HopLimit, cdid: ask.CDID,
		phase: live, period: c.periodFor(key, g), seq: c.pending(),
	}
	m.lifetime = g.Request.Lifetime.Or(dots.DefaultLifetime)
	m.asked.Lifetime = dots.Some(m.askedLifetime(ask))
	m.setExpiry(c.now)
	if !m.asked.OnSignalLoss {
		m.start = uint64(c.now.Unix())
	}
	code := dots.CodeCreated
	if old != nil && old.phase == live {
		code = dots.CodeChanged // draft04: a known id with other parameters
	}
	c.adopt(m, old)
	if old != nil && old.phase == live {
		c.place(m, placements[0], old.legs)
	} else {
		c.place(m, placements[0], nil)
	}
	c.inform(g.Informs)
	c.recordMitigation(m, c.undoCreate(m, old))
	c.out.note(slog.LevelInfo, "mitigation accepted", keyAttrs(key, slog.Int64("lifetime", int64(m.lifetime)),
		slog.Bool("on_signal_loss", m.asked.OnSignalLoss), slog.Bool("uplink_up", up))...)
	c.await(m, tickets, code, up)
	c.due.arm(m)
}

// askedLifetime is the lifetime that the client asked for; draft04 may leave it out.
func (m *mitigation) askedLifetime(ask dots.Ask) dots.Lifetime {
	return ask.Request.Lifetime.Or(m.lifetime)
}

// setExpiry counts the granted lifetime from now.
func (m *mitigation) setExpiry(now time.Time) {
	m.expires = time.Time{}
	if m.lifetime != dots.Indefinite {
		m.expires = now.Add(time.Duration(m.lifetime) * time.Second)
	}
}

// periodFor is the active-but-terminating period of a new mitigation: twice that of an own one with the same target
// that is terminating now, within the bound (RFC 9132, Section 4.4.4).
func (c *Core) periodFor(key dots.MitigationKey, g policy.Grant) time.Duration {
	period := c.cfg.Terminating
	for _, k := range c.index.Overlaps(g.Domain, g.Expanded) {
		if o := c.mits[k]; o != nil && o.phase == terminating && o.key.Client == key.Client {
			period = max(period, min(2*o.period, c.cfg.TerminatingMax))
		}
	}
	return period
}

// adopt enters a mitigation in the tables, in place of old where there was one under its key.
func (c *Core) adopt(m, old *mitigation) {
	if old != nil {
		c.expel(old)
	}
	c.mits[m.key] = m
	of := c.byClient[m.key.Client]
	if of == nil {
		of = map[uint32]*mitigation{}
		c.byClient[m.key.Client] = of
	}
	of[m.key.MID] = m
	if m.phase == live {
		c.liveOf[m.key.Client.Name]++
		c.out.Live = append(c.out.Live, m.key)
		c.watch(m)
	}
	c.index.Insert(m.key, m.grant.Domain, m.grant.Expanded)
	c.bindCUID(m.key.Client)
}

// expel takes a mitigation out of the tables.
func (c *Core) expel(m *mitigation) {
	if c.mits[m.key] != m {
		return
	}
	delete(c.mits, m.key)
	of := c.byClient[m.key.Client]
	delete(of, m.key.MID)
	if len(of) == 0 {
		delete(c.byClient, m.key.Client)
	}
	if m.phase == live {
		c.over(m)
	}
	c.index.Delete(m.key)
}

// retire moves a live mitigation to a later phase.
func (c *Core) retire(m *mitigation, to phase) {
	if m.phase == live && to != live {
		c.over(m)
	}
	m.phase = to
}

// over takes a live mitigation out of what counts the live ones.
func (c *Core) over(m *mitigation) {
	c.liveOf[m.key.Client.Name]--
	c.out.Over = append(c.out.Over, m.key)
	c.unwatch(m)
}

// bindCUID ties a cuid to the client entry that uses it: another one that comes with it is told of a collision, and the owner is
// never put out (RFC 9132, Section 4.4.1.1).
func (c *Core) bindCUID(cl dots.Client) {
	if _, ok := c.cuids[cl.CUID]; ok {
		return
	}
	c.cuids[cl.CUID] = cl.Name
	c.cuidsOf[cl.Name]++
	c.recordCUID(cl, func(*Ready) { c.unbindCUID(cl) })
}

func (c *Core) unbindCUID(cl dots.Client) {
	if c.cuids[cl.CUID] == cl.Name {
		delete(c.cuids, cl.CUID)
		c.cuidsOf[cl.Name]--
	}
}

// undoCreate takes a mitigation back that could not be stored, and puts back what stood under its key.
func (c *Core) undoCreate(m, old *mitigation) func(*Ready) {
	return func(out *Ready) {
		c.expel(m)
		for _, k := range m.legs {
			c.dropLeg(k)
		}
		c.refuseAll(out, m, c.busy("cannot store now"))
		m.phase = ended
		if old != nil {
			c.adopt(old, nil)
		}
	}
}

// await lets callers wait for the uplink, at most AnswerWait; where it is down they are answered with what is
// durably accepted.
func (c *Core) await(m *mitigation, tickets []Ticket, code dots.Code, up bool) {
	for _, t := range tickets {
		m.wait = append(m.wait, waiter{t, code})
	}
	if m.answerBy.IsZero() {
		m.answerBy = c.now.Add(c.cfg.AnswerWait)
	}
	if !up || len(m.legs) == 0 {
		c.accepted(m)
	}
}

// accepted answers everybody who waits with what is durably accepted; from then on the request stands, and what
// it supersedes is gone.
func (c *Core) accepted(m *mitigation) {
	m.answerBy = time.Time{}
	wait := m.wait
	m.wait = nil
	if len(wait) > 0 && wait[0].code == dots.CodeCreated {
		c.supersede(m)
	}
	c.out.wait(m.seq)
	for _, w := range wait {
		c.out.reply(w.ticket, dots.Answer{Code: w.code, MID: m.key.MID, Lifetime: m.lifetime, Conflict: m.own})
	}
}

// refuseAll answers everybody who waits with an error.
func (c *Core) refuseAll(out *Ready, m *mitigation, err *dots.Error) {
	m.answerBy = time.Time{}
	for _, w := range m.wait {
		out.refuse(w.ticket, err)
	}
	m.wait = nil
}

// supersede ends the own mitigations that m replaces or pushes out (RFC 9132, Section 4.4.1.3).
func (c *Core) supersede(m *mitigation) {
	for _, mid := range m.grant.Supersedes {
		if old := c.byClient[m.key.Client][mid]; old != nil && old != m && old.phase != ended {
			c.vanish(old, m)
		}
	}
	for _, mid := range m.grant.Deactivates {
		if old := c.byClient[m.key.Client][mid]; old != nil && old.phase == live && old.fired {
			c.deactivate(old)
		}
	}
	m.grant.Supersedes, m.grant.Deactivates = nil, nil
}

// vanish removes a mitigation at once, because a later one of its client has its targets. Its legs are withdrawn only
// once the leg of the later one stands: make before break.
func (c *Core) vanish(old, by *mitigation) {
	c.out.note(slog.LevelInfo, "mitigation superseded", keyAttrs(old.key, slog.Uint64("by", uint64(by.key.MID)))...)
	c.accepted(old)
	c.expel(old)
	c.replaceRecord(old, func(*Ready) {
		if c.mits[old.key] == nil {
			c.adopt(old, nil)
		}
	})
	c.out.Changed = append(c.out.Changed, old.key)
	if next := c.firstLeg(by); next != nil && next.state != placed {
		next.replaces = append(next.replaces, old.legs...)
		return
	}
	for _, k := range old.legs {
		c.leave(c.leg(k))
	}
}
