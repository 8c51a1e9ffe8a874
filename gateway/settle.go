package gateway

import (
	"maps"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

const (
	// maxRounds bounds how often legs are made to follow in one step: that legs stand may change mitigations again. What is left over is made
	// good roundsGap later, so that what would never come to rest does not keep us busy.
	maxRounds = 8
	roundsGap = 100 * time.Millisecond
)

// touch marks a mitigation whose legs are to follow what it is now: asked or granted otherwise, moved, ended. Legs are derived, and made to
// follow at the end of the step. Touching twice, or for nothing, does no harm.
func (c *Core) touch(m *mitigation) { c.dirty[m] = true }

// attend marks a mitigation whose legs are the same, but may have to be told of it, and whose callers may have their answer: at a refresh, say.
func (c *Core) attend(m *mitigation) {
	if !c.dirty[m] {
		c.dirty[m] = false
	}
}

// unsettle marks a mitigation whose legs are to be arranged anew although nothing of it changed.
func (c *Core) unsettle(m *mitigation) {
	m.stale = true
	c.touch(m)
}

// loosen marks a leg whose place in its plot is to be found anew.
func (c *Core) loosen(l *leg) { c.loose[l] = true }

// change is what of a plot is to be arranged anew.
type change struct {
	mits map[*mitigation]bool
	legs map[*leg]bool
}

// settle makes the legs follow what was touched in the step, in so many rounds at most.
func (c *Core) settle(rounds int) {
	for range rounds {
		if !c.unrest() {
			return
		}
		touched, moved := c.takeTouched()
		if len(moved)+len(c.loose)+len(c.revived) > 0 {
			c.rearrange(moved)
		}
		for _, m := range touched {
			c.settled(m)
		}
	}
	c.leaveTo(&c.soon, c.now.Add(roundsGap))
}

// rearrange finds out which plots change by what moved and by what is loose, and arranges them anew.
func (c *Core) rearrange(moved []*mitigation) {
	changes := map[plot]*change{}
	for _, m := range moved {
		c.reshare(m, changes)
	}
	c.takeLoose(changes)
	for _, p := range sortedPlots(changes) {
		c.arrange(p, changes[p])
	}
}

// unrest reports whether there is something to be arranged.
func (c *Core) unrest() bool { return len(c.dirty)+len(c.loose)+len(c.revived) > 0 }

// takeLoose notes the legs whose place is to be found, among them those that are in force again: somebody may have left them meanwhile.
func (c *Core) takeLoose(changes map[plot]*change) {
	for _, l := range c.revived {
		c.loosen(l)
	}
	c.revived = nil
	for l := range c.loose {
		if c.leg(l.want.Key) == l && (l.current || l.renew && c.replacer(l) == nil) {
			changeOf(changes, l.plot()).legs[l] = true
		}
	}
	clear(c.loose)
}

// takeTouched lists what was touched, sorted; of two under one key the one that is not in the tables any more comes first. Moved
// are those of them whose shares may be others. What it returns is good until the next call.
func (c *Core) takeTouched() (touched, moved []*mitigation) {
	touched = c.few[:0]
	for m, shares := range c.dirty {
		touched = append(touched, m)
		if shares {
			moved = append(moved, m)
		}
	}
	clear(c.dirty)
	if len(touched) <= 1 {
		return touched, moved
	}
	inOrder := func(a, b *mitigation) int {
		if n := compareKeys(a.key, b.key); n != 0 {
			return n
		}
		if a.entered {
			return 1
		}
		return -1
	}
	slices.SortFunc(touched, inOrder)
	slices.SortFunc(moved, inOrder)
	return touched, moved
}

func changeOf(changes map[plot]*change, p plot) *change {
	ch := changes[p]
	if ch == nil {
		ch = &change{mits: map[*mitigation]bool{}, legs: map[*leg]bool{}}
		changes[p] = ch
	}
	return ch
}

// reshare computes a mitigation's shares and notes the plots that change by it.
func (c *Core) reshare(m *mitigation, changes map[plot]*change) {
	want := c.sharesOf(m)
	plots := sortedPlots(m.shares)
	for _, p := range sortedPlots(want) {
		if _, had := m.shares[p]; !had {
			plots = append(plots, p)
		}
	}
	for _, p := range plots {
		if c.upsets(m, p, want) {
			changeOf(changes, p).mits[m] = true
		}
	}
	if m.stale {
		for _, k := range m.legs {
			changeOf(changes, c.leg(k).plot()).mits[m] = true
		}
	}
	m.shares, m.stale = want, false
}

// upsets reports whether a plot has to be arranged for a mitigation to get what it wants of it from now on.
func (c *Core) upsets(m *mitigation, p plot, want map[plot]policy.Footprint) bool {
	was, had := m.shares[p]
	now, wants := want[p]
	switch {
	case m.stale:
		return true
	case had && wants:
		return !sameFootprint(was, now)
	case had:
		return !c.departs(m, p)
	}
	return !c.joins(m, p, now)
}

// sortedPlots lists the plots of a table in their order.
func sortedPlots[V any](of map[plot]V) []plot {
	var plots []plot // nearly always one or none
	for p := range of {
		plots = append(plots, p)
	}
	slices.SortFunc(plots, comparePlots)
	return plots
}

// sameFootprint reports whether two shares are the same.
func sameFootprint(a, b policy.Footprint) bool {
	x, y := a.Expanded, b.Expanded
	return a.Target.Equal(b.Target) && slices.Equal(x.Prefixes, y.Prefixes) && slices.Equal(x.Names, y.Names) && slices.Equal(x.URIs, y.URIs)
}

// settled tells the uplinks what changed of a mitigation but for its shares, and answers who waits where there is nothing to wait for.
func (c *Core) settled(m *mitigation) {
	if !m.entered || m.phase != live {
		return
	}
	for _, k := range m.legs {
		c.freshen(c.leg(k), m)
	}
	if (m.fresh || len(m.wait) > 0) && !c.waitsFor(m) {
		c.accepted(m)
		c.due.arm(m)
	}
}

// waitsFor reports whether a mitigation waits for an answer that an uplink may give soon.
func (c *Core) waitsFor(m *mitigation) bool {
	for _, k := range m.legs {
		if l := c.leg(k); c.up[k.Uplink] && l.state != held && (l.state != placed || l.done != l.want.Revision) {
			return true
		}
	}
	for u := range m.pauses {
		if c.up[u] && m.fresh {
			return true
		}
	}
	return false
}

// legKeys lists the keys of legs, sorted.
func legKeys(legs []*leg) []dots.LegKey {
	keys := make([]dots.LegKey, len(legs))
	for i, l := range legs {
		keys[i] = l.want.Key
	}
	slices.SortFunc(keys, compareLegs)
	return keys
}

// later holds what is to be arranged anew at a later time.
type later struct {
	mits map[*mitigation]bool
	legs map[*leg]bool
	when time.Time // zero: there is nothing

	alarm
}

func (p *later) dueAt() time.Time { return p.when }

// putOff keeps mitigations and legs for a later time, or for that when others are kept for.
func (c *Core) putOff(p *later, mits map[*mitigation]bool, legs map[*leg]bool, when time.Time) {
	if p.when.IsZero() {
		p.mits, p.legs, p.when = map[*mitigation]bool{}, map[*leg]bool{}, when
		c.due.arm(p)
	}
	maps.Copy(p.mits, mits)
	maps.Copy(p.legs, legs)
}

// leaveTo leaves what is to be arranged to a later time.
func (c *Core) leaveTo(p *later, when time.Time) {
	for _, l := range c.revived {
		c.loosen(l)
	}
	c.revived = nil
	if len(c.dirty)+len(c.loose) > 0 {
		c.putOff(p, c.dirty, c.loose, when)
	}
	clear(c.dirty)
	clear(c.loose)
}

// laterDue arranges what was put off.
func (c *Core) laterDue(p *later) {
	for m := range p.mits {
		c.unsettle(m)
	}
	for l := range p.legs {
		c.loosen(l)
	}
	p.mits, p.legs, p.when = nil, nil, time.Time{}
}
