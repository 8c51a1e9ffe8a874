package gateway

import (
	"maps"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/policy"
)

// link is an uplink as Places sees it: damped, so that a session that comes and goes moves nobody to and fro. An uplink counts as down only
// linkDownAfter it lost its session, and as up again linkUpAfter it has one; at once where no other is up, and for those that nobody else may be asked
// for.
type link struct {
	uplink string
	since  time.Time // when the session last came or went
	counts bool      // as up

	alarm
}

// linkOf finds or makes an uplink's link. At a start it has linkDownAfter to come up.
func (c *Core) linkOf(uplink string) *link {
	l := c.links[uplink]
	if l == nil {
		l = &link{uplink: uplink, since: c.now, counts: true}
		c.links[uplink] = l
	}
	return l
}

func (l *link) dueAt() time.Time { return l.at }

// linkUp notes that an uplink has a session.
func (c *Core) linkUp(uplink string) {
	l := c.linkOf(uplink)
	back := !c.up[uplink]
	if back {
		c.up[uplink], l.since = true, c.now
	}
	c.weigh(l)
	if back && !l.counts { // who has nobody else does not wait for that
		c.touchStranded()
	}
}

// linkDown notes that it has none.
func (c *Core) linkDown(uplink string) {
	l := c.linkOf(uplink)
	if c.up[uplink] {
		c.up[uplink], l.since = false, c.now
	}
	c.weigh(l)
}

// weigh decides whether an uplink counts as up, or when it is to be looked at again.
func (c *Core) weigh(l *link) {
	up, hold := c.up[l.uplink], linkDownAfter
	if up {
		hold = linkUpAfter
	}
	due := l.since.Add(hold)
	wait := l.counts != up && c.now.Before(due) && !(up && c.noneCounts())
	c.due.disarm(l)
	l.at = time.Time{}
	if wait {
		l.at = due
		c.due.arm(l)
		return
	}
	if l.counts == up {
		return
	}
	l.counts = up
	c.touchAll()
	if !up && c.noneCounts() { // one that only waited for its time is better than none
		for _, u := range c.policy.Uplinks() {
			if o := c.links[u]; o != nil && c.up[u] {
				c.weigh(o)
			}
		}
	}
}

// noneCounts reports whether no uplink counts as up.
func (c *Core) noneCounts() bool {
	return !slices.ContainsFunc(c.policy.Uplinks(), func(u string) bool { return c.links[u] != nil && c.links[u].counts })
}

// dropLinks forgets the uplinks that are not configured any more.
func (c *Core) dropLinks() {
	for _, u := range slices.Sorted(maps.Keys(c.links)) { // not over the map: what is due must come in the same order each time
		if c.policy.CUIDMode(u) == "" {
			c.due.disarm(c.links[u])
			delete(c.movedAt, u)
			delete(c.links, u)
			delete(c.up, u)
		}
	}
}

// restateLinks begins the time in which an uplink may come up after a start.
func (c *Core) restateLinks() {
	for _, u := range c.policy.Uplinks() {
		c.weigh(c.linkOf(u))
	}
}

func (v view) Link(uplink string) policy.Link {
	l := v.c.links[uplink]
	return policy.Link{Up: l == nil || l.counts, Back: v.c.up[uplink], Drained: v.c.drained[uplink]}
}
