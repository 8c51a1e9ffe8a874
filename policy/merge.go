package policy

import (
	"slices"

	"github.com/dotsgate/dotsgate/dots"
)

// Part is a leg of a mitigation, as Merge sees it.
type Part struct {
	// Report is the uplink's latest word on the leg; not set: none yet.
	Report dots.Maybe[dots.Report]
	// Shown is the status last told for this leg, kept while a transient of our own making passes. 0: none.
	Shown dots.Status
	// Transient says that the gateway itself replaced or withdrew the leg, so that its 5, 6 and 7 are not the uplink's will.
	Transient bool
	// Armed says that the mitigation waits for the loss of the session: without a report it shows 8 and not 1.
	Armed bool
	// Covers are the indices of the mitigation's targets that the leg protects; empty: all of them.
	Covers []int
	// Uplink tells apart who reports: of one uplink the worst leg counts for a target, of several uplinks the best.
	Uplink string
	// Own is the mitigation's target as uplinks know it (Grant.Outside): a conflict's scope is cut to it.
	Own Expanded
}

// Merge combines the reports on a mitigation's legs to one: status, start, counters and conflict. For each target the worst leg of an
// uplink counts, since each of them protects a part of it, and of several uplinks the best; for the mitigation the worst target counts.
// From best to worst: 2, 3, 4, 1, 8, 7. MID, target and lifetime are the mitigation's own and are left for the caller to fill in, and
// so is the translation of the conflict's scope to what the client calls its addresses (Policy.Inside). An armed copy of what has been
// triggered is left out by the caller. Without parts the status is 1: accepted, and asked for nowhere yet.
func Merge(parts []Part) dots.Report {
	var r dots.Report
	i := deciding(parts)
	if i < 0 {
		r.Status = dots.StatusInProgress
		return r
	}
	r.Status = parts[i].status()
	r.Conflict = parts[i].conflict(r.Status)
	for i := range parts {
		p := &parts[i]
		if !p.Report.Set {
			continue
		}
		r.Counters = addCounters(r.Counters, p.Report.Value.Counters)
		// RFC 9132, Section 4.4.2: mitigation-start is told while the mitigation is active, and never with status 8.
		if start := p.Report.Value.Start; r.Status.Active() && start.Set {
			r.Start = dots.Some(min(start.Value, r.Start.Or(start.Value)))
		}
	}
	return r
}

// deciding returns the index of the part whose status is the mitigation's; -1: there are no parts. Of equals the first decides.
func deciding(parts []Part) int {
	if len(parts) <= 1 {
		return len(parts) - 1
	}
	var targets []int
	for i := range parts {
		targets = append(targets, parts[i].Covers...)
	}
	if targets = unique(targets); len(targets) == 0 {
		targets = []int{0}
	}
	worst := -1
	for _, t := range targets {
		if best := decidingFor(t, parts); best >= 0 && (worst < 0 || rank(parts[best].status()) > rank(parts[worst].status())) {
			worst = best
		}
	}
	return worst
}

// decidingFor returns the index of the part whose status is that of a target: the best uplink's worst. -1: none protects it.
func decidingFor(target int, parts []Part) int {
	best, at := -1, map[string]int{} // the worst of each uplink
	for i := range parts {
		p := &parts[i]
		if len(p.Covers) > 0 && !slices.Contains(p.Covers, target) {
			continue
		}
		if j, ok := at[p.Uplink]; !ok || rank(p.status()) > rank(parts[j].status()) {
			at[p.Uplink] = i
		}
	}
	for i := range parts { // not over the map: the order must be the same each time
		if j, ok := at[parts[i].Uplink]; ok && i == j && (best < 0 || rank(parts[i].status()) < rank(parts[best].status())) {
			best = i
		}
	}
	return best
}

// rank orders statuses from best to worst.
func rank(s dots.Status) int {
	order := [...]dots.Status{
		dots.StatusMitigated, dots.StatusStopped, dots.StatusExceeded, dots.StatusInProgress,
		dots.StatusSignalLossArmed, dots.StatusWithdrawn,
	}
	return slices.Index(order[:], s)
}

// status returns what the client is to see of a leg that is wanted: one of the statuses that rank orders.
func (p *Part) status() dots.Status {
	if !p.Report.Set {
		return p.before()
	}
	switch s := p.Report.Value.Status; s {
	case dots.StatusClientWithdrawn: // by another client or a change of ours: this one still wants it
		return p.before()
	case dots.StatusTerminated:
		if p.Transient {
			return p.before()
		}
		return p.waiting() // asked for again
	case dots.StatusWithdrawn:
		if p.Transient {
			return p.before()
		}
		return s
	default:
		if !s.Valid() {
			return p.before()
		}
		return s
	}
}

// before returns what was shown last, or what a leg without a report shows.
func (p *Part) before() dots.Status {
	if rank(p.Shown) >= 0 {
		return p.Shown
	}
	return p.waiting()
}

// waiting returns what a leg shows that the uplink has not reported on.
func (p *Part) waiting() dots.Status {
	if p.Armed {
		return dots.StatusSignalLossArmed
	}
	return dots.StatusInProgress
}

// conflict returns the leg's conflict for the client, where the status shown is the one that came with it.
//
// RFC 9132, Section 4.4.2: conflict-information goes with status 7 when the request is deactivated, and with status 1 when it
// is in progress though conflicting.
func (p *Part) conflict(shown dots.Status) dots.Maybe[dots.Conflict] {
	if !p.Report.Set || !p.Report.Value.Conflict.Set || p.Report.Value.Status != shown {
		return dots.Maybe[dots.Conflict]{}
	}
	c := p.Report.Value.Conflict.Value
	if c.Cause == dots.CauseCUIDCollision { // of our cuid, which is none of the client's
		return dots.Maybe[dots.Conflict]{}
	}
	return dots.Some(TranslateConflict(c, p.Own))
}

// TranslateConflict makes an uplink's conflict fit for the client: status, cause and retry-timer stay, the scope is cut to what is the
// client's own; mid, aliases and lists are the gateway's names at the uplink and are dropped.
func TranslateConflict(c dots.Conflict, own Expanded) dots.Conflict {
	t := dots.Conflict{Status: c.Status, Cause: c.Cause, RetryTimer: c.RetryTimer}
	if c.Cause != dots.CauseOverlappingTargets {
		return t
	}
	scope := Expanded{Prefixes: slices.Clone(masked(c.Scope.Prefixes))}
	for _, s := range c.Scope.FQDNs {
		if name, ok := normalName(s); ok {
			scope.Names = append(scope.Names, name)
		}
	}
	for _, s := range c.Scope.URIs {
		if u, ok := parseURI(s); ok {
			scope.URIs = append(scope.URIs, u.String())
		}
	}
	t.Scope = own.Intersect(scope.normal())
	return t
}

// addCounters adds what legs dropped. What no leg tells stays absent.
func addCounters(a, b dots.Counters) dots.Counters {
	return dots.Counters{
		BytesDropped: add(a.BytesDropped, b.BytesDropped), BytesPerSecond: add(a.BytesPerSecond, b.BytesPerSecond),
		PktsDropped: add(a.PktsDropped, b.PktsDropped), PktsPerSecond: add(a.PktsPerSecond, b.PktsPerSecond),
	}
}

// add wraps at 2^64-1, as counters do (RFC 9132, Section 4.4.2).
func add(a, b dots.Maybe[uint64]) dots.Maybe[uint64] {
	return dots.Maybe[uint64]{Value: a.Value + b.Value, Set: a.Set || b.Set}
}
