package policy

import (
	"net/netip"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// TestYields tests what both sides of a late overlap are told (RFC 9132, Section 4.4.1.3).
func TestYields(t *testing.T) {
	own := Expanded{Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/30")}}
	part := netip.MustParsePrefix("192.0.2.1/32")
	other := Overlap{
		Key:      dots.MitigationKey{Client: dots.Client{Name: "b", CUID: "cuid-b"}, MID: 7},
		Expanded: Expanded{Prefixes: []netip.Prefix{part}}, Remaining: 90,
	}
	conflict, inform := Yields(own, other)
	if conflict.Status != dots.ConflictOtherActive || conflict.Cause != dots.CauseOverlappingTargets || conflict.RetryTimer != 90 {
		t.Errorf("the one that gives way is told %+v", conflict)
	}
	if inform.Key != other.Key || inform.Conflict.Status != dots.ConflictThisActive || inform.Conflict.RetryTimer != 0 {
		t.Errorf("the other one is told %+v", inform)
	}
	for _, scope := range []dots.Target{conflict.Scope, inform.Conflict.Scope} {
		if len(scope.Prefixes) != 1 || scope.Prefixes[0] != part {
			t.Errorf("scope %v", scope.Prefixes)
		}
	}
}

// TestRefusalKeepsRetryTimer tests that nothing is to be asked before the uplink's retry-timer ends
// (RFC 9132, Section 4.4.1.3).
func TestRefusalKeepsRetryTimer(t *testing.T) {
	err := &dots.Error{Code: dots.CodeConflict, Conflict: dots.Some(dots.Conflict{Cause: dots.CauseOverlappingTargets, RetryTimer: 120})}
	for _, late := range []bool{false, true} {
		if got := FanBack(err, Situation{Late: late, NodeID: "gw"}); got.Action != Refuse || got.RetryAfter != 2*time.Minute {
			t.Errorf("late %v: %v after %v", late, got.Action, got.RetryAfter)
		}
	}
}
