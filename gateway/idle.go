package gateway

import (
	"maps"
	"slices"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
	"github.com/dotsgate/dotsgate/store"
)

// ownOf lists for which of our cuids a client alone is the reason.
func (c *Core) ownOf(cl dots.Client) []policy.Placement {
	var found []policy.Placement
	for _, u := range c.policy.Uplinks() {
		if c.policy.CUIDMode(u) != policy.CUIDPerClient {
			continue
		}
		if p := (policy.Placement{Uplink: u, Scope: c.policy.Scope(u, policy.Grant{Client: cl})}); c.own[p] != "" {
			found = append(found, p)
		}
	}
	return found
}

// holdsFor reports whether something is left at an uplink under a cuid of ours that is for a client alone.
func (c *Core) holdsFor(cl dots.Client) bool {
	return slices.ContainsFunc(c.ownOf(cl), func(p policy.Placement) bool { return c.legs[scope{p.Uplink, c.own[p]}] != nil })
}

// freeOwn forgets a cuid of ours that is for a client alone, when nothing is left of that client, and its counter. What could not be had again is kept:
// a cuid that would be another one today, after a collision or with a renewed credential, and a counter that is ahead of where a new one begins, so that
// no mid is used again (RFC 9132, Section 4.4.1).
func (c *Core) freeOwn(p policy.Placement) {
	s := scope{p.Uplink, c.own[p]}
	if c.legs[s] != nil || s.cuid != c.computedCUID(p) {
		return
	}
	if n := c.counters[s]; n != nil {
		if n.next > newCounter(c.now).next {
			return
		}
		delete(c.counters, s)
		c.putLess(store.Record{Kind: kindCounter, Key: s.uplink + keySep + s.cuid})
	}
	delete(c.own, p)
	c.putLess(store.Record{Kind: kindOwn, Key: p.Uplink + keySep + p.Scope})
}

// restateOwn forgets what the store holds of our cuids for clients of whom nothing else is left.
func (c *Core) restateOwn() {
	used := map[policy.Placement]bool{}
	note := func(cl dots.Client) {
		for _, p := range c.ownOf(cl) {
			used[p] = true
		}
	}
	for cl := range c.byClient {
		note(cl)
	}
	for n, b := range c.cuids {
		note(n.of(b.owner))
	}
	for _, p := range slices.SortedFunc(maps.Keys(c.own), comparePlacements) {
		if c.policy.CUIDMode(p.Uplink) == policy.CUIDPerClient && strings.HasPrefix(p.Scope, "client:") && !used[p] {
			c.freeOwn(p)
		}
	}
}
