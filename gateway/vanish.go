package gateway

import (
	"log/slog"

	"github.com/dotsgate/dotsgate/dots"
)

// vanish notes that a leg went without our will, and asks for it anew. Meanwhile nothing is in force: status 1.
func (c *Core) vanish(l *leg) {
	c.observe(l.members, func() {
		l.vanished = true
		l.report = dots.Report{Status: dots.StatusTerminated}
		for _, m := range l.members {
			m.shown = 0
		}
		c.setStood(l, false)
		c.recreate(l)
	}, false)
}

// recreate lets a new leg take the place of one at the end of the step, under a new, higher mid: it vanished, or the uplink takes a repetition of it for
// something else; then it may stand still, and is withdrawn once the new one stands. Not more often than recreateGap allows.
func (c *Core) recreate(l *leg) {
	l.doubted = false
	if wait := l.earliestAnew(); wait.After(c.now) {
		l.state, l.retryAt = held, wait
		l.vanished = true
		c.due.arm(l)
		return
	}
	c.out.note(slog.LevelWarn, "leg went at the uplink, asking again under a new mid", legAttrs(l.want.Key)...)
	l.renew = true
	c.loosen(l)
	for _, m := range l.members {
		c.unsettle(m)
	}
}
