package gateway

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// compareKeys orders mitigations by client, cuid and mid.
func compareKeys(a, b dots.MitigationKey) int {
	return cmp.Or(strings.Compare(a.Client.Name, b.Client.Name), strings.Compare(a.Client.CUID, b.Client.CUID), cmp.Compare(a.MID, b.MID))
}

// inspect answers a client's GET: its own mitigations and nobody else's (RFC 9132, Section 4.4.2). What is durable is
// told at once; a change on its way to the disk is waited for.
func (c *Core) inspect(ev Inspect) {
	var reports []dots.Report
	for _, m := range c.byClient[ev.Client] {
		if ev.MID.Set && m.key.MID != ev.MID.Value {
			continue
		}
		reports = append(reports, c.report(m))
		if m.seq > c.durable {
			c.out.wait(m.seq)
		}
	}
	if len(reports) == 0 {
		c.out.refuse(ev.Ticket, dots.Refuse(dots.CodeNotFound, "no such mitigation"))
		return
	}
	slices.SortFunc(reports, func(a, b dots.Report) int { return cmp.Compare(a.MID, b.MID) })
	if ev.Ticket != 0 {
		c.out.Replies = append(c.out.Replies, Reply{Ticket: ev.Ticket, Reports: reports})
	}
}

// mitigationsOf lists the mitigations of a client entry under all its cuids, sorted.
func (c *Core) mitigationsOf(client string) []*mitigation {
	var found []*mitigation
	for _, of := range c.byClient {
		for _, m := range of {
			if m.key.Client.Name == client {
				found = append(found, m)
			}
		}
	}
	slices.SortFunc(found, func(a, b *mitigation) int { return compareKeys(a.key, b.key) })
	return found
}

// report is what a client is told of a mitigation: its own words back, and what the legs say.
func (c *Core) report(m *mitigation) dots.Report {
	r := c.merged(m)
	r.MID = m.key.MID
	r.Target = m.asked.Target
	r.OnSignalLoss = m.asked.OnSignalLoss
	r.ACLs, r.Optional = nil, nil
	r.Lifetime = m.remaining(c.now)
	r.Status = c.status(m, r.Status)
	if !r.Start.Set || m.start == 0 {
		r.Start = dots.Maybe[uint64]{Value: m.start, Set: m.start != 0}
	}
	if !r.Status.Active() {
		r.Start = dots.Maybe[uint64]{}
	}
	if m.own.Set {
		r.Conflict = m.own
	}
	return r
}

// status is what is shown, given what the legs say together.
func (c *Core) status(m *mitigation, legs dots.Status) dots.Status {
	switch {
	case m.forced != 0:
		return m.forced
	case m.phase == terminating:
		return dots.StatusClientWithdrawn
	case m.phase == ended:
		return dots.StatusTerminated
	case m.armed():
		return dots.StatusSignalLossArmed
	case legs == 0:
		return dots.StatusInProgress
	}
	return legs
}

// merged combines what the uplinks say of a mitigation's legs. The armed copy of a triggered one is left out: that the
// uplink deactivates it is of our own making.
func (c *Core) merged(m *mitigation) dots.Report {
	parts := make([]policy.Part, 0, len(m.legs))
	for _, k := range m.legs {
		l := c.leg(k)
		if l == nil || m.fired && k == m.mirror {
			continue
		}
		parts = append(parts, policy.Part{
			Report:    dots.Maybe[dots.Report]{Value: l.report, Set: l.report.Status != 0},
			Shown:     m.shown,
			Transient: l.state == leaving || l.state == left || l.state == held,
			Armed:     m.armed(),
			Own:       m.grant.Expanded,
		})
	}
	return policy.Merge(parts)
}

// changed tells the observers of a mitigation.
func (c *Core) changed(m *mitigation) {
	m.shown = c.status(m, c.merged(m).Status)
	c.out.wait(m.seqIfPending(c))
	c.out.Changed = append(c.out.Changed, m.key)
}

// seqIfPending is the mitigation's newest batch while it is not durable yet.
func (m *mitigation) seqIfPending(c *Core) uint64 {
	if m.seq > c.durable {
		return m.seq
	}
	return 0
}

// reported takes in what an uplink says of our legs there.
func (c *Core) reported(ev Reported) {
	s := scope{ev.Uplink, ev.CUID}
	seen := make(map[uint32]bool, len(ev.Reports))
	for i := range ev.Reports {
		r := ev.Reports[i]
		seen[r.MID] = true
		if l := c.legs[s][r.MID]; l != nil {
			c.legReported(l, r)
		} else {
			c.stranger(s, r)
		}
	}
	if ev.Complete {
		c.missing(s, seen)
	}
}

// legReported takes in a report on a leg of ours.
func (c *Core) legReported(l *leg, r dots.Report) {
	over := r.Status == dots.StatusTerminated
	m := c.carried(l)
	switch {
	case (l.state == left || l.state == foreign) && (over || r.Status == dots.StatusWithdrawn):
		c.legGone(l)
		return
	case m == nil || l.state == leaving || l.state == left:
		l.report = r
		return
	case over && m.phase == live && l.state == placed:
		c.recreate(m, l)
		return
	}
	before := c.report(m)
	l.report = r
	after := c.report(m)
	if before.Status != after.Status || before.Conflict.Set != after.Conflict.Set || before.Counters != after.Counters {
		if before.Status != after.Status {
			c.out.note(slog.LevelInfo, "mitigation status", keyAttrs(m.key, slog.String("status", after.Status.String()), slog.String("was", before.Status.String()))...)
		}
		c.changed(m)
	}
}

// stranger adopts a leg that stands under our cuid though we do not know it: after a lost store, say. It is left alone until its
// lifetime ends, and no mid of ours will be lower.
func (c *Core) stranger(s scope, r dots.Report) {
	n := c.counters[s]
	if n == nil {
		n = &counter{next: 1, reserved: 1}
		c.counters[s] = n
	}
	if n.seen(r.MID, c.cfg.MIDBlock) {
		c.recordCounter(s, n)
	}
	if !r.Status.Active() || r.Status == dots.StatusClientWithdrawn {
		return
	}
	l := &leg{state: foreign, report: r}
	l.want = dots.Leg{Key: s.leg(r.MID), Revision: 1}
	l.expires = c.now.Add(24 * time.Hour)
	if r.Lifetime > 0 {
		l.expires = c.now.Add(time.Duration(r.Lifetime) * time.Second)
	}
	c.keepLeg(l)
	c.due.arm(l)
	c.out.note(slog.LevelError, "unknown mitigation stands at the uplink under our cuid", legAttrs(l.want.Key, slog.String("status", r.Status.String()))...)
}

// missing deals with legs that the uplink's whole list does not name. A list may be older than an answer that
// overtook it, so a leg is missed only a while after it was placed.
func (c *Core) missing(s scope, seen map[uint32]bool) {
	for _, l := range c.sortedScope(s) {
		if seen[l.want.Key.MID] {
			continue
		}
		switch l.state {
		case left, foreign:
			c.legGone(l)
		case placed:
			if m := c.carried(l); m != nil && m.phase == live && c.now.Sub(l.placedAt) >= endedVisible {
				c.recreate(m, l)
			}
		}
	}
}

// sortedScope lists the legs of a scope by mid.
func (c *Core) sortedScope(s scope) []*leg {
	of := make([]*leg, 0, len(c.legs[s]))
	for _, l := range c.legs[s] {
		of = append(of, l)
	}
	slices.SortFunc(of, func(a, b *leg) int { return cmp.Compare(a.want.Key.MID, b.want.Key.MID) })
	return of
}

// sortedLegs lists all legs by uplink, cuid and mid.
func (c *Core) sortedLegs() []*leg {
	all := make([]*leg, 0, c.legCount)
	for s := range c.legs {
		all = append(all, c.sortedScope(s)...)
	}
	slices.SortStableFunc(all, func(a, b *leg) int {
		x, y := a.want.Key, b.want.Key
		return cmp.Or(strings.Compare(x.Uplink, y.Uplink), strings.Compare(x.CUID, y.CUID), cmp.Compare(x.MID, y.MID))
	})
	return all
}
