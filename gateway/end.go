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
		c.dropAsking(a)
		c.deny(a, dots.Refuse(dots.CodeUnavailable, "withdrawn meanwhile"))
	}
	m := c.mits[ev.Key]
	if m != nil {
		if m.phase == live {
			c.out.note(slog.LevelInfo, "mitigation withdrawn", keyAttrs(ev.Key)...)
			c.frugal = true
			c.end(m)
		}
		c.out.wait(m.seq)
	}
	if id := (identity{kindMitigation, mitigationRecordKey(ev.Key)}); c.owed.set[id] {
		c.writeTruth(id) // whatever the store still holds of it must not come back
	}
	if b := c.cuids[nameOf(ev.Key.Client)]; b != nil {
		c.waitFor(b.gone)
	}
	c.waitFor(c.rewrote)
	c.out.reply(ev.Ticket, dots.Answer{Code: dots.CodeDeleted, MID: ev.Key.MID})
}

// end withdraws a live mitigation upstream and starts its active-but-terminating period: at a withdrawal and at the end
// of its lifetime alike (RFC 8612, SIG-007). It lasts no longer than legs cover it, be it for others.
func (c *Core) end(m *mitigation) {
	wasArmed := m.armed()
	c.accepted(m)
	c.retire(m, terminating)
	m.forced, m.sevenAt = 0, time.Time{}
	m.termUntil = c.now.Add(m.period)
	c.dropRecord(m)
	for _, k := range m.legs {
		if l := c.leg(k); !l.want.Request.OnSignalLoss {
			l.past = append(l.past, m)
			m.past = append(m.past, k)
		}
	}
	if len(m.past) == 0 || wasArmed {
		c.finish(m)
		return
	}
	c.changed(m)
	c.due.arm(m)
}

// finish ends the active-but-terminating period: status 6, for a while.
func (c *Core) finish(m *mitigation) {
	c.retire(m, ended)
	for _, k := range m.past {
		if l := c.leg(k); l != nil {
			l.past = slices.DeleteFunc(l.past, func(o *mitigation) bool { return o == m })
		}
	}
	m.past = nil
	m.termUntil = time.Time{}
	m.forgetAt = c.now.Add(endedVisible)
	c.changed(m)
	c.due.arm(m)
}

// withdrawnByUs ends a mitigation against its client's will: status 7, kept until it had time to see it. There is no
// active-but-terminating period then (RFC 9132, Section 4.4.1.3).
func (c *Core) withdrawnByUs(m *mitigation) {
	c.accepted(m)
	c.retire(m, ended)
	m.forced = dots.StatusWithdrawn
	m.sevenAt = time.Time{}
	m.forgetAt = c.now.Add(refusedVisible)
	c.dropRecord(m)
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
	if passed(m.calmAt, c.now) {
		c.calm(m)
	}
	c.resume(m)
	switch {
	case m.phase == live && passed(m.expires, c.now):
		c.out.note(slog.LevelInfo, "mitigation expired", keyAttrs(m.key)...)
		c.end(m)
	case m.phase == terminating && passed(m.termUntil, c.now):
		c.finish(m)
	case m.phase == ended && passed(m.forgetAt, c.now):
		c.forget(m)
		return
	}
	c.due.arm(m)
}

// forget lets an ended mitigation go; it is not gone before its end is durable.
func (c *Core) forget(m *mitigation) {
	if m.seq > c.durable {
		m.forgetAt = c.now.Add(owedGap)
		c.due.arm(m)
		return
	}
	c.expel(m)
	c.out.Changed = append(c.out.Changed, m.key)
}

// fire starts an armed mitigation. Own immediate ones that overlap give way to it (RFC 9132, Section 4.4.1.3); with another client's it
// shares legs. It is not undone if it cannot be stored, but stored again: it is asked for as soon as that succeeds.
func (c *Core) fire(m *mitigation) {
	c.out.note(slog.LevelWarn, "client lost, armed mitigation triggered", keyAttrs(m.key)...)
	for _, k := range c.ownOverlaps(m.key.Client, m.grant.Domain, m.grant.Expanded) {
		o := c.mits[k]
		if o == nil || o == m || o.phase != live || o.asked.OnSignalLoss {
			continue
		}
		o.heir = m
		c.withdrawnByUs(o)
	}
	// Only now: one of those that give way may have been about to push it back.
	m.fired, m.forced, m.sevens, m.sevenAt, m.heir = true, 0, 0, time.Time{}, nil
	m.start, m.firedAt = uint64(c.wallNow().Unix()), c.now
	c.tally(m)
	c.recordMitigation(m, nil)
	c.changed(m)
	c.due.arm(m)
	c.touch(m)
}

// deactivate pushes a triggered mitigation back to armed, because its client asked for an overlapping one: status 7 is
// told four times, then it is armed again (RFC 9132, Section 4.4.1.3). Its legs go once that of the other one stands.
func (c *Core) deactivate(m, by *mitigation) {
	c.out.note(slog.LevelInfo, "triggered mitigation deactivated", keyAttrs(m.key)...)
	if by.born > c.durable {
		by.pushed = append(by.pushed, pushed{m, m.start})
	}
	m.fired, m.start, m.heir = false, 0, by
	c.tally(m)
	c.touch(m)
	m.forced, m.sevens = dots.StatusWithdrawn, sevenTimes
	c.recordMitigation(m, nil)
	c.tellSeven(m)
	c.due.arm(m)
}

// pushed is a triggered mitigation as it was before it was deactivated.
type pushed struct {
	m     *mitigation
	start uint64
}

// undo triggers it again, because the request that pushed it back could not be stored.
func (p pushed) undo(c *Core) {
	if m := p.m; c.mits[m.key] == m && m.phase == live && !m.fired {
		m.fired, m.start, m.heir = true, p.start, nil
		m.forced, m.sevens, m.sevenAt = 0, 0, time.Time{}
		c.tally(m)
		c.unsettle(m)
		c.due.arm(m)
	}
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
