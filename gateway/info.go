package gateway

import (
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// MitigationInfo is what the operator is told of a mitigation.
type MitigationInfo struct {
	Key      dots.MitigationKey
	Domain   string
	Report   dots.Report
	Expires  time.Time // zero: indefinite
	HopLimit uint8
	Waiting  int // callers that wait for the uplink
	Legs     []LegInfo
	Recursed bool   // it goes on from the local mitigators to the uplinks
	To       string // which the operator chose for that; empty: those of its domain
}

// LegInfo is what the operator is told of a leg.
type LegInfo struct {
	Key      dots.LegKey
	State    string // placing, placed, held, leaving, left or foreign
	Status   dots.Status
	Revision uint64
	Heard    time.Time // of the uplink's newest report; zero: none since the start
	// Members are those that the leg carries, sorted. All that is told of a leg at a time shares one list, which must not be changed.
	Members []dots.MitigationKey
}

// String returns the word for a leg's state.
func (s legState) String() string {
	switch s {
	case placing:
		return "placing"
	case placed:
		return "placed"
	case held:
		return "held"
	case leaving:
		return "leaving"
	case left:
		return "left"
	}
	return "foreign"
}

func (c *Core) legInfo(l *leg) LegInfo {
	i := LegInfo{Key: l.want.Key, State: l.state.String(), Status: l.report.Status, Revision: l.want.Revision, Heard: c.outside(l.heard)}
	for _, m := range l.members {
		i.Members = append(i.Members, m.key)
	}
	return i
}

// Mitigations lists all mitigations at a time, sorted by client, cuid and mid. The caller owns the list.
func (c *Core) Mitigations(now time.Time) []MitigationInfo {
	infos := make([]MitigationInfo, 0, len(c.mits))
	told := map[*leg]LegInfo{} // once each: what many share is not listed for each of them
	for _, m := range c.mits {
		i := MitigationInfo{Key: m.key, Domain: m.grant.Domain, Report: c.report(m), Expires: c.outside(m.expires), HopLimit: m.hopLimit, Waiting: len(m.wait)}
		i.Report.Lifetime, i.Recursed, i.To = m.remaining(now), m.recursed, m.to
		for _, k := range slices.Concat(m.legs, m.past) {
			l := c.leg(k)
			if _, known := told[l]; l != nil && !known {
				told[l] = c.legInfo(l)
			}
			if l != nil {
				i.Legs = append(i.Legs, told[l])
			}
		}
		infos = append(infos, i)
	}
	slices.SortFunc(infos, func(a, b MitigationInfo) int { return compareKeys(a.Key, b.Key) })
	return infos
}

// Strangers lists the legs that stand at an uplink under our cuid though we did not ask for them.
func (c *Core) Strangers() []LegInfo {
	var found []LegInfo
	for _, l := range c.sortedLegs() {
		if l.state == foreign {
			found = append(found, c.legInfo(l))
		}
	}
	return found
}

// Statuses counts the mitigations by status. It is quick: it builds no reports.
func (c *Core) Statuses() map[dots.Status]int {
	counts := map[dots.Status]int{}
	for _, m := range c.mits {
		counts[c.shows(m)]++
	}
	return counts
}

// Recursed counts the mitigations that go on from the local mitigators to the uplinks.
func (c *Core) Recursed() int {
	n := 0
	for _, m := range c.mits {
		if m.recursed && m.phase == live {
			n++
		}
	}
	return n
}

// Shared counts, by uplink, the legs that carry several mitigations. It is quick.
func (c *Core) Shared() map[string]int {
	counts := map[string]int{}
	for _, h := range c.legs {
		for _, l := range h.legs {
			if len(l.members) > 1 {
				counts[l.want.Key.Uplink]++
			}
		}
	}
	return counts
}

// Counts is what the core decided since its start.
type Counts struct {
	AAAAllowed, AAADenied, AAAFailed uint64 // answers of the AAA server that were waited for
	TooFast                          uint64 // requests refused because their client was too fast
	Recursed                         uint64 // mitigations that went on to the uplinks
}

// Counts returns the core's counters.
func (c *Core) Counts() Counts { return c.counts }
