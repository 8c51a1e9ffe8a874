package gateway

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// plot is what arranges its legs among themselves: those under one of our cuids at an uplink that have one trigger type. The uplink deletes the lower mid
// of two of them that overlap (RFC 9132, Section 4.4.1.3).
type plot struct {
	scope
	armed bool
}

// name is the plot's in the index of legs.
func (p plot) name() string {
	if p.armed {
		return p.uplink + keySep + p.cuid + keySep + "armed"
	}
	return p.uplink + keySep + p.cuid
}

func comparePlots(a, b plot) int {
	if n := compareScopes(a.scope, b.scope); n != 0 || a.armed == b.armed {
		return n
	}
	if a.armed {
		return -1
	}
	return 1
}

// plot is where a leg belongs.
func (l *leg) plot() plot { return plot{scopeOf(l.want.Key), l.want.Request.OnSignalLoss} }

// places says where a mitigation is to be now.
func (c *Core) places(m *mitigation) []policy.Place {
	return c.policy.Places(view{c}, policy.Course{
		Grant: m.grant, At: c.at(m), Refused: withWord(m.spent, m.refused...), Away: m.awayFrom(), Recursed: m.recursed, To: m.to,
	})
}

// at lists the uplinks where a mitigation, or the one in whose place it comes, is asked for.
func (c *Core) at(m *mitigation) []string {
	var found []string
	for _, k := range m.legs {
		found = append(found, k.Uplink)
	}
	if m.prior != nil {
		for _, k := range m.prior.legs {
			found = append(found, k.Uplink)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// sharesOf says what a mitigation needs of which plots: where policy sends it, and, until it stands there, where it was.
func (c *Core) sharesOf(m *mitigation) map[plot]policy.Footprint {
	switch {
	case c.mits[m.key] != m:
		return nil
	case m.phase == terminating:
		return c.lingering(m)
	case m.phase != live:
		return nil
	case passed(m.expires, c.now): // restored too late: what stands is left alone, the Tick that follows ends it
		left := maps.Clone(m.shares)
		maps.DeleteFunc(left, func(p plot, _ policy.Footprint) bool { return len(c.legsIn(m, p)) == 0 })
		return left
	}
	want := c.aimed(m)
	var stay []plot // nearly always none
	for p := range m.shares {
		if _, ok := want[p]; !ok && c.outlasts(m, p, want) {
			stay = append(stay, p)
		}
	}
	for _, p := range stay {
		want[p] = m.shares[p]
	}
	if h := m.heir; c.undecided(h) {
		for p := range c.aimed(h) { // its leg takes the place of that of this one
			delete(want, p)
		}
	}
	return want
}

// undecided reports whether a mitigation that is to take another one's place has not been accepted yet. nil: it has.
func (c *Core) undecided(m *mitigation) bool {
	return m != nil && m.fresh && m.phase == live && c.mits[m.key] == m
}

// aimed says what a live mitigation needs of which plots by policy alone.
func (c *Core) aimed(m *mitigation) map[plot]policy.Footprint {
	want := map[plot]policy.Footprint{}
	for _, place := range c.places(m) {
		if c.now.Before(m.pauses[place.Uplink]) || slices.Contains(m.refused, place.Uplink) {
			continue
		}
		s := c.scopeFor(place.Placement)
		if p := (plot{s, true}); m.asked.OnSignalLoss && c.mirrors(place.Uplink) && (!m.fired || len(c.legsIn(m, p)) > 0) {
			want[p] = place.Part
		}
		if !m.asked.OnSignalLoss || m.fired {
			want[plot{s, false}] = place.Part
		}
	}
	return want
}

// mirrors reports whether an uplink is told of armed requests.
func (c *Core) mirrors(uplink string) bool { return !c.cfg.NoMirror && !c.cfg.Unmirrored[uplink] }

// outlasts reports whether a mitigation keeps its share of a plot that it is not to be in any more: until all of it stands where it is to be, so that
// nothing is without cover on the way. What has nowhere to go stays, whatever becomes of the mitigation's other parts.
func (c *Core) outlasts(m *mitigation, p plot, want map[plot]policy.Footprint) bool {
	if !m.wantsType(p.armed) || !c.mayStay(m, p) {
		return false
	}
	for _, piece := range pieces(m.shares[p].Expanded) {
		if piece.Overlaps(m.grant.Outside.Expanded) && !c.arrived(m, p, piece, want) {
			return true
		}
	}
	return false
}

// arrived reports whether a piece of what a mitigation has in a plot stands everywhere where it is wanted. The armed copy of one that is in force has not to
// be anywhere.
func (c *Core) arrived(m *mitigation, p plot, piece policy.Expanded, want map[plot]policy.Footprint) bool {
	somewhere := false
	for q, part := range want {
		if q.armed == p.armed && part.Expanded.Overlaps(piece) {
			if !c.standsIn(m, q) {
				return false
			}
			somewhere = true
		}
	}
	return somewhere || p.armed && slices.ContainsFunc(c.places(m), func(o policy.Place) bool { return o.Part.Expanded.Overlaps(piece) })
}

// pieces takes a target apart: its prefixes, or, where it has none, the whole.
func pieces(e policy.Expanded) []policy.Expanded {
	if len(e.Prefixes) == 0 {
		return []policy.Expanded{e}
	}
	var list []policy.Expanded
	for _, p := range e.Prefixes {
		list = append(list, policy.Expanded{Prefixes: []netip.Prefix{p}})
	}
	return list
}

// wantsType reports whether a mitigation wants armed or immediate legs.
func (m *mitigation) wantsType(armed bool) bool {
	if m.asked.OnSignalLoss {
		return armed || m.fired
	}
	return !armed
}

// mayStay reports whether what a mitigation has in a plot may stay there for a while.
func (c *Core) mayStay(m *mitigation, p plot) bool {
	refused := slices.Contains(m.refused, p.uplink) || c.now.Before(m.pauses[p.uplink])
	configured := c.policy.CUIDMode(p.uplink) != "" && (!p.armed || c.mirrors(p.uplink))
	return !refused && configured && len(c.legsIn(m, p)) > 0
}

// legsIn lists the current legs of a mitigation in a plot.
func (c *Core) legsIn(m *mitigation, p plot) []*leg {
	var found []*leg
	for _, k := range m.legs {
		if scopeOf(k) != p.scope {
			continue
		}
		if l := c.leg(k); l.plot() == p {
			found = append(found, l)
		}
	}
	return found
}

// legsOfType lists the current armed or immediate legs of a mitigation.
func (c *Core) legsOfType(m *mitigation, armed bool) []*leg {
	return slices.DeleteFunc(c.legsOf(m.legs), func(l *leg) bool { return l.want.Request.OnSignalLoss != armed })
}

// standsIn reports whether a mitigation is in force in a plot.
func (c *Core) standsIn(m *mitigation, p plot) bool {
	if _, ok := m.shares[p]; !ok || m.stale {
		return false
	}
	legs := c.legsIn(m, p)
	return len(legs) > 0 && !slices.ContainsFunc(legs, func(l *leg) bool { return !l.certain() })
}

// lingering is what a terminating mitigation keeps: its legs at local mitigators stay until its period ends.
func (c *Core) lingering(m *mitigation) map[plot]policy.Footprint {
	kept := map[plot]policy.Footprint{}
	for p, part := range m.shares {
		if c.policy.Local(p.uplink) && !p.armed && c.standsIn(m, p) {
			kept[p] = part
		}
	}
	return kept
}

// pause keeps a mitigation from being asked for at an uplink for a while.
func (c *Core) pause(m *mitigation, uplink string, d time.Duration) {
	c.unsettle(m)
	if m.pauses == nil {
		m.pauses = map[string]time.Time{}
	}
	m.pauses[uplink] = c.now.Add(d)
	if d == 0 {
		delete(m.pauses, uplink)
	}
	c.due.arm(m)
}

// pauseEnds is when the first of its pauses is over.
func (m *mitigation) pauseEnds() time.Time {
	return earliest(slices.Collect(maps.Values(m.pauses))...)
}

// resume ends the pauses that are over, and arranges what waited for its time.
func (c *Core) resume(m *mitigation) {
	for u, until := range m.pauses {
		if passed(until, c.now) {
			delete(m.pauses, u)
			c.touch(m)
		}
	}
	c.comesHome(m)
	if passed(m.settle, c.now) {
		m.settle = time.Time{}
		c.unsettle(m)
	}
}

// withWord returns a sorted list with words added.
func withWord(list []string, words ...string) []string {
	list = slices.Concat(list, words)
	slices.Sort(list)
	return slices.Compact(list)
}

// elsewhere reports whether a mitigation that an uplink refuses goes on at others: each of its targets is carried by one, or is to be.
func (c *Core) elsewhere(m *mitigation) bool {
	var parts []policy.Expanded
	for _, k := range m.legs {
		if l := c.leg(k); l.stood && !slices.Contains(m.refused, k.Uplink) {
			parts = append(parts, l.part.Expanded)
		}
	}
	for _, p := range c.places(m) {
		if !slices.Contains(m.refused, p.Uplink) {
			parts = append(parts, p.Part.Expanded)
		}
	}
	own := m.grant.Outside.Expanded
	if len(own.Beyond(parts)) > 0 {
		return false
	}
	return len(own.Prefixes) > 0 || slices.ContainsFunc(parts, own.Overlaps)
}

// bodyOf is what a leg asks for beyond its target. Attributes that are one client's own travel only where the leg carries nobody else and
// nothing was translated, and optional ones only to an uplink that takes them.
func (c *Core) bodyOf(p plot, members []*mitigation, target dots.Target) dots.Request {
	r := dots.Request{Target: target, OnSignalLoss: p.armed}
	if len(members) != 1 {
		return r
	}
	g := members[0].grant
	r.ACLs, r.Source = g.Request.ACLs, g.Request.Source
	if !g.Outside.Target.Equal(g.Request.Target) {
		return r
	}
	for _, o := range g.Request.Optional {
		if c.policy.Relays(p.uplink, o.Key) {
			r.Optional = append(r.Optional, o)
		}
	}
	return r
}

// sameBody reports whether two requests differ in nothing that a repetition under the same mid must keep, their targets aside
// (RFC 9132, Section 4.4.1.3).
func sameBody(a, b dots.Request) bool {
	b.Target = a.Target
	return sameRequest(a, b) && slices.EqualFunc(a.Optional, b.Optional, func(x, y dots.Raw) bool { return x.Key == y.Key && bytes.Equal(x.Value, y.Value) })
}
