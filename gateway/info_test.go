package gateway

import (
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// TestLookingChangesNothing lists and counts at a later time: the core's own time stays that of its last step.
//
// RFC 9132, Section 4.4.2: the remaining lifetime is told.
func TestLookingChangesNothing(t *testing.T) {
	r := newRig(t, CoreConfig{})
	r.step(Mitigate{r.ticket("put"), dots.Ask{Client: me, Request: put(1, "192.0.2.1/32")}})
	infos := r.core.Mitigations(r.now.Add(time.Minute))
	if len(infos) != 1 || infos[0].Report.Lifetime != 3540 || infos[0].Report.Status != dots.StatusInProgress {
		t.Errorf("listed: %+v", infos)
	}
	if got := r.core.Statuses(); len(got) != 1 || got[dots.StatusInProgress] != 1 {
		t.Errorf("counted: %v", got)
	}
	if !r.core.now.Equal(r.now) {
		t.Errorf("the core's time went from %v to %v", r.now, r.core.now)
	}
}

// TestRefreshTakenBack lets the record of a refresh fail: everything that it changed is as before.
//
// RFC 9132, Section 4.4.1.3: a refresh that was refused changes nothing.
func TestRefreshTakenBack(t *testing.T) {
	r := newRig(t, CoreConfig{})
	ask := dots.Ask{Client: me, Request: put(1, "192.0.2.1/32"), HopLimit: 9}
	r.step(Mitigate{r.ticket("put"), ask})
	m := r.core.mits[dots.MitigationKey{Client: me, MID: 1}]
	m.own = dots.Some(dots.Conflict{Status: dots.ConflictOtherActive})
	r.manual = true
	ask.HopLimit = 3
	r.step(Mitigate{r.ticket("refresh"), ask})
	if m.hopLimit != 3 || m.own.Set {
		t.Fatalf("the refresh was not taken: %+v", m)
	}
	r.fail(false, false)
	l := r.core.leg(m.legs[0]).want
	if m.hopLimit != 9 || !m.own.Set || l.HopLimit != 9 {
		t.Errorf("hop limit %d and %d, conflict %v", m.hopLimit, l.HopLimit, m.own.Set)
	}
}
