package gateway

import (
	"log/slog"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// name is a name that a request waits for or that a live mitigation rests on.
type name struct {
	name     string
	res      policy.Resolution
	answered bool
	asked    bool // a question is out
	users    map[dots.MitigationKey]bool
	of       string    // while nothing rests on it: the client entry that brought it, or used it last
	again    time.Time // when it is resolved again, or forgotten if nobody uses it

	alarm
}

func (n *name) dueAt() time.Time { return n.again }

// question asks for a name, once at a time. client is on whose behalf.
func (c *Core) question(q, client string) {
	n := c.names[q]
	if n == nil {
		n = &name{name: q, users: map[dots.MitigationKey]bool{}, of: client}
		c.names[q] = n
		c.spareOf[client]++
	}
	if !n.asked {
		n.asked = true
		c.out.Questions = append(c.out.Questions, Resolve{Name: q, Client: client})
	}
}

// resolved takes an answer in. A failure leaves the last good answer in force: an outage of DNS ends no mitigation.
func (c *Core) resolved(ev Resolved) {
	n := c.names[ev.Name]
	if n == nil {
		return
	}
	n.asked = false
	if !ev.Failed || !n.answered {
		n.answered = true
		n.res = policy.Resolution{Addresses: ev.Addresses, Failed: ev.Failed}
	}
	n.again = c.now.Add(min(max(ev.TTL, minRecheck), nameLongest))
	c.restName(n)
	for _, a := range c.askingFor(ev.Name) {
		delete(a.names, ev.Name)
		if len(a.names) == 0 {
			c.unpark(a)
		}
	}
	c.recheck(n)
}

// restName arms a name; one that nothing rests on is kept for a short while only.
func (c *Core) restName(n *name) {
	if soon := c.now.Add(nameKept); len(n.users) == 0 && n.again.After(soon) {
		n.again = soon
	}
	c.due.arm(n)
}

// askingFor lists the requests that wait for a name, in an order that does not depend on chance.
func (c *Core) askingFor(q string) []*asking {
	var found []*asking
	for _, a := range c.asks {
		if a.names[q] {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, func(a, b *asking) int {
		return compareKeys(a.key(), b.key())
	})
	return found
}

// nameDue resolves a name again that something rests on, and forgets one that nothing does.
func (c *Core) nameDue(n *name) {
	n.again = time.Time{}
	if len(n.users) == 0 {
		if c.names[n.name] == n && !n.asked {
			delete(c.names, n.name)
			lower(c.spareOf, n.of)
		}
		return
	}
	c.question(n.name, n.of)
}

// recheck tests the ownership of every mitigation that rests on a name, after each resolution
// (RFC 9132, Section 4.4.1).
func (c *Core) recheck(n *name) {
	keys := make([]dots.MitigationKey, 0, len(n.users))
	for k := range n.users {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareKeys)
	for _, k := range keys {
		m := c.mits[k]
		if m == nil || m.phase != live {
			c.unuse(n, k)
			continue
		}
		if err := c.renew(m); err != nil {
			c.out.note(slog.LevelWarn, "mitigation ended: its target left the domain", keyAttrs(k, slog.String("reason", err.Text))...)
			c.withdrawnByUs(m)
		}
	}
}

// watch ties a mitigation to the names it rests on; unwatch unties it.
func (c *Core) watch(m *mitigation) {
	for _, w := range m.grant.Watch {
		n := c.names[w]
		if n == nil { // after a start: nothing is known yet
			c.question(w, m.key.Client.Name)
			n = c.names[w]
		}
		if len(n.users) == 0 {
			lower(c.spareOf, n.of)
		}
		n.users[m.key] = true
	}
}

func (c *Core) unwatch(m *mitigation) {
	for _, w := range m.grant.Watch {
		if n := c.names[w]; n != nil {
			c.unuse(n, m.key)
			c.restName(n)
		}
	}
}

// unuse notes that a mitigation does not rest on a name any more.
func (c *Core) unuse(n *name, k dots.MitigationKey) {
	if !n.users[k] {
		return
	}
	delete(n.users, k)
	if len(n.users) == 0 {
		n.of = k.Client.Name
		c.spareOf[n.of]++
	}
}
