package gateway

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/store"
)

// cuidName is a downstream cuid. Behind a trusted gateway each cdid has cuids of its own (RFC 9132, Section 4.4.1.2).
type cuidName struct{ cuid, cdid string }

func nameOf(cl dots.Client) cuidName { return cuidName{cl.CUID, cl.CDID} }

// of is a client entry under the cuid.
func (n cuidName) of(client string) dots.Client {
	return dots.Client{Name: client, CUID: n.cuid, CDID: n.cdid}
}

func (n cuidName) compare(o cuidName) int {
	return cmp.Or(strings.Compare(n.cuid, o.cuid), strings.Compare(n.cdid, o.cdid))
}

func (n cuidName) recordKey() string {
	if n.cdid == "" {
		return n.cuid
	}
	return n.cuid + keySep + n.cdid
}

func parseCUIDKey(key string) cuidName {
	cuid, cdid, _ := strings.Cut(key, keySep)
	return cuidName{cuid, cdid}
}

// binding ties a downstream cuid to the client entry that uses it.
type binding struct {
	name   cuidName
	owner  string
	proven bool      // the owner's own credential gives this cuid
	former []string  // client entries that it was taken from: what they have under it goes on to its end
	freeAt time.Time // nothing is left under it: when it is given back
	gone   uint64    // the newest batch that took something of it away

	alarm
}

func (b *binding) dueAt() time.Time { return b.freeAt }

// claimCUID gives a cuid to the client that a granted request came from: a new one, or one that policy says is its own although
// another entry had come with it first. What that one has under it goes on to its end, but it gets nothing new there.
func (c *Core) claimCUID(cl dots.Client, own string) {
	b, proven := c.cuids[nameOf(cl)], own != "" && nameOf(cl) == cuidName{cuid: own}
	switch {
	case b == nil:
		b = &binding{name: nameOf(cl), owner: cl.Name, proven: proven}
		c.enterCUID(b)
		c.put(b.record(), func(*Ready) { c.dropCUID(b) })
	case b.owner != cl.Name:
		c.out.note(slog.LevelWarn, "cuid taken back for the client whose credential gives it", slog.String("client", cl.Name),
			slog.String("cuid", cl.CUID), slog.String("from", b.owner))
		owner, was := b.owner, b.proven
		c.passCUID(b, cl.Name, proven)
		c.put(b.record(), func(*Ready) {
			if c.cuids[b.name] == b && b.owner == cl.Name {
				c.passCUID(b, owner, was)
			}
		})
	case proven && !b.proven:
		b.proven = true
		c.put(b.record(), nil)
	}
}

// passCUID makes a cuid another client entry's.
func (c *Core) passCUID(b *binding, to string, proven bool) {
	gone := b.gone
	c.dropCUID(b)
	b.noteFormer(b.owner)
	b.owner, b.proven, b.gone = to, proven, gone
	c.enterCUID(b)
	c.due.arm(b)
}

func (b *binding) noteFormer(client string) {
	if !slices.Contains(b.former, client) {
		b.former = append(b.former, client)
	}
}

// bindCUID holds a cuid while something is under it: another client entry that comes with it is told of a collision, and the
// owner is never put out (RFC 9132, Section 4.4.1.1), unless the cuid is by its credential the other one's.
//
// The binding is given back cuidKept after nothing was left under it; a restart of ours begins that time anew.
func (c *Core) bindCUID(cl dots.Client) {
	b := c.cuids[nameOf(cl)]
	if b == nil {
		c.claimCUID(cl, "")
		return
	}
	if b.owner != cl.Name {
		b.noteFormer(cl.Name)
	}
	b.freeAt = time.Time{}
	c.due.disarm(b)
}

func (c *Core) enterCUID(b *binding) {
	c.cuids[b.name] = b
	c.cuidsOf[b.owner] = append(c.cuidsOf[b.owner], b.name)
}

// dropCUID gives a binding back.
func (c *Core) dropCUID(b *binding) {
	if c.cuids[b.name] != b {
		return
	}
	delete(c.cuids, b.name)
	of := slices.DeleteFunc(c.cuidsOf[b.owner], func(n cuidName) bool { return n == b.name })
	c.cuidsOf[b.owner] = of
	if len(of) == 0 {
		delete(c.cuidsOf, b.owner)
	}
	c.due.disarm(b)
}

// idleCUID starts the time after which a cuid is given back, if nothing is left under it.
func (c *Core) idleCUID(n cuidName) {
	b := c.cuids[n]
	if b == nil || len(c.byClient[n.of(b.owner)]) > 0 {
		return
	}
	b.former = slices.DeleteFunc(b.former, func(client string) bool { return len(c.byClient[n.of(client)]) == 0 })
	if len(b.former) == 0 {
		b.freeAt = c.now.Add(cuidKept)
		c.due.arm(b)
	}
}

// restateCUIDs starts that time for restored cuids, and finds what is under one that was taken back.
func (c *Core) restateCUIDs() {
	for cl := range c.byClient {
		if b := c.cuids[nameOf(cl)]; b != nil && b.owner != cl.Name {
			b.noteFormer(cl.Name)
		}
	}
	for _, n := range slices.SortedFunc(maps.Keys(c.cuids), cuidName.compare) {
		c.idleCUID(n)
	}
}

// bindingDue gives a cuid back that nothing is left under, here or at an uplink, and our own cuids that were for it.
func (c *Core) bindingDue(b *binding) {
	cl := b.name.of(b.owner)
	if c.holdsFor(cl) {
		b.freeAt = c.now.Add(cuidKept)
		c.due.arm(b)
		return
	}
	c.dropCUID(b)
	c.putLess(store.Record{Kind: kindCUID, Key: b.name.recordKey()})
	for _, p := range c.ownOf(cl) {
		c.freeOwn(p)
	}
}
