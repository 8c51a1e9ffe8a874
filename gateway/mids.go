package gateway

import (
	"cmp"
	"crypto/sha256"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// scope is one of the gateway's own cuids at an uplink.
type scope struct{ uplink, cuid string }

func (s scope) leg(mid uint32) dots.LegKey {
	return dots.LegKey{Uplink: s.uplink, CUID: s.cuid, MID: mid}
}

func scopeOf(k dots.LegKey) scope { return scope{k.Uplink, k.CUID} }

func compareScopes(a, b scope) int {
	return cmp.Or(strings.Compare(a.uplink, b.uplink), strings.Compare(a.cuid, b.cuid))
}

// counter hands out the mids of a scope. Mids are reserved durably in blocks, so that a crash can neither give one out
// twice nor leave a mitigation upstream that the gateway cannot name.
type counter struct {
	next     uint32 // the next to hand out
	reserved uint32 // the first that is not reserved
	// known says that no mid above next was used before: the counter comes from the store, or the uplink told all that stands there.
	known bool
}

// midEpoch is where the clock of new counters begins: 2020-01-01 00:00 UTC, in seconds since the Unix epoch.
const midEpoch = 1577836800

// newCounter begins a counter of which nothing is stored: it is new, or the store was lost. It begins at the seconds since midEpoch, so
// that it is above what was used before unless more than one mid a second was (RFC 9132, Section 4.4.1: mids of a cuid grow).
func newCounter(now time.Time) *counter {
	first := uint32(min(max(now.Unix()-midEpoch, 1), int64(dots.MIDRollover/2)))
	return &counter{next: first, reserved: first}
}

// take hands out a mid and reports whether the reservation grew and must be recorded.
func (n *counter) take(block uint32) (mid uint32, grew bool) {
	mid = n.next
	n.next++
	return mid, n.reserve(block)
}

// seen raises the counter above a mid that the uplink knows, and reports whether the reservation grew. One past the
// rollover is not ours, and raises it no further than to there.
func (n *counter) seen(mid, block uint32) bool {
	mid = min(mid, dots.MIDRollover-1)
	if mid < n.next {
		return false
	}
	n.next = mid + 1
	return n.reserve(block)
}

func (n *counter) reserve(block uint32) bool {
	if n.next <= n.reserved {
		return false
	}
	n.reserved = n.next + block - 1
	return true
}

// exhausted reports that the counter is to start again at 0 as soon as nothing is active
// (RFC 9132, Section 4.4.1.1).
func (n *counter) exhausted() bool { return n.next >= dots.MIDRollover }

// counterOf finds or makes the counter of a scope.
func (c *Core) counterOf(s scope) *counter {
	n := c.counters[s]
	if n == nil {
		n = newCounter(c.now)
		c.counters[s] = n
	}
	return n
}

// rollOver starts the counter of a scope again at 0 past the rollover as soon as no attack is mitigated there; what is armed is asked for
// anew (RFC 9132, Section 4.4.1.1). It reports whether it did.
func (c *Core) rollOver(s scope) bool {
	n := c.counterOf(s)
	if !n.exhausted() || !c.quiet(s) {
		return false
	}
	c.out.note(slog.LevelWarn, "mids start again", slog.String("uplink", s.uplink), slog.String("cuid", s.cuid))
	*n = counter{known: true}
	for _, l := range c.sortedScope(s) {
		c.renumber(l)
	}
	return true
}

// takeMID hands out the next mid of a scope that is not in use; a stranger may have one that the counter has not reached.
func (c *Core) takeMID(s scope) uint32 {
	n, grew := c.counterOf(s), false
	for {
		mid, more := n.take(c.cfg.MIDBlock)
		grew = grew || more
		if c.leg(s.leg(mid)) == nil {
			if grew {
				c.recordCounter(s, n)
			}
			return mid
		}
	}
}

// quiet reports that nothing but armed requests stands under a scope.
func (c *Core) quiet(s scope) bool {
	h := c.legs[s]
	if h == nil {
		return true
	}
	for _, l := range h.legs {
		if !l.current || !l.want.Request.OnSignalLoss || slices.ContainsFunc(l.members, func(m *mitigation) bool { return !m.armed() }) {
			return false
		}
	}
	return true
}

// renumber asks for an armed request under a mid from the counter's new start. Since it would be refused while the one with the higher mid
// stands (RFC 9132, Section 4.4.1.3), it is asked for when that is gone.
func (c *Core) renumber(old *leg) {
	l := c.newLeg(old.plot(), old.part, old.members)
	l.state, l.after = held, old.want.Key
	c.blocks[old.want.Key] = l.want.Key
	c.recordLeg(l)
	c.leave(old)
}

// unblock asks for the leg that waited for another one's end.
func (c *Core) unblock(gone dots.LegKey) {
	k, ok := c.blocks[gone]
	if !ok {
		return
	}
	delete(c.blocks, gone)
	if l := c.leg(k); l != nil && !l.want.Withdraw {
		l.after = dots.LegKey{}
		c.askAgain(l)
	}
}

// How often, and by how much, a counter climbs for a new mitigation that may have been refused for its mid.
const (
	maxClimbs = 3
	climbStep = 1 << 20
)

// tooLow reports whether an uplink may have refused a new leg only because one of ours from before the store was lost overlaps it and
// has a higher mid (RFC 9132, Section 4.4.1.3).
func (c *Core) tooLow(l *leg, a dots.LegAnswer) bool {
	overlap := a.Conflict.Set && a.Conflict.Value.Cause == dots.CauseOverlappingTargets
	often := slices.ContainsFunc(l.members, func(m *mitigation) bool { return m.climbs >= maxClimbs })
	if l.stood || often || a.Code != dots.CodeBadRequest && !(a.Code == dots.CodeConflict && overlap) {
		return false
	}
	s := scopeOf(l.want.Key)
	return !c.counterOf(s).known || c.legs[s].foreign > 0 && c.foreignAbove(s, l.want.Key.MID)
}

// foreignAbove reports whether a mitigation that we do not know stands under a scope with a higher mid.
func (c *Core) foreignAbove(s scope, mid uint32) bool {
	for above, l := range c.legs[s].legs {
		if above > mid && l.state == foreign {
			return true
		}
	}
	return false
}

// climb asks for a new leg again under a higher mid, far above where nobody can tell what was used before.
func (c *Core) climb(l *leg) {
	c.out.note(slog.LevelWarn, "mid may be too low for the uplink, asking again under a higher one", legAttrs(l.want.Key)...)
	if n := c.counterOf(scopeOf(l.want.Key)); !n.known {
		n.next = min(n.next+climbStep, dots.MIDRollover-1)
	}
	members := l.members
	c.takeBack(l, true)
	for _, m := range members {
		m.climbs++
		c.unsettle(m)
	}
}

// scopeFor is our cuid at an uplink. It is computed once and kept, so that the renewal of a certificate does
// not change it (RFC 9132, Section 4.4.1.1).
func (c *Core) scopeFor(p policy.Placement) scope {
	cuid, ok := c.own[p]
	if !ok {
		cuid = c.computedCUID(p)
		c.setOwn(p, cuid)
	}
	return scope{p.Uplink, cuid}
}

// computedCUID is our cuid as today's credential gives it.
func (c *Core) computedCUID(p policy.Placement) string {
	id := c.cfg.Identities[p.Uplink]
	if p.Scope != "" {
		return dots.EncodeCUID(sha256.Sum256(append(id[:], p.Scope...)))
	}
	return dots.EncodeCUID(id)
}

// settleScope writes what is owed to the store of a scope, so that no leg is asked for under a cuid or mid that is not durable.
func (c *Core) settleScope(s scope) {
	if len(c.owed.set) == 0 {
		return
	}
	ids := []identity{{kindCounter, s.uplink + keySep + s.cuid}}
	for _, p := range c.placementsOf(s) {
		ids = append(ids, identity{kindOwn, p.Uplink + keySep + p.Scope})
	}
	for _, id := range ids {
		if c.owed.set[id] {
			c.writeTruth(id)
		}
	}
}

// setOwn keeps a cuid of ours, durably. If that fails it is tried again; it stays in use, since it can be computed again.
func (c *Core) setOwn(p policy.Placement, cuid string) {
	c.own[p] = cuid
	c.put(ownRecordOf(p, cuid), nil)
}
