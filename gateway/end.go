package gateway

import (
	"log/slog"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// withdraw ends a mitigation for its client. It is answered at once, whatever the uplink does (RFC 9132, Section 4.4.4).
func (c *Core) withdraw(ev Withdraw) {
	if a := c.asks[ev.Key]; a != nil {
		delete(c.asks, ev.Key)
		a.until = time.Time{}
		c.deny(ev.Key, dots.Refuse(dots.CodeUnavailable, "withdrawn meanwhile"), a.tickets)
	}
	m := c.mits[ev.Key]
	if m != nil {
		if m.phase == live {
			c.out.note(slog.LevelInfo, "mitigation withdrawn", keyAttrs(ev.Key)...)
			c.end(m)
		}
		c.out.wait(m.seq)
	}
	c.out.reply(ev.Ticket, dots.Answer{Code: dots.CodeDeleted, MID: ev.Key.MID})
}

// end withdraws a live mitigation upstream and starts its active-but-terminating period: at a withdrawal and at the end
// of its lifetime alike (RFC 8612, SIG-007).
func (c *Core) end(m *mitigation) {
	wasArmed := m.armed()
	c.accepted(m)
	c.retire(m, terminating)
	m.seq = c.pending()
	m.sevenAt = time.Time{}
	m.termUntil = c.now.Add(m.period)
	c.dropRecord(m)
	legs := slices.Clone(m.legs)
	for _, k := range legs {
		c.leave(c.leg(k))
	}
	if len(legs) == 0 || wasArmed {
		c.finish(m)
		return
	}
	c.changed(m)
	c.due.arm(m)
}

// finish ends the active-but-terminating period: status 6, for a while.
func (c *Core) finish(m *mitigation) {
	c.retire(m, ended)
	m.termUntil = time.Time{}
	m.forgetAt = c.now.Add(endedVisible)
	c.changed(m)
	c.due.arm(m)
}

// withdrawnByUs ends a mitigation against its client's will: status 7, kept until it had time to see it.
func (c *Core) withdrawnByUs(m *mitigation) {
	c.accepted(m)
	c.retire(m, ended)
	m.forced = dots.StatusWithdrawn
	m.sevenAt = time.Time{}
	m.forgetAt = c.now.Add(refusedVisible)
	m.seq = c.pending()
	c.dropRecord(m)
	for _, k := range slices.Clone(m.legs) {
		if l := c.leg(k); l != nil {
			c.leaveOrForget(l)
		}
	}
	c.changed(m)
	c.due.arm(m)
}

// mitigationDue does what is due for a mitigation.
func (c *Core) mitigationDue(m *mitigation) {
	if c.mits[m.key] != m {
		return
	}
	if passed(m.answerBy, c.now) {
		c.accepted(m)
	}
	if passed(m.sevenAt, c.now) {
		c.tellSeven(m)
	}
	switch {
	case m.phase == live && passed(m.expires, c.now):
		c.out.note(slog.LevelInfo, "mitigation expired", keyAttrs(m.key)...)
		c.end(m)
	case m.phase == terminating && passed(m.termUntil, c.now):
		c.finish(m)
	case m.phase == ended && passed(m.forgetAt, c.now):
		c.expel(m)
		c.out.Changed = append(c.out.Changed, m.key)
	}
	c.due.arm(m)
}

// clientLost triggers what a client armed for the loss of its sessions (RFC 9132, Section 4.7): an immediate leg under
// a new mid, because the uplink hears our heartbeats and will not trigger its own copy.
func (c *Core) clientLost(client string) {
	for _, m := range c.mitigationsOf(client) {
		if m.armed() {
			c.fire(m)
		}
	}
}

// fire starts an armed mitigation. Own immediate ones that overlap give way to it (RFC 9132, Section 4.4.1.3).
func (c *Core) fire(m *mitigation) {
	c.out.note(slog.LevelWarn, "client lost, armed mitigation triggered", keyAttrs(m.key)...)
	before := *m
	m.fired, m.forced, m.sevens, m.sevenAt = true, 0, 0, time.Time{}
	m.start = uint64(c.now.Unix())
	m.seq = c.pending()
	var replaced []dots.LegKey
	for _, k := range c.index.Overlaps(m.grant.Domain, m.grant.Expanded) {
		o := c.mits[k]
		if o == nil || o == m || o.phase != live || o.key.Client != m.key.Client || o.asked.OnSignalLoss {
			continue
		}
		replaced = append(replaced, o.legs...)
		o.legs = nil
		c.withdrawnByUs(o)
	}
	mirror := m.mirror
	for _, p := range c.policy.Route(m.grant) {
		c.addLeg(m, c.scopeFor(p), false, replaced)
	}
	m.mirror = mirror
	c.recordMitigation(m, func(*Ready) { m.fired, m.start, m.legs = before.fired, before.start, before.legs })
	c.changed(m)
	c.due.arm(m)
}

// deactivate pushes a triggered mitigation back to armed, because its client asked for an overlapping one: status 7 is
// told four times, then it is armed again (RFC 9132, Section 4.4.1.3).
func (c *Core) deactivate(m *mitigation) {
	c.out.note(slog.LevelInfo, "triggered mitigation deactivated", keyAttrs(m.key)...)
	m.fired = false
	m.start = 0
	kept := m.legs[:0:0]
	for _, k := range m.legs {
		if k == m.mirror {
			kept = append(kept, k)
			continue
		}
		c.leave(c.leg(k))
	}
	m.legs = kept
	m.forced, m.sevens = dots.StatusWithdrawn, sevenTimes
	m.seq = c.pending()
	c.recordMitigation(m, nil)
	c.tellSeven(m)
	c.due.arm(m)
}

// tellSeven tells status 7 once more, or arms the mitigation again.
func (c *Core) tellSeven(m *mitigation) {
	m.sevenAt = time.Time{}
	if m.sevens == 0 {
		m.forced = 0
	} else {
		m.sevens--
		m.sevenAt = c.now.Add(sevenEvery)
	}
	c.changed(m)
}
