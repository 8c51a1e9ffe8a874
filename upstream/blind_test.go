package upstream

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// RFC 9132, Section 4.4.2: the answer to a GET of a cuid has all its mitigations, which may be more than a request's arrays.
func TestTheStatusOfAThousandLegsUnderOneCUID(t *testing.T) {
	const legs = 1100
	for _, reliable := range []bool{false, true} {
		t.Run(map[bool]string{false: "UDP", true: "TCP"}[reliable], func(t *testing.T) {
			virtual(t, nil, func(w *world) {
				w.reliable = reliable
				heard := map[uint32]dots.Status{}
				w.events.reported = func(reports []dots.Report) { note(heard, reports) }
				w.run()
				w.want(manyLegs(legs)...)
				w.sleep(10 * time.Second)
				w.mitigated()
				w.sleep(2 * time.Minute)
				w.heardAll(heard, legs, dots.StatusMitigated)
				if i := w.manager.Links()[0]; i.Blind != 0 || i.Legs[LegPlaced] != legs {
					t.Fatalf("info %+v", i)
				}
			})
		})
	}
}

// A list over the limit of a body costs nobody the status of a mitigation: each is asked for by its mid. It is told once, and
// once that it is over.
func TestTheStatusOfLegsWhoseListIsTooLarge(t *testing.T) {
	const legs = 300
	log := &strings.Builder{}
	virtual(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) }, func(w *world) {
		w.limits.MaxResponseBody = 2048
		heard := map[uint32]dots.Status{}
		w.events.reported = func(reports []dots.Report) { note(heard, reports) }
		w.run()
		w.want(manyLegs(legs)...)
		w.sleep(2 * time.Minute)
		w.heardAll(heard, legs, dots.StatusInProgress)
		if i := w.manager.Links()[0]; i.Blind != 1 || i.Legs[LegPlaced] != legs {
			t.Fatalf("info %+v", i)
		}
		w.mitigated()
		w.set(func() { w.asked = nil })
		w.sleep(10 * time.Minute)
		w.heardAll(heard, legs, dots.StatusMitigated)
		gets := w.getsOfLegs()
		if gets > 10*legs || gets < 6*legs { // one for each leg in a poll, but for the polls in which the list was asked for
			t.Errorf("%d GETs of a leg in 10 minutes", gets)
		}
		w.set(func() { // most of them end, so that the list is small
			for mid := range w.standing {
				if mid > 20 {
					delete(w.standing, mid)
				}
			}
		})
		var keys []dots.LegKey
		for _, l := range manyLegs(legs)[20:] {
			keys = append(keys, l.Key)
		}
		w.manager.Forget("a", keys)
		w.sleep(10 * time.Minute)
		if i := w.manager.Links()[0]; i.Blind != 0 {
			t.Fatalf("info %+v", i)
		}
	})
	for text, n := range map[string]int{
		"level=ERROR msg=\"status list of uplink cannot be had, asking for each mitigation\"": 1,
		"level=INFO msg=\"status list of uplink can be had again\"":                           1,
	} {
		if got := strings.Count(log.String(), text); got != n {
			t.Errorf("%d times, want %d: %s", got, n, text)
		}
	}
}

// getsOfLegs counts the GETs of one leg that reached the server.
func (w *world) getsOfLegs() int {
	gets := 0
	for _, m := range w.log() {
		if strings.HasPrefix(m.What, "GET ") {
			gets++
		}
	}
	return gets
}

// manyLegs are legs with the mids from 1 on.
func manyLegs(n uint32) []dots.Leg {
	legs := make([]dots.Leg, n)
	for i := range n {
		legs[i] = putLeg(i+1, 1)
	}
	return legs
}

// note keeps the newest status of each mid.
func note(heard map[uint32]dots.Status, reports []dots.Report) {
	for _, r := range reports {
		heard[r.MID] = r.Status
	}
}

// mitigated lets the server mitigate everything, and notify.
func (w *world) mitigated() {
	w.set(func() {
		for mid := range w.standing {
			w.standing[mid] = dots.StatusMitigated
		}
	})
	w.mu.Lock()
	o, reports := w.observer, w.reports(dots.Maybe[uint32]{})
	w.mu.Unlock()
	if o != nil {
		o.Notify(encode(w.profile, wire.Request{Op: wire.GetMitigations, CUID: "cuid"}, wire.Response{Code: dots.CodeContent, Reports: reports}))
	}
}

// heardAll checks the newest status of every leg.
func (w *world) heardAll(heard map[uint32]dots.Status, legs uint32, s dots.Status) {
	w.Helper()
	want := map[uint32]dots.Status{}
	for mid := range legs {
		want[mid+1] = s
	}
	w.events.mu.Lock()
	defer w.events.mu.Unlock()
	if !cmp.Equal(want, heard) {
		n := 0
		for _, got := range heard {
			if got == s {
				n++
			}
		}
		w.Fatalf("%d of %d legs heard of with status %d", n, legs, s)
	}
}
