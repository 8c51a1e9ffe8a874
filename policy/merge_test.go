package policy

import (
	"slices"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// told is a report of a status.
func told(s dots.Status) dots.Maybe[dots.Report] {
	return dots.Some(dots.Report{Status: s, Start: dots.Some(uint64(1000))})
}

// TestMergeOneLeg goes through the table of statuses told back.
//
// RFC 9132, Section 4.4.2: the statuses, and when mitigation-start is told.
func TestMergeOneLeg(t *testing.T) {
	var silent dots.Maybe[dots.Report]
	tests := []struct {
		name string
		part Part
		want dots.Status
	}{
		{"no answer yet", Part{Report: silent}, 1},
		{"no answer yet, armed", Part{Report: silent, Armed: true}, 8},
		{"no answer after a restart", Part{Report: silent, Shown: 2}, 2},
		{"being set up", Part{Report: told(1)}, 1},
		{"in force", Part{Report: told(2)}, 2},
		{"attack over", Part{Report: told(3)}, 3},
		{"beyond capacity", Part{Report: told(4)}, 4},
		{"5 while it is wanted", Part{Report: told(5), Shown: 2}, 2},
		{"5 while it is wanted, nothing shown", Part{Report: told(5)}, 1},
		{"5 of our own making", Part{Report: told(5), Shown: 4, Transient: true}, 4},
		{"6 while it is wanted", Part{Report: told(6), Shown: 2}, 1},
		{"6 while it is wanted, armed", Part{Report: told(6), Shown: 8, Armed: true}, 8},
		{"6 of our own making", Part{Report: told(6), Shown: 2, Transient: true}, 2},
		{"7", Part{Report: told(7), Shown: 2}, 7},
		{"7 of our own making", Part{Report: told(7), Shown: 2, Transient: true}, 2},
		{"7 of our own making, nothing shown", Part{Report: told(7), Transient: true}, 1},
		{"8", Part{Report: told(8)}, 8},
		{"transient, but in force", Part{Report: told(2), Shown: 1, Transient: true}, 2},
		{"not a status", Part{Report: told(9), Shown: 2}, 2},
		{"no status", Part{Report: told(0)}, 1},
		{"an end was shown", Part{Report: silent, Shown: 6}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Merge([]Part{tt.part})
			if got.Status != tt.want {
				t.Errorf("status %v, want %v", got.Status, tt.want)
			}
			if got.Start.Set != (tt.part.Report.Set && tt.want.Active()) {
				t.Errorf("start %v with status %v", got.Start, got.Status)
			}
		})
	}
	if got := Merge(nil); got.Status != 1 {
		t.Errorf("no legs: %v", got.Status)
	}
}

// TestMergeSeveralLegs goes by design: per target the worst leg of each uplink and the best uplink, per mitigation the worst target; from best to
// worst: 2, 3, 4, 1, 8, 7.
func TestMergeSeveralLegs(t *testing.T) {
	leg := func(uplink string, s dots.Status, covers ...int) Part {
		return Part{Report: told(s), Uplink: uplink, Covers: covers}
	}
	a := func(s dots.Status, covers ...int) Part { return leg("a", s, covers...) }
	b := func(s dots.Status, covers ...int) Part { return leg("b", s, covers...) }
	tests := []struct {
		name  string
		parts []Part
		want  dots.Status
	}{
		{"two uplinks: the better", []Part{a(1), b(2)}, 2},
		{"one uplink: the worse", []Part{a(1), a(2)}, 1},
		{"4 here, 2 there", []Part{a(4), b(2)}, 2},
		{"4 before 1", []Part{a(1), b(4)}, 4},
		{"3 before 4", []Part{a(4), b(3)}, 3},
		{"1 before 8", []Part{a(8), b(1)}, 1},
		{"8 before 7", []Part{a(7), b(8)}, 8},
		{"7 at one of two legs of an uplink", []Part{a(2), a(7)}, 7},
		{"one of two legs fails, the other uplink has all", []Part{a(2), a(7), b(4)}, 4},
		{"each uplink lacks a part: the better of the worse", []Part{a(2), a(1), b(2), b(4)}, 4},
		{"one target each: the worse", []Part{a(2, 0), a(1, 1)}, 1},
		{"one target each at two uplinks: the worse", []Part{a(2, 0), b(1, 1)}, 1},
		{"one lost", []Part{a(2, 0), b(7, 1)}, 7},
		{"one lost, but covered elsewhere", []Part{a(2, 0, 1), b(7, 1)}, 2},
		{"one target cut in two at an uplink, one lost", []Part{a(2, 0, 1), a(7, 1)}, 7},
		{"one for all, one for a part", []Part{a(1), b(2, 1), b(4, 0)}, 4},
		{"three targets", []Part{a(3, 0), a(4, 1), a(2, 2)}, 4},
		{"not reported", []Part{a(2, 0), {Uplink: "a", Covers: []int{1}}}, 1},
		{"not reported, elsewhere in force", []Part{{Uplink: "a"}, b(2)}, 2},
		{"a change of ours shows what was shown", []Part{a(2), {Report: told(7), Uplink: "a", Transient: true, Shown: 2}}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Merge(tt.parts).Status; got != tt.want {
				t.Errorf("status %v, want %v", got, tt.want)
			}
			slices.Reverse(tt.parts)
			if got := Merge(tt.parts).Status; got != tt.want {
				t.Errorf("the other way round: status %v, want %v", got, tt.want)
			}
		})
	}
}

// TestMergeTellsTheDecidingLegsConflict: the conflict goes with the status that it explains.
func TestMergeTellsTheDecidingLegsConflict(t *testing.T) {
	conflict := func(timer uint32) dots.Maybe[dots.Conflict] {
		return dots.Some(dots.Conflict{Status: dots.ConflictOtherActive, Cause: dots.CauseAcceptList, RetryTimer: timer})
	}
	leg := func(uplink string, s dots.Status, timer uint32) Part {
		return Part{Uplink: uplink, Report: dots.Some(dots.Report{Status: s, Conflict: conflict(timer)})}
	}
	tests := []struct {
		name  string
		parts []Part
		want  dots.Maybe[dots.Conflict]
	}{
		{"the worst of one uplink", []Part{leg("a", 1, 10), leg("a", 7, 20)}, conflict(20)},
		{"the best of two", []Part{leg("a", 7, 10), leg("b", 1, 20)}, conflict(20)},
		{"in force elsewhere: none", []Part{leg("a", 7, 10), {Uplink: "b", Report: told(2)}}, dots.Maybe[dots.Conflict]{}},
		{"of two alike the first", []Part{leg("b", 7, 10), leg("a", 7, 20)}, conflict(10)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if s := diff(tt.want, Merge(tt.parts).Conflict); s != "" {
				t.Error(s)
			}
		})
	}
}

func TestMergeAddsCountersAndTakesTheEarliestStart(t *testing.T) {
	some := func(v uint64) dots.Maybe[uint64] { return dots.Some(v) }
	got := Merge([]Part{
		{Uplink: "a", Report: dots.Some(dots.Report{Status: 2, Start: some(2000), Counters: dots.Counters{BytesDropped: some(1), BytesPerSecond: some(0)}})},
		{Uplink: "b", Report: dots.Some(dots.Report{Status: 1, Start: some(1500), Counters: dots.Counters{BytesDropped: some(2), PktsDropped: some(1<<64 - 1)}})},
		{Uplink: "b", Report: dots.Some(dots.Report{Status: 1, Counters: dots.Counters{PktsDropped: some(2)}})},
		{},
	})
	want := dots.Report{
		Status: 2, Start: some(1500),
		Counters: dots.Counters{BytesDropped: some(3), BytesPerSecond: some(0), PktsDropped: some(1)}, // wraps at 2^64
	}
	if s := diff(want, got); s != "" {
		t.Error(s)
	}
}

// RFC 9132, Section 4.4.2: conflict-information goes with 7 when deactivated and with 1 when in progress though conflicting.
func TestMergeConflict(t *testing.T) {
	own := Expanded{Prefixes: prefixes("198.51.100.0/24"), Names: []string{"www.example.com"}}
	report := func(s dots.Status, c dots.Conflict) dots.Maybe[dots.Report] {
		return dots.Some(dots.Report{Status: s, Conflict: dots.Some(c)})
	}
	lost := dots.Conflict{
		Status: dots.ConflictOtherActive, Cause: dots.CauseOverlappingTargets, RetryTimer: 30, MID: dots.Some(uint32(4711)),
		Scope: dots.Target{Prefixes: prefixes("198.51.100.0/28", "192.0.2.0/24"), FQDNs: []string{"WWW.example.com", "other.example"}, Aliases: []string{"x"}},
	}
	cut := dots.Conflict{
		Status: dots.ConflictOtherActive, Cause: dots.CauseOverlappingTargets, RetryTimer: 30,
		Scope: dots.Target{Prefixes: prefixes("198.51.100.0/28"), FQDNs: []string{"www.example.com"}},
	}
	running := dots.Conflict{Status: dots.ConflictThisActive, Cause: dots.CauseAcceptList, ACLs: []dots.ACLRef{{Name: "inside"}}}
	tests := []struct {
		name string
		part Part
		want dots.Maybe[dots.Conflict]
	}{
		{"deactivated", Part{Report: report(7, lost), Own: own}, dots.Some(cut)},
		{"in progress", Part{Report: report(1, running), Own: own}, dots.Some(dots.Conflict{Status: dots.ConflictThisActive, Cause: dots.CauseAcceptList})},
		{"hidden with its status", Part{Report: report(7, lost), Own: own, Transient: true, Shown: 2}, dots.Maybe[dots.Conflict]{}},
		{"of our cuid", Part{Report: report(7, dots.Conflict{Cause: dots.CauseCUIDCollision})}, dots.Maybe[dots.Conflict]{}},
		{"none", Part{Report: told(7)}, dots.Maybe[dots.Conflict]{}},
		{"no report", Part{}, dots.Maybe[dots.Conflict]{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if s := diff(tt.want, Merge([]Part{tt.part}).Conflict); s != "" {
				t.Error(s)
			}
		})
	}
	if lost.Scope.Aliases[0] != "x" || !lost.MID.Set {
		t.Error("the uplink's conflict itself was changed")
	}
}

func TestTranslateConflictScope(t *testing.T) {
	own := Expanded{Prefixes: prefixes("198.51.100.0/24"), URIs: []string{"https://www.example.com:443/"}}
	tests := []struct {
		name        string
		scope, want dots.Target
	}{
		{"wider than own", dots.Target{Prefixes: prefixes("198.51.0.0/16")}, dots.Target{Prefixes: prefixes("198.51.100.0/24")}},
		{"host bits", dots.Target{Prefixes: prefixes("198.51.100.77/28")}, dots.Target{Prefixes: prefixes("198.51.100.64/28")}},
		{"not own at all", dots.Target{Prefixes: prefixes("192.0.2.0/24"), FQDNs: []string{"x.example"}}, dots.Target{}},
		{"uri in another form", dots.Target{URIs: []string{"HTTPS://WWW.example.com"}}, dots.Target{URIs: []string{"https://www.example.com:443/"}}},
		{"nonsense", dots.Target{URIs: []string{"::"}, FQDNs: []string{"-"}}, dots.Target{}},
		{"ports are no scope of ours", dots.Target{Ports: []dots.PortRange{{Lower: 1, Upper: 2}}}, dots.Target{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := TranslateConflict(dots.Conflict{Cause: dots.CauseOverlappingTargets, Scope: tt.scope}, own)
			if s := diff(tt.want, got.Scope); s != "" {
				t.Error(s)
			}
		})
	}
}
