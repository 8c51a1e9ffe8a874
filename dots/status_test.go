package dots_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
)

type status struct {
	status dots.Status
	number uint8
	text   string
	active bool
}

// statuses are the states of RFC 9132, Section 4.4.2, Table 3, by their numbers.
func statuses() map[string]status {
	return map[string]status{
		"StatusInProgress":      {dots.StatusInProgress, 1, "in-progress", true},
		"StatusMitigated":       {dots.StatusMitigated, 2, "mitigated", true},
		"StatusStopped":         {dots.StatusStopped, 3, "attack-stopped", true},
		"StatusExceeded":        {dots.StatusExceeded, 4, "exceeded", true},
		"StatusClientWithdrawn": {dots.StatusClientWithdrawn, 5, "client-withdrawn", true},
		"StatusTerminated":      {dots.StatusTerminated, 6, "terminated", false},
		"StatusWithdrawn":       {dots.StatusWithdrawn, 7, "withdrawn", false},
		"StatusSignalLossArmed": {dots.StatusSignalLossArmed, 8, "armed", false},
	}
}

func TestStatus(t *testing.T) {
	texts := map[string]string{}
	for name, want := range statuses() {
		if got := uint8(want.status); got != want.number {
			t.Errorf("%s is %d, want %d", name, got, want.number)
		}
		if got := want.status.String(); got != want.text {
			t.Errorf("%s: String is %q, want %q", name, got, want.text)
		}
		if !want.status.Valid() {
			t.Errorf("%s is not valid", name)
		}
		if got := want.status.Active(); got != want.active {
			t.Errorf("%s: Active is %v, want %v", name, got, want.active)
		}
		if other := texts[want.text]; other != "" {
			t.Errorf("%s and %s are both %q", name, other, want.text)
		}
		texts[want.text] = name
	}
}

func TestEveryStatusIsListed(t *testing.T) {
	want := map[string]bool{}
	for name := range statuses() {
		want[name] = true
	}
	if diff := cmp.Diff(want, constants(t, "status.go", "Status")); diff != "" {
		t.Errorf("(-table +status.go)\n%s", diff)
	}
}

// TestUnknownStatus: neither "not known" nor a number of a later standard is a state, or in force.
func TestUnknownStatus(t *testing.T) {
	for s, want := range map[dots.Status]string{0: "unknown(0)", 9: "unknown(9)", 255: "unknown(255)"} {
		if s.Valid() || s.Active() {
			t.Errorf("%d: valid %v, active %v", uint8(s), s.Valid(), s.Active())
		}
		if got := s.String(); got != want {
			t.Errorf("%d: got %q, want %q", uint8(s), got, want)
		}
	}
	valid := 0
	for n := range 256 {
		if dots.Status(n).Valid() {
			valid++
		}
	}
	if valid != len(statuses()) {
		t.Errorf("%d numbers are valid, want %d", valid, len(statuses()))
	}
}

// RFC 9132, Section 4.4.3: attack-status is 1 (under attack) or 2 (attack successfully mitigated).
func TestAttackStatus(t *testing.T) {
	for n := range 256 {
		if got, want := dots.AttackStatus(n).Valid(), n == 1 || n == 2; got != want {
			t.Errorf("%d: Valid is %v, want %v", n, got, want)
		}
	}
	if dots.AttackUnderAttack != 1 || dots.AttackMitigated != 2 {
		t.Errorf("under attack is %d, mitigated is %d", dots.AttackUnderAttack, dots.AttackMitigated)
	}
}

// TestNumbersOfTheWire pins the numbers that no method shows.
func TestNumbersOfTheWire(t *testing.T) {
	type row struct {
		name      string
		got, want uint8
	}
	for _, r := range []row{
		// RFC 9132, Section 4.4.1.3: conflict-status and conflict-cause.
		{"ConflictOtherActive", uint8(dots.ConflictOtherActive), 1},
		{"ConflictThisActive", uint8(dots.ConflictThisActive), 2},
		{"ConflictAllInactive", uint8(dots.ConflictAllInactive), 3},
		{"CauseOverlappingTargets", uint8(dots.CauseOverlappingTargets), 1},
		{"CauseAcceptList", uint8(dots.CauseAcceptList), 2},
		{"CauseCUIDCollision", uint8(dots.CauseCUIDCollision), 3},
		{"CauseLegitimateTraffic", uint8(dots.CauseLegitimateTraffic), 4},
		{"CauseOverlappingPipes", uint8(dots.CauseOverlappingPipes), 5},
		// RFC 9133, Section 3.2.2: activation-type.
		{"ActivateWhenMitigating", uint8(dots.ActivateWhenMitigating), 1},
		{"ActivateImmediate", uint8(dots.ActivateImmediate), 2},
		{"ActivateDeactivate", uint8(dots.ActivateDeactivate), 3},
	} {
		if r.got != r.want {
			t.Errorf("%s is %d, want %d", r.name, r.got, r.want)
		}
	}
}
