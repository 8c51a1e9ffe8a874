package gateway

import (
	"log/slog"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// answered takes an uplink's answer in. An answer to an older revision than the wanted one changes nothing: the
// uplink's session goes on with the newer.
func (c *Core) answered(a dots.LegAnswer) {
	l := c.leg(a.Key)
	if l == nil || l.state == left || l.state == foreign || a.Revision != l.want.Revision || a.Withdraw != l.want.Withdraw {
		return
	}
	switch {
	case a.Withdraw:
		c.withdrawAnswered(l, a)
	case a.Code.Success():
		c.stands(l, a)
	default:
		c.legRefused(l, a)
	}
}

// withdrawAnswered ends a leg whose DELETE was taken; the uplink may go on for a while and says so by status 5
// (RFC 9132, Section 4.4.4).
func (c *Core) withdrawAnswered(l *leg, a dots.LegAnswer) {
	if a.Code != dots.CodeDeleted && a.Code != dots.CodeNotFound {
		c.out.note(slog.LevelWarn, "uplink refused a withdrawal, trying again", legAttrs(l.want.Key, slog.String("code", a.Code.String()))...)
		l.retryAt = c.now.Add(max(a.MaxAge, min(retryWithdraw<<min(l.denied, 6), withdrawAtMost)))
		l.denied++
		c.due.arm(l)
		return
	}
	l.past = slices.DeleteFunc(l.past, func(m *mitigation) bool { return c.mits[m.key] != m || m.phase != terminating })
	if a.Code == dots.CodeNotFound || len(l.past) == 0 {
		c.legGone(l)
		return
	}
	l.state, l.expires = left, time.Time{}
	for _, m := range l.past {
		l.expires = latest(l.expires, m.termUntil)
	}
	c.due.arm(l)
	c.deleteLeg(l.want.Key)
}

// stands notes that a leg is in force, and withdraws what it replaced. Who waits for it is answered at the end of the step.
func (c *Core) stands(l *leg, a dots.LegAnswer) {
	again := l.certain() && len(l.newcomers) == 0
	if l.state != placed {
		l.state = placed
		l.placedAt = c.now
	}
	l.done, l.longest, l.newcomers = l.want.Revision, l.want.Request.Lifetime.Or(dots.DefaultLifetime), nil
	l.retryAt, l.vanished, l.doubted = time.Time{}, false, false
	c.setStood(l, true)
	if l.want.Efficacy {
		l.want.Efficacy, l.want.Request.Attack = false, 0
		c.out.want(l.want) // the same revision: nothing is sent, but a reconnect must not repeat the efficacy
	}
	c.planRefresh(l, a.Lifetime)
	if l.judged {
		c.tellSoon(l)
	}
	c.leaveAll(c.letGo(l))
	if !l.current {
		return
	}
	if a.Conflict.Set {
		c.observe(l.members, func() { l.report.Conflict = a.Conflict }, true)
	}
	for _, m := range l.members {
		c.welcome(m, l.want.Key.Uplink)
		if !again || m.fresh || len(m.wait) > 0 { // a refresh changes nothing for the others
			c.standsFor(m, again)
		}
	}
}

// standsFor lets a mitigation follow that one of its legs stands. Only one that is in several plots may leave something by that.
func (c *Core) standsFor(m *mitigation, again bool) {
	if again || m.phase == live && !m.stale && len(m.shares) == 1 {
		c.attend(m)
	} else {
		c.touch(m)
	}
}

// observe changes something, and tells the observers of mitigations whose status changes by it; those of all if told says so.
func (c *Core) observe(of []*mitigation, change func(), told bool) {
	before := make([]dots.Status, len(of))
	for i, m := range of {
		before[i] = c.shows(m)
	}
	change()
	for i, m := range of {
		if told || c.shows(m) != before[i] {
			c.changed(m)
		}
	}
}

// planRefresh refreshes a leg on behalf of its client where the uplink granted less than the client has left.
func (c *Core) planRefresh(l *leg, granted dots.Maybe[dots.Lifetime]) {
	l.refreshAt = time.Time{}
	defer c.due.arm(l)
	asked := l.want.Request.Lifetime.Or(dots.DefaultLifetime)
	got := granted.Or(asked)
	if got == dots.Indefinite || !asked.Longer(got) {
		return
	}
	l.refreshAt = c.now.Add(max(time.Duration(got)*time.Second/2, minRefresh))
}

// refusalOf is an answer as an error.
func refusalOf(a dots.LegAnswer) *dots.Error {
	return &dots.Error{
		Code: a.Code, Text: a.Text, Conflict: a.Conflict, MaxAge: a.MaxAge, Redirect: dots.Maybe[dots.Redirect]{Set: a.Redirected},
	}
}

// outcomeLevel is how loud the log is about a refusal.
func outcomeLevel(o policy.Outcome) slog.Level {
	switch {
	case o.Alarm || o.Action == policy.Alert:
		return slog.LevelError
	case o.Action == policy.Accept:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// newerThan is the mid with which we replaced a leg, where we did.
func (c *Core) newerThan(l *leg) dots.Maybe[uint32] {
	by, ok := c.replacedBy[l.want.Key]
	return dots.Maybe[uint32]{Value: by.MID, Set: ok}
}
