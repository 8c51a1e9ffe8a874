package policy

import "github.com/dotsgate/dotsgate/dots"

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
	// Own is the mitigation's target: a conflict's scope is cut to it.
	Own Expanded
}

// Merge combines the reports on a mitigation's legs to one: status, start, counters and conflict. MID, target and lifetime are
// the mitigation's own and are left for the caller to fill in.
func Merge(parts []Part) dots.Report { return dots.Report{} }

// TranslateConflict makes an uplink's conflict fit for the client: scope cut to what is its own, no mid, alias or list of the other side.
func TranslateConflict(c dots.Conflict, own Expanded) dots.Conflict { return c }
