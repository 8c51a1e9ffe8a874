package gateway

import (
	"log/slog"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// legRefused does what the fan-back table says of an uplink's refusal. Nobody's protection ends because of what another one asked for: of a leg that
// carries several, those are concerned for whose sake it was asked.
func (c *Core) legRefused(l *leg, a dots.LegAnswer) {
	if !l.current {
		c.replacedRefused(l, a)
		return
	}
	if c.deserted(l) {
		return
	}
	if a.Conflict.Set && a.Conflict.Value.Cause == dots.CauseCUIDCollision {
		c.setStood(l, false) // the cuid is another's, so this leg cannot stand under it
	}
	if c.tooLow(l, a) {
		c.climb(l)
		return
	}
	if c.gone(l, a) {
		c.vanish(l)
		return
	}
	l.mind(a.Conflict, c.now)
	accused := c.accused(l, a)
	out := c.fanBack(l, a, accused[0])
	c.out.note(outcomeLevel(out), "uplink refused a leg", legAttrs(l.want.Key, slog.String("code", a.Code.String()),
		slog.String("text", a.Text), slog.String("client", accused[0].key.Client.Name), slog.Uint64("mid", uint64(accused[0].key.MID)))...)
	switch out.Action {
	case policy.Accept:
		c.stands(l, a)
	case policy.Recreate:
		if a.Code == dots.CodeNotFound {
			c.vanish(l)
		} else {
			c.recreate(l)
		}
	case policy.NewCUID:
		c.collided(l)
	default:
		c.convict(l, a, accused)
	}
}

// deserted drops those from a refused leg that ended while it waits to be arranged anew, and reports whether nobody is left. Then it goes.
func (c *Core) deserted(l *leg) bool {
	gone := slices.DeleteFunc(slices.Clone(l.members), func(m *mitigation) bool { return m.phase == live && c.mits[m.key] == m })
	if len(gone) > 0 {
		for _, m := range gone {
			m.without(l.want.Key)
		}
		l.members, l.newcomers = notIn(l.members, gone), notIn(l.newcomers, gone)
		c.loosen(l)
	}
	switch {
	case len(l.members) > 0:
		return false
	case !l.stood:
		c.takeBack(l, true)
	default:
		c.loosen(l)
	}
	return true
}

// replacedRefused takes in a refusal of a leg whose place another one takes: if it stood, it stands until that one does. A conflict with that
// one says that it does (RFC 9132, Section 4.4.1.3).
func (c *Core) replacedRefused(l *leg, a dots.LegAnswer) {
	by := c.replacer(l)
	l.done = l.want.Revision
	switch conflict := a.Conflict.Value; {
	case by != nil && conflict.Cause == dots.CauseOverlappingTargets && conflict.MID == dots.Some(by.want.Key.MID):
		if by.state == placing {
			c.stands(by, dots.LegAnswer{Key: by.want.Key})
		}
	case !l.stood:
		c.legGone(l)
	}
}

// accused lists those for whose sake a leg was asked: its newcomers, or, where nobody is new, all its members. Where the request went in a
// circle, it is those who have come round most often (RFC 8768, Section 3).
func (c *Core) accused(l *leg, a dots.LegAnswer) []*mitigation {
	accused := l.newcomers
	if len(accused) == 0 {
		accused = l.members
	}
	accused = slices.SortedFunc(slices.Values(accused), compareMitigations)
	if a.Code != dots.CodeLoop {
		return accused
	}
	least := slices.MinFunc(accused, func(a, b *mitigation) int { return int(a.hopLimit) - int(b.hopLimit) }).hopLimit
	return slices.DeleteFunc(accused, func(m *mitigation) bool { return m.hopLimit > least })
}

// fanBack says what an uplink's refusal of a leg means to one of its members.
func (c *Core) fanBack(l *leg, a dots.LegAnswer, m *mitigation) policy.Outcome {
	return policy.FanBack(refusalOf(a), policy.Situation{
		Request: l.want.Request, Own: m.grant.Outside.Expanded, NodeID: c.cfg.NodeID, CUIDMode: c.policy.CUIDMode(l.want.Key.Uplink),
		Refresh: l.stood, Late: len(m.wait) == 0, CUIDInUse: c.legs[scopeOf(l.want.Key)].stood > 0, Newer: c.newerThan(l),
		HideTopology: c.cfg.HideTopology,
	})
}

// convict lets those bear a refusal who are accused, and keeps the others where they were.
func (c *Core) convict(l *leg, a dots.LegAnswer, accused []*mitigation) {
	others := notIn(l.members, accused)
	switch {
	case !l.stood && len(l.newcomers) == 0 && len(c.standFor(c.legsOf(l.replaces))) > 0:
		c.tryLater(l, c.fanBack(l, a, accused[0]))
	case len(others) == 0 && (len(accused) == 1 || len(l.newcomers) == 0):
		for _, m := range l.concerned() {
			c.bear(m, l, c.fanBack(l, a, m))
		}
	case len(accused) == 1 || a.Code == dots.CodeLoop || a.Redirected: // what sends elsewhere is nobody's fault
		c.banish(l, a, accused)
	default:
		c.tryEach(l, accused)
	}
}

// concerned lists those of a leg's members whom a refusal concerns where nobody is new: of a leg that stands those who wait, if any do, because for
// their sake it was asked for again. What the others have was not refused.
func (l *leg) concerned() []*mitigation {
	waiting := slices.DeleteFunc(slices.Clone(l.members), func(m *mitigation) bool { return len(m.wait) == 0 })
	if l.stood && len(waiting) > 0 {
		return waiting
	}
	return slices.Clone(l.members)
}

// banish lets those that are accused bear a refusal without the others.
func (c *Core) banish(l *leg, a dots.LegAnswer, accused []*mitigation) {
	outs := make([]policy.Outcome, len(accused))
	for i, m := range accused {
		outs[i] = c.fanBack(l, a, m)
		if a.Code == dots.CodeLoop {
			c.cameRound(m)
		}
	}
	c.goBack(l, accused)
	for i, m := range accused {
		c.bearAlone(m, l.want.Key.Uplink, outs[i])
	}
}

// tryEach lets several newcomers be tried one after the other, so that the one that is to blame is found.
func (c *Core) tryEach(l *leg, accused []*mitigation) {
	c.goBack(l, accused)
	for i, m := range accused {
		c.pause(m, l.want.Key.Uplink, time.Duration(i)*(time.Second<<min(m.tries, 5)))
		m.tries++
	}
}

// legsOf finds legs by their keys.
func (c *Core) legsOf(keys []dots.LegKey) []*leg {
	var found []*leg
	for _, k := range keys {
		if l := c.leg(k); l != nil {
			found = append(found, l)
		}
	}
	return found
}

// tryLater goes back to what stood when a change is refused that is for nobody's sake, such as that a leg gets smaller; it is tried again later, and until then
// what comes back stays as it is: at once it would be asked to get smaller again.
func (c *Core) tryLater(l *leg, out policy.Outcome) {
	until := c.now.Add(max(out.RetryAfter, policy.DefaultRetryAfter))
	for _, m := range l.members {
		m.settle = until
		c.due.arm(m)
	}
	for _, r := range c.legsOf(l.replaces) {
		r.asIs = latest(r.asIs, until)
	}
	c.takeBack(l, true)
}

// goBack takes those that are accused out of a refused leg: a new one is given up, and what stood before is in force again.
func (c *Core) goBack(l *leg, accused []*mitigation) {
	if !l.stood {
		c.takeBack(l, true)
		return
	}
	for _, m := range accused {
		m.without(l.want.Key)
	}
	l.members, l.newcomers = notIn(l.members, accused), notIn(l.newcomers, accused)
	if len(l.members) == 0 {
		c.loosen(l)
		return
	}
	c.tell(l)
	c.loosen(l) // the others may want less
	for _, m := range l.members {
		c.touch(m)
	}
}

// takeBack removes a leg that does not stand, and makes those current again whose place it was to take. asked: the uplink heard of it.
func (c *Core) takeBack(l *leg, asked bool) {
	by, members := c.replacer(l), l.members
	replaced := c.legsOf(c.letGo(l))
	c.delist(l)
	if by != nil {
		c.takeOver(by, legKeys(replaced))
	}
	if asked {
		c.legGone(l)
	} else { // what the store holds of it is owed to it
		c.dropLeg(l)
		c.out.Forgets = append(c.out.Forgets, l.want.Key)
	}
	if by != nil {
		return
	}
	slices.SortFunc(replaced, func(a, b *leg) int { return compareLegsOf(b, a) })
	for _, r := range replaced {
		if !r.want.Withdraw {
			members = c.comeBack(r, members)
		}
	}
	for _, m := range members {
		c.unsettle(m)
	}
}

// comeBack makes a leg current again whose place nothing takes any more. Whether it stands need not be known: what was not answered is asked for again, and
// deletes what is to give way to it. Where a newer one is in force again, which may have deleted it, it gives way to that one. It returns those of
// the members, and its own, whose legs are to be found anew.
func (c *Core) comeBack(l *leg, members []*mitigation) []*mitigation {
	over := c.legsOf(c.ground.Overlaps(l.plot().name(), l.part.Expanded))
	if len(over) == 0 {
		c.revive(l)
		return notIn(members, l.members)
	}
	if i := slices.IndexFunc(over, func(o *leg) bool { return o.state != placed }); i >= 0 {
		c.takeOver(over[i], []dots.LegKey{l.want.Key})
	} else {
		l.renew = true
		c.loosen(l)
	}
	return slices.Concat(members, l.members)
}

// revive makes a leg current again whose place nothing takes any more.
func (c *Core) revive(l *leg) {
	p := l.plot()
	before := len(l.members)
	l.members = slices.DeleteFunc(slices.Clone(l.members), func(m *mitigation) bool {
		_, lingers := m.shares[p]
		return c.mits[m.key] != m || m.phase == ended || m.phase == terminating && !lingers
	})
	l.newcomers = in(l.newcomers, l.members)
	c.enlist(l)
	c.speakUp(l)
	if len(l.members) < before { // who is gone asks for nothing any more: the others may want less
		c.loosen(l)
	}
	if l.state == held && l.retryAt.IsZero() {
		l.retryAt = c.now.Add(minRefresh)
	}
	c.due.arm(l)
	c.revived = append(c.revived, l)
	for _, m := range l.members {
		c.touch(m)
	}
}

// bear lets one whose leg is its own, or stood before, bear a refusal.
func (c *Core) bear(m *mitigation, l *leg, out policy.Outcome) {
	c.stillDoubted(l, out)
	if out.Action == policy.Hold || out.Action == policy.Alert {
		c.holdLeg(m, l, out)
		c.sentAway(m, l.want.Key.Uplink, out)
		return
	}
	c.giveUp(m, l, out)
}

// bearAlone lets a newcomer bear a refusal by itself, without a leg: it is refused, ended, or tried again when its time has come.
func (c *Core) bearAlone(m *mitigation, uplink string, out policy.Outcome) {
	if out.ToClient != nil && !m.fresh {
		c.refuseAll(c.out, m, out.ToClient)
	}
	switch {
	case out.ToClient != nil && m.fresh && out.Action != policy.Refuse:
		c.refuseNew(m, out.ToClient)
	case out.Action == policy.Hold || out.Action == policy.Alert:
		c.pause(m, uplink, max(out.RetryAfter, minRefresh))
		c.sentAway(m, uplink, out)
	default:
		c.refusedAt(m, uplink, out)
	}
}

// holdLeg keeps the mitigation and asks again later. Who waits is told at once, if there is something to tell: a request that
// was never accepted is refused then, and gone.
func (c *Core) holdLeg(m *mitigation, l *leg, out policy.Outcome) {
	if out.ToClient != nil && m.fresh {
		if !l.stood {
			c.takeBack(l, true)
		}
		c.refuseNew(m, out.ToClient)
		return
	}
	if out.ToClient != nil {
		c.refuseAll(c.out, m, out.ToClient)
	}
	c.observe(l.members, func() {
		l.state, l.refreshAt = held, time.Time{}
		l.retryAt = c.now.Add(max(out.RetryAfter, minRefresh))
	}, false)
	c.due.arm(l)
	c.due.arm(m)
}

// stillDoubted lets a leg be asked for again later where a list did not name it, and the refusal, which somebody else bears, does not tell whether it stands.
func (c *Core) stillDoubted(l *leg, out policy.Outcome) {
	if l.doubted {
		l.retryAt = c.now.Add(max(out.RetryAfter, minRefresh))
		c.due.arm(l)
	}
}

// giveUp ends a mitigation that the uplink refuses: with the refusal where the client still waits, else by status 7, kept
// until its client had time to see it. Of a refused refresh what was granted before stands until it expires, if it ever did.
func (c *Core) giveUp(m *mitigation, l *leg, out policy.Outcome) {
	switch {
	case !m.fresh && len(m.wait) > 0 && out.RetryAfter > 0:
		c.holdLeg(m, l, out)
	case !m.fresh && len(m.wait) > 0 && l.stood:
		l.done = l.want.Revision
		c.refuseAll(c.out, m, out.ToClient)
		c.due.arm(m)
	default:
		if !l.stood {
			c.takeBack(l, true)
		}
		c.refusedAt(m, l.want.Key.Uplink, out)
	}
}

// refusedAt notes that an uplink refuses a mitigation for good: all its parts there have one fate. It goes on where another uplink carries it, or is to.
func (c *Core) refusedAt(m *mitigation, uplink string, out policy.Outcome) {
	if m.phase != live || c.mits[m.key] != m {
		return
	}
	m.refused = withWord(m.refused, uplink)
	switch {
	case c.elsewhere(m):
		c.out.note(slog.LevelInfo, "refused at one uplink, going on at another", keyAttrs(m.key, slog.String("uplink", uplink))...)
		c.recordMitigation(m, nil)
		c.due.arm(m)
		c.unsettle(m)
	case m.fresh:
		c.refuseNew(m, out.ToClient)
	default:
		if out.ToClient != nil && len(m.wait) > 0 { // with a refresh of what never stood
			c.refuseAll(c.out, m, out.ToClient)
		}
		if out.ToClient != nil && out.ToClient.Conflict.Set {
			m.own = c.inside(m, out.ToClient.Conflict)
		}
		c.withdrawnByUs(m)
	}
}

// refuseNew removes a mitigation that was never accepted; what it would have superseded stays.
func (c *Core) refuseNew(m *mitigation, err *dots.Error) {
	c.refuseAll(c.out, m, err)
	c.expel(m)
	c.dropRecord(m)
	for _, o := range c.mitigationsOf(m.key.Client.Name) {
		if o.heir == m {
			o.heir = nil
			c.unsettle(o)
		}
	}
	if old := m.prior; old != nil {
		old.heir = nil
		c.adopt(old, nil)
		c.recordMitigation(old, nil)
		c.unsettle(old)
	}
	c.out.wait(c.pending())
}

// inside puts a conflict of an uplink into the client's own words: what was asked for in translated addresses is told in its own.
func (c *Core) inside(m *mitigation, conflict dots.Maybe[dots.Conflict]) dots.Maybe[dots.Conflict] {
	if conflict.Set && !conflict.Value.Scope.Empty() {
		conflict.Value.Scope = c.policy.Inside(m.grant, conflict.Value.Scope)
	}
	return conflict
}
