package gateway

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
	"github.com/dotsgate/dotsgate/store"
)

// collided acts on a cuid of ours that is another's at the uplink: it takes another one, not more often than movedGap allows.
func (c *Core) collided(l *leg) {
	uplink := l.want.Key.Uplink
	if last, ok := c.movedAt[uplink]; ok && c.now.Sub(last) < movedGap {
		for _, m := range l.members {
			c.holdLeg(m, l, policy.Outcome{RetryAfter: movedGap})
		}
		return
	}
	c.movedAt[uplink] = c.now
	c.moveScope(scopeOf(l.want.Key))
}

// moveScope takes a new cuid after a collision at the uplink, and asks for every leg anew under it
// (RFC 9132, Section 4.4.1.1). It is called only while nothing stands under the old one.
func (c *Core) moveScope(from scope) {
	to := scope{from.uplink, c.cfg.NewCUID()}
	for _, p := range c.placementsOf(from) {
		c.setOwn(p, to.cuid)
	}
	c.out.note(slog.LevelWarn, "cuid taken at the uplink, using a new one", slog.String("uplink", from.uplink),
		slog.String("old", from.cuid), slog.String("new", to.cuid))
	legs := c.sortedScope(from)
	for _, l := range legs {
		c.setAdrift(l)
		l.after = dots.LegKey{}
		delete(c.blocks, l.want.Key)
	}
	for _, l := range legs {
		for _, m := range l.members {
			c.unsettle(m)
		}
		c.legGone(l)
	}
	delete(c.counters, from) // we never come back to it
	c.putLess(store.Record{Kind: kindCounter, Key: from.uplink + keySep + from.cuid})
}

// placementsOf lists for whom a cuid of ours stands, sorted.
func (c *Core) placementsOf(s scope) []policy.Placement {
	var found []policy.Placement
	for p, cuid := range c.own {
		if p.Uplink == s.uplink && cuid == s.cuid {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, comparePlacements)
	return found
}

func comparePlacements(a, b policy.Placement) int {
	return cmp.Or(strings.Compare(a.Uplink, b.Uplink), strings.Compare(a.Scope, b.Scope))
}
