package gateway

import (
	"log/slog"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// create makes a mitigation and its legs, durably, and lets its callers wait for the uplink.
func (c *Core) create(a *asking, g policy.Grant) {
	key := a.key()
	old := c.mits[key]
	m := c.newMitigation(key, *a.ask, g)
	code := dots.CodeCreated
	if old != nil && old.phase == live { // draft04: a known id with other parameters
		code, m.prior, m.recursion = dots.CodeChanged, old, old.recursion
	}
	places := c.places(m)
	up := slices.ContainsFunc(places, func(p policy.Place) bool { return c.up[p.Uplink] })
	switch {
	case len(places) == 0:
		c.deny(a, c.busy("no uplink for this target"))
		return
	case !up && c.cfg.WhenDown == WhenDownRefuse:
		c.deny(a, c.busy("uplink down"))
		return
	case len(c.owed.set) >= maxOwed:
		c.deny(a, c.cannotStore())
		return
	}
	c.settleClient(key.Client)
	c.takeIn(m, old, a.ask.OwnCUID)
	c.inform(g.Informs)
	c.out.note(slog.LevelInfo, "mitigation accepted", c.audit(a, code, slog.Int64("lifetime", int64(m.lifetime)),
		slog.Bool("on_signal_loss", m.asked.OnSignalLoss), slog.Bool("uplink_up", up))...)
	if g.DroppedOptional > 0 {
		c.out.note(slog.LevelInfo, "optional attributes dropped", keyAttrs(key, slog.Int("count", g.DroppedOptional))...)
	}
	c.await(m, a.tickets, code)
}

// takeIn enters a new mitigation, durably; those whose place it takes stay until it is accepted.
func (c *Core) takeIn(m, old *mitigation, ownCUID string) {
	if m.prior != nil {
		c.accepted(old)
		old.heir = m
	}
	c.claimCUID(m.key.Client, ownCUID)
	c.adopt(m, old)
	if old != nil {
		m.onDisk.prolonged = old.onDisk.prolonged
	}
	for _, mid := range slices.Concat(m.grant.Supersedes, m.grant.Deactivates) {
		if o := c.byClient[m.key.Client][mid]; o != nil && o != m && o.phase == live && (o.asked.OnSignalLoss == m.asked.OnSignalLoss || o.fired) {
			o.heir = m
			c.touch(o)
		}
	}
	c.recordMitigation(m, c.undoCreate(m, old))
	m.born = m.seq
}

// newMitigation makes a mitigation of what was asked and what policy allows of it.
func (c *Core) newMitigation(key dots.MitigationKey, ask dots.Ask, g policy.Grant) *mitigation {
	m := &mitigation{
		key: key, asked: ask.Request, grant: g, hopLimit: ask.HopLimit, cdid: ask.OwnCUID,
		phase: live, fresh: true, period: c.periodFor(key, g), seq: c.pending(),
	}
	m.grant.Informs = nil
	m.lifetime = g.Request.Lifetime.Or(dots.DefaultLifetime)
	m.asked.Lifetime = dots.Some(ask.Request.Lifetime.Or(m.lifetime)) // draft04 may leave it out
	m.setExpiry(c.now)
	if !m.asked.OnSignalLoss {
		m.start = uint64(c.wallNow().Unix())
	}
	return m
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
	for _, k := range c.ownOverlaps(key.Client, g.Domain, g.Expanded) {
		if o := c.mits[k]; o != nil && o.phase == terminating {
			period = max(period, min(2*o.period, c.cfg.TerminatingMax))
		}
	}
	return period
}

// undoCreate takes a mitigation back that could not be stored, and puts back what stood under its key and what it had superseded. Its legs
// are dropped with the batch.
func (c *Core) undoCreate(m, old *mitigation) func(*Ready) {
	return func(out *Ready) {
		withdrawn := m.phase != live // by its client meanwhile, who is told that nothing stands under the key
		c.expel(m)
		c.refuseAll(out, m, c.cannotStore())
		m.phase = ended
		for _, o := range m.ousted {
			c.putBack(o, m)
		}
		if c.putBack(old, m) && withdrawn {
			c.end(old)
		}
		for _, p := range m.pushed {
			p.undo(c)
		}
	}
}

// putBack enters a mitigation again that was taken out of the tables for another one's sake, unless another one has its key, and reports
// whether it is live.
func (c *Core) putBack(m, by *mitigation) bool {
	if m == nil || c.mits[m.key] != nil {
		return false
	}
	if m.heir == by {
		m.heir = nil
	}
	c.adopt(m, nil)
	c.unsettle(m)
	return m.phase == live
}

// await lets callers wait for the uplinks, at most AnswerWait; where there is nothing to wait for they are answered at the end of the step with
// what is durably accepted.
func (c *Core) await(m *mitigation, tickets []Ticket, code dots.Code) {
	for _, t := range tickets {
		m.wait = c.room.waiters.add(m.wait, waiter{t, code, m.seq})
	}
	if m.answerBy.IsZero() {
		m.answerBy = c.now.Add(c.cfg.AnswerWait)
	}
	c.due.arm(m)
	c.attend(m)
}

// accepted answers everybody who waits with what is durably accepted; from then on the request stands, and what
// it supersedes is gone.
func (c *Core) accepted(m *mitigation) {
	wait := m.wait
	m.answerBy, m.wait, m.fresh, m.prior = time.Time{}, nil, false, nil
	if c.supersede(m) && m.phase == live {
		c.recordMitigation(m, nil) // a later mitigation may have a mid that this one superseded
	}
	if len(wait) > 0 {
		c.out.wait(m.seq)
	}
	for _, w := range wait {
		c.out.reply(w.ticket, dots.Answer{Code: w.code, MID: m.key.MID, Lifetime: m.lifetime, Conflict: m.own})
	}
}

// refuseAll answers everybody who waits with an error, and its conflict in the client's own words.
func (c *Core) refuseAll(out *Ready, m *mitigation, err *dots.Error) {
	if err.Conflict.Set && len(m.wait) > 0 {
		told := *err
		told.Conflict = c.inside(m, err.Conflict)
		err = &told
	}
	m.answerBy = time.Time{}
	for _, w := range m.wait {
		out.refuse(w.ticket, err)
	}
	m.wait = nil
}

// supersede ends the own mitigations that m replaces or pushes out (RFC 9132, Section 4.4.1.3), once, and reports whether
// there was something to do.
func (c *Core) supersede(m *mitigation) bool {
	if len(m.grant.Supersedes)+len(m.grant.Deactivates) == 0 {
		return false
	}
	supersedes, deactivates := m.grant.Supersedes, m.grant.Deactivates
	m.grant.Supersedes, m.grant.Deactivates = nil, nil
	for _, mid := range supersedes {
		old := c.byClient[m.key.Client][mid]
		if old == nil || old == m || old.phase == ended || !old.grant.Expanded.Overlaps(m.grant.Expanded) {
			continue // gone, or by now its client asks for something else under this mid (draft04)
		}
		c.oust(old, m)
	}
	for _, mid := range deactivates {
		if old := c.byClient[m.key.Client][mid]; old != nil && old.phase == live && old.fired {
			c.deactivate(old, m)
		}
	}
	return true
}

// oust removes a mitigation at once, because a later one of its client has its targets. Its legs are withdrawn only
// once the leg of the later one stands: make before break. If it cannot be stored, it is undone only together with the later one.
func (c *Core) oust(old, by *mitigation) {
	c.out.note(slog.LevelInfo, "mitigation superseded", keyAttrs(old.key, slog.Uint64("by", uint64(by.key.MID)))...)
	c.accepted(old)
	c.expel(old)
	c.dropRecord(old)
	c.out.Changed = append(c.out.Changed, old.key)
	if by.born > c.durable {
		by.ousted = append(by.ousted, old)
	}
	old.heir = by
}
