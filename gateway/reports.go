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

// compareKeys orders mitigations by client and mid.
func compareKeys(a, b dots.MitigationKey) int { return a.Compare(b) }

// inspect answers a client's GET: its own mitigations and nobody else's (RFC 9132, Section 4.4.2). What is durable is
// told at once; a change on its way to the disk is waited for.
func (c *Core) inspect(ev Inspect) {
	var reports []dots.Report
	of := c.byClient[ev.Client]
	if ev.MID.Set {
		if m := of[ev.MID.Value]; m != nil {
			reports = []dots.Report{c.inspectOne(m)}
		}
	} else {
		reports = make([]dots.Report, 0, len(of))
		for _, m := range of {
			reports = append(reports, c.inspectOne(m))
		}
	}
	if b := c.cuids[nameOf(ev.Client)]; b != nil && (len(reports) == 0 || !ev.MID.Set) {
		c.waitFor(b.gone)
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

func (c *Core) inspectOne(m *mitigation) dots.Report {
	c.waitFor(m.seq)
	return c.report(m)
}

// waitFor lets the step wait for a batch that is on its way still.
func (c *Core) waitFor(seq uint64) {
	if seq > c.durable {
		c.out.wait(seq)
	}
}

// mitigationsOf lists the mitigations of a client entry under all its cuids, sorted.
func (c *Core) mitigationsOf(client string) []*mitigation {
	var found []*mitigation
	for _, n := range c.cuidsOf[client] {
		for _, m := range c.byClient[n.of(client)] {
			found = append(found, m)
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
	} else {
		r.Conflict = c.inside(m, r.Conflict)
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
	legs := c.telling(m)
	var few [2]policy.Part // nearly always enough, and not on the heap: every report passes here
	parts := few[:0]
	for _, l := range legs {
		parts = append(parts, c.part(m, l))
	}
	if len(parts) > 1 {
		covers(parts, legs, m.grant.Outside.Expanded)
	}
	return policy.Merge(parts)
}

// telling lists the legs that tell of a mitigation: those that carry it, or, in the place of one that is not heard of yet, what still stands.
func (c *Core) telling(m *mitigation) []*leg {
	keys := m.legs
	switch {
	case m.phase != live:
		keys = m.past
	case len(keys) > 0:
	case m.heir != nil:
		keys = m.heir.legs
	}
	var legs []*leg
	for _, k := range keys {
		l := c.leg(k)
		if l == nil || m.fired && l.want.Request.OnSignalLoss {
			continue
		}
		for _, tells := range c.stillTelling(m, l) {
			if !slices.Contains(legs, tells) {
				legs = append(legs, tells)
			}
		}
	}
	return legs
}

// stillTelling is a leg, or those whose place it is to take while it is not heard of.
func (c *Core) stillTelling(m *mitigation, l *leg) []*leg {
	var legs []*leg
	if l.report.Status == 0 {
		for _, r := range c.legsOf(l.replaces) {
			if r.stood && r.carries(m) {
				legs = append(legs, r)
			}
		}
	}
	if len(legs) == 0 && (m.phase != live || len(m.legs) > 0) {
		return []*leg{l}
	}
	return legs
}

// part is a leg of a mitigation as Merge sees it.
func (c *Core) part(m *mitigation, l *leg) policy.Part {
	return policy.Part{
		Report:    dots.Maybe[dots.Report]{Value: l.report, Set: l.report.Status != 0},
		Shown:     m.shown,
		Transient: !l.current && !l.vanished || l.state == held && !l.vanished,
		Armed:     m.armed(),
		Uplink:    l.want.Key.Uplink,
		Own:       m.grant.Outside.Expanded,
	}
}

// changed tells the observers of a mitigation.
func (c *Core) changed(m *mitigation) {
	m.shown = c.shows(m)
	c.waitFor(m.seq)
	if n := len(c.out.Changed); n == 0 || c.out.Changed[n-1] != m.key {
		c.out.Changed = append(c.out.Changed, m.key)
	}
}

// shows is the status that a client is told of a mitigation now.
func (c *Core) shows(m *mitigation) dots.Status { return c.status(m, c.merged(m).Status) }

// reported takes in what an uplink says of our legs there.
func (c *Core) reported(ev Reported) {
	s := scope{ev.Uplink, ev.CUID}
	if c.counters[s] == nil { // not, or no longer, a cuid of ours
		return
	}
	for i := range ev.Reports {
		if l := c.leg(s.leg(ev.Reports[i].MID)); l != nil {
			c.legReported(l, ev.Reports[i])
		} else {
			c.stranger(s, ev.Reports[i])
		}
	}
	if !ev.Complete {
		return
	}
	c.counters[s].known = true
	seen := make(map[uint32]bool, len(ev.Reports))
	for i := range ev.Reports {
		seen[ev.Reports[i].MID] = true
	}
	c.missing(s, seen)
}

// legReported takes in a report on a leg of ours. What an uplink says of one that we replaced or withdrew is of our own making.
func (c *Core) legReported(l *leg, r dots.Report) {
	l.heard = c.now
	switch {
	case l.state == left || l.state == foreign:
		c.lastReport(l, r)
	case !l.current || len(l.members) == 0:
		l.report = r
	case r.Status == dots.StatusTerminated && l.state == placed:
		c.vanish(l)
	case r.Status == dots.StatusWithdrawn && c.meant(l):
		c.uplinkWithdrew(l, r)
	default:
		c.newReport(l, r)
	}
}

// lastReport takes in a report on a leg that is not wanted: it ends sooner or later.
func (c *Core) lastReport(l *leg, r dots.Report) {
	if r.Status == dots.StatusTerminated || r.Status == dots.StatusWithdrawn {
		c.legGone(l)
		return
	}
	l.report = r
	if l.state == foreign {
		l.expires = c.foreignUntil(r)
		c.due.arm(l)
	}
}

// newReport takes in a report on a leg that is wanted, and tells the observers what that changes.
func (c *Core) newReport(l *leg, r dots.Report) {
	before := make([]dots.Status, len(l.members))
	for i, m := range l.members {
		before[i] = c.shows(m)
	}
	same := l.report.Counters == r.Counters && equalConflicts(l.report.Conflict, r.Conflict)
	l.report = r
	l.mind(r.Conflict, c.now)
	if r.Status == dots.StatusWithdrawn && !l.want.Request.OnSignalLoss && l.state == placed && l.notBefore.After(c.now) {
		l.state, l.vanished = held, true // triggered again when the retry-timer ends
		l.refreshAt, l.retryAt = time.Time{}, l.notBefore
		c.setStood(l, false)
		c.due.arm(l)
	}
	for i, m := range l.members {
		c.noteSpent(m, l)
		c.gauge(m)
		now := c.shows(m)
		if now != before[i] {
			c.out.note(slog.LevelInfo, "mitigation status", keyAttrs(m.key, slog.String("status", now.String()), slog.String("was", before[i].String()))...)
		}
		if now != before[i] || !same {
			c.changed(m)
		}
	}
}

// noteSpent notes an uplink that cannot cope with a mitigation: another one may be asked.
func (c *Core) noteSpent(m *mitigation, l *leg) {
	uplink := l.want.Key.Uplink
	if l.report.Status == dots.StatusExceeded && m.phase == live && c.policy.Serial(m.grant.Domain) && !c.policy.Local(uplink) && !slices.Contains(m.spent, uplink) {
		m.spent = withWord(m.spent, uplink)
		c.touch(m)
	}
}

// equalConflicts reports whether two conflicts tell a client the same.
func equalConflicts(a, b dots.Maybe[dots.Conflict]) bool {
	x, y := a.Value, b.Value
	return a.Set == b.Set && (!a.Set || sameConflict(a, y) && x.RetryTimer == y.RetryTimer && slices.Equal(x.ACLs, y.ACLs))
}

// foreignUntil is when an unknown mitigation at an uplink ends by what the uplink says.
func (c *Core) foreignUntil(r dots.Report) time.Time {
	if r.Lifetime > 0 {
		return c.now.Add(time.Duration(r.Lifetime) * time.Second)
	}
	return c.now.Add(foreignKept)
}

// maxForeign bounds the unknown mitigations that are kept per cuid of ours.
const maxForeign = 4096

// stranger adopts a leg that stands under our cuid though we do not know it: after a lost store, say. It is left alone until
// its lifetime ends, and no mid of ours will be lower.
func (c *Core) stranger(s scope, r dots.Report) {
	n := c.counterOf(s)
	if n.seen(r.MID, c.cfg.MIDBlock) {
		c.recordCounter(s, n)
	}
	switch h := c.legs[s]; {
	case r.Status == dots.StatusClientWithdrawn, r.Status == dots.StatusTerminated, r.Status == dots.StatusWithdrawn:
		return
	case h != nil && h.foreign >= maxForeign:
		return
	}
	l := &leg{state: foreign, stood: true, report: r, heard: c.now, expires: c.foreignUntil(r)}
	l.want = dots.Leg{Key: s.leg(r.MID), Revision: 1}
	c.keepLeg(l)
	c.due.arm(l)
	c.out.note(slog.LevelError, "unknown mitigation stands at the uplink under our cuid", legAttrs(l.want.Key, slog.String("status", r.Status.String()))...)
}

// missing deals with legs that the uplink's whole list does not name. A list may be older than an answer that
// overtook it, so a leg is missed only a while after it was placed, and then asked for under its own mid first: the uplink's answer tells. Of what
// is over maxDoubted the next list reminds.
func (c *Core) missing(s scope, seen map[uint32]bool) {
	doubted := 0
	for _, l := range c.sortedScope(s) {
		if seen[l.want.Key.MID] {
			continue
		}
		switch l.state {
		case left, foreign:
			c.legGone(l)
		case placed:
			if l.current && c.doubtful(l) && doubted < maxDoubted {
				c.doubt(l)
				doubted++
			}
		}
	}
}

// sortedScope lists the legs of a scope by mid.
func (c *Core) sortedScope(s scope) []*leg {
	h := c.legs[s]
	if h == nil {
		return nil
	}
	of := make([]*leg, 0, len(h.legs))
	for _, l := range h.legs {
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
