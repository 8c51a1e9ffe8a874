package gateway

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
)

// silent compares what is said of the uplinks' silence, given the time of the start.
func silent(t *testing.T, r *rig, since time.Time, want map[string]time.Duration) {
	t.Helper()
	if diff := cmp.Diff(want, r.core.Silence(r.now, since)); diff != "" {
		t.Errorf("at %v: silence (-want +got):\n%s", r.now.Sub(r.start), diff)
	}
}

// TestHeard holds that the operator sees of each leg when its newest report came, and of each uplink how long it has been silent.
//
// RFC 9132, Section 4.4.2: what a client is told of a mitigation's state can be no newer than this.
func TestHeard(t *testing.T) {
	r := newRig(t, CoreConfig{})
	none := map[string]time.Duration{}
	client := dots.Client{Name: "a", CUID: "cuid-a"}
	r.step(LinkUp{"up"})
	legOf := func(mid uint32) *leg {
		return r.core.leg(r.core.mits[dots.MitigationKey{Client: client, MID: mid}].legs[0])
	}
	ask := func(mid uint32, prefix string) {
		r.step(Mitigate{r.ticket("put"), dots.Ask{Client: client, Request: put(mid, prefix)}})
	}
	place := func(mid uint32) {
		l := legOf(mid).want
		r.step(Answered{dots.LegAnswer{Key: l.Key, Revision: l.Revision, Code: dots.CodeCreated, Lifetime: dots.Some[dots.Lifetime](3600)}})
	}
	report := func(mid uint32) {
		k := legOf(mid).want.Key
		r.step(Reported{Uplink: "up", CUID: k.CUID, Reports: []dots.Report{{MID: k.MID, Status: dots.StatusMitigated}}})
	}
	heard := func(mid uint32, want time.Time) {
		t.Helper()
		for _, m := range r.core.Mitigations(r.now) {
			if m.Key.MID == mid && !m.Legs[0].Heard.Equal(want) {
				t.Errorf("mid %d: heard at %v, want %v", mid, m.Legs[0].Heard, want)
			}
		}
	}

	ask(1, "192.0.2.1/32")
	ask(2, "192.0.2.2/32")
	silent(t, r, r.start, none) // not placed: nothing is to be told of them
	r.now = r.now.Add(time.Second)
	place(1)
	place(2)
	heard(1, time.Time{})
	r.now = r.now.Add(10 * time.Second)
	silent(t, r, r.start, map[string]time.Duration{"up": 10 * time.Second})
	report(1)
	first := r.now
	heard(1, first)
	heard(2, time.Time{})
	silent(t, r, r.start, map[string]time.Duration{"up": 10 * time.Second}) // of the second
	report(2)
	silent(t, r, r.start, map[string]time.Duration{"up": 0})
	r.now = r.now.Add(time.Minute)
	report(2)
	heard(1, first)
	heard(2, r.now)
	silent(t, r, r.start, map[string]time.Duration{"up": time.Minute}) // of the first

	r.boot() // a restart forgets when; the time counts from it
	heard(1, time.Time{})
	boot := r.now
	r.step(LinkUp{"up"})
	r.now = r.now.Add(7 * time.Second)
	silent(t, r, boot, map[string]time.Duration{"up": 7 * time.Second})
	for mid := range uint32(2) {
		r.step(Withdraw{r.ticket("delete"), dots.MitigationKey{Client: client, MID: mid + 1}})
	}
	silent(t, r, boot, none)
}
