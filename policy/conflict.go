package policy

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/dotsgate/dotsgate/dots"
)

// judge weighs a request against the live ones of its domain: it fills in what the grant supersedes and deactivates, or refuses.
// In a refusal for another client's sake, the grant's Informs are filled in. Only OverlapRejectNew makes another client's request an obstacle.
func (c client) judge(v View, a Ask, g *Grant, t *trace) *dots.Error {
	var others []Overlap
	var higher dots.Maybe[uint32]
	for _, o := range c.overlaps(v, a, g, t) {
		t.step("overlap", ResultNote, func() (string, string) { return sayKey(o.Key), c.domain.sayOverlap(a, o, g.Expanded) })
		switch {
		case o.Key.Client == a.Client:
			weighOwn(a, o, g, &higher)
		case c.domain.overlap == OverlapRejectNew && clash(a, o):
			others = append(others, o)
		}
	}
	g.Supersedes = sorted(g.Supersedes, cmp.Compare[uint32])
	g.Deactivates = sorted(g.Deactivates, cmp.Compare[uint32])
	if higher.Set {
		return lowerMID(higher.Value)
	}
	err := c.checkQuota(v, a, len(g.Supersedes))
	t.step("quota", result(err), func() (string, string) {
		return fmt.Sprintf("%d live mitigations", v.Mitigations(a.Client)), fmt.Sprintf("at most %d", c.limits.maxMitigations)
	})
	if err != nil {
		return err
	}
	if len(others) == 0 {
		return nil
	}
	err, g.Informs = rejectNew(g.Expanded, others)
	return err
}

// overlaps lists the live mitigations that may be in a request's way. Who explains a decision is told of all that overlap.
func (c client) overlaps(v View, a Ask, g *Grant, t *trace) []Overlap {
	if n, ok := v.(Narrow); ok && t == nil && c.domain.overlap != OverlapRejectNew {
		return n.OwnOverlaps(a.Client, c.domain.name, g.Expanded)
	}
	return v.Overlaps(c.domain.name, g.Expanded)
}

// weighOwn sorts one of the client's own overlapping requests.
//
// RFC 9132, Section 4.4.1.3: of two overlapping requests with the same trigger type the one with the higher mid stands and the
// other is deleted; an immediate request deactivates an overlapping one that waits for the loss of the session.
func weighOwn(a Ask, o Overlap, g *Grant, higher *dots.Maybe[uint32]) {
	mid := o.Key.MID
	switch {
	case mid == a.Request.MID:
	case o.OnSignalLoss != a.Request.OnSignalLoss:
		if o.OnSignalLoss {
			g.Deactivates = append(g.Deactivates, mid)
		}
	case mid < a.Request.MID:
		g.Supersedes = append(g.Supersedes, mid)
	default:
		*higher = dots.Some(max(mid, higher.Value))
	}
}

// clash reports whether another client's overlapping request is in the way: an armed one does not hold up an immediate one.
func clash(a Ask, o Overlap) bool {
	return a.Request.OnSignalLoss == (o.OnSignalLoss && !o.Fired)
}

// lowerMID refuses a request whose mid is below that of an own overlapping one.
//
// RFC 9132, Section 4.4.1.3: a lower mid that overlaps a higher one is answered 4.09 with cause 1; the scope may be the mid.
func lowerMID(higher uint32) *dots.Error {
	return &dots.Error{
		Code: dots.CodeConflict, Text: "overlaps a higher mid of yours",
		Conflict: dots.Some(dots.Conflict{Cause: dots.CauseOverlappingTargets, MID: dots.Some(higher)}),
	}
}

// checkQuota refuses one mitigation too many. Those that the request replaces make room.
func (c client) checkQuota(v View, a Ask, replaced int) *dots.Error {
	if a.Held.Set || v.Mitigations(a.Client)-replaced < c.limits.maxMitigations {
		return nil
	}
	return unavailable("too many mitigations", c.limits.retryAfter)
}

// rejectNew refuses a request in favour of other clients', and tells them.
//
// RFC 9132, Section 4.4.1.3: a request rejected for another client's is answered 4.09 with status, cause and scope of the
// conflict; the retry-timer is the remaining lifetime of the one that stands.
func rejectNew(asked Expanded, others []Overlap) (*dots.Error, []Inform) {
	var scope Expanded
	var informs []Inform
	for _, o := range others {
		part := asked.target()
		if !o.Expanded.Empty() {
			part = asked.Intersect(o.Expanded)
		}
		scope.Prefixes, scope.Names = append(scope.Prefixes, part.Prefixes...), append(scope.Names, part.FQDNs...)
		scope.URIs, scope.Aliases = append(scope.URIs, part.URIs...), append(scope.Aliases, part.Aliases...)
		informs = append(informs, Inform{Key: o.Key, Conflict: dots.Conflict{
			Status: dots.ConflictThisActive, Cause: dots.CauseOverlappingTargets, Scope: part,
		}})
	}
	return &dots.Error{
		Code: dots.CodeConflict, Text: "overlaps another client's request",
		Conflict: dots.Some(dots.Conflict{
			Status: dots.ConflictOtherActive, Cause: dots.CauseOverlappingTargets,
			RetryTimer: retryTimer(others), Scope: scope.normal().target(),
		}),
	}, informs
}

// Yields tells both sides of an overlap that arose after both had been admitted: the conflict of the one that gives way, whose target is
// own, and what the client of the other one is told.
func Yields(own Expanded, o Overlap) (dots.Conflict, Inform) {
	err, informs := rejectNew(own, []Overlap{o})
	return err.Conflict.Value, informs[0]
}

// retryTimer returns the seconds until the last of the others ends; 0: not known, or never.
func retryTimer(others []Overlap) uint32 {
	longest := slices.MaxFunc(others, func(a, b Overlap) int {
		switch {
		case a.Remaining == b.Remaining:
			return 0
		case a.Remaining.Longer(b.Remaining):
			return 1
		}
		return -1
	}).Remaining
	if longest <= 0 || longest > math.MaxUint32 {
		return 0
	}
	return uint32(longest)
}
