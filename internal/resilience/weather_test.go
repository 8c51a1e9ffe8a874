package resilience

import (
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/impair"
)

// badWeather is what every path goes through: much is lost, comes late, or twice.
func badWeather() impair.Conditions {
	return impair.Conditions{Delay: oneWay, Jitter: oneWay, Loss: 0.2, Reorder: 0.25, Duplicate: 0.1}
}

// weather is what an hour of it has left.
type weather struct {
	changes  int // that clients asked for
	twice    int // mids that the server was made to put in force more than once
	revived  int // targets that stood again after nobody wanted them any more
	sessions int // that were lost
	settled  bool
}

// endure lets clients change what they want, over and over, in bad weather.
func endure(w *world, clients, targets int, lasts time.Duration) (r weather) {
	c := newCrew(w, clients, targets)
	w.until(time.Hour, c.settled)
	w.takeEntries()
	all := []*path{w.uplink}
	for _, cl := range c.clients {
		all = append(all, cl.path)
	}
	for _, p := range all {
		p.there.Set(badWeather())
		p.back.Set(badWeather())
	}
	before := w.link().Session
	for begin := time.Now(); time.Since(begin) < lasts; r.changes++ {
		c.change()
		w.wait(7 * time.Second)
	}
	_, r.settled = w.until(2*time.Minute, c.settled)
	for range 20 { // what comes late must change nothing any more
		w.wait(15 * time.Second)
		if missing, extra := c.missing(); missing+extra > 0 {
			r.revived++
		}
	}
	if w.link().Session != before {
		r.sessions++
	}
	for _, cl := range c.clients {
		if cl.session.Err() != nil {
			r.sessions++
		}
	}
	created := map[uint32]int{}
	for _, e := range w.takeEntries() {
		if e.Op == "put mitigation" && e.Answer == "2.01" {
			created[*e.MID]++
		}
	}
	for _, n := range created {
		r.twice += n - 1
	}
	return r
}

func (r weather) good() bool {
	return r.changes > 0 && r.twice == 0 && r.revived == 0 && r.sessions == 0 && r.settled
}

// TestBadWeather is a short one.
func TestBadWeather(t *testing.T) {
	inWorldOf(t, 1, bigConfig(), func(w *world) {
		if r := endure(w, 4, 20, 10*time.Minute); !r.good() {
			t.Errorf("%+v", r)
		}
	})
}

// weatherRow is an hour of it.
func weatherRow(t *testing.T) {
	var sum weather
	const seeds = 10
	sum.settled = true
	for seed := range uint64(seeds) {
		inWorldOf(t, seed, bigConfig(), func(w *world) {
			r := endure(w, 10, 50, time.Hour)
			sum.changes, sum.twice, sum.revived, sum.sessions = sum.changes+r.changes, sum.twice+r.twice, sum.revived+r.revived, sum.sessions+r.sessions
			sum.settled = sum.settled && r.settled
		})
	}
	must(t, sum.good(), "%d hours over paths that lose 20 %%, reorder 25 %% and double 10 %%: %d changes; put in force twice: %d; stood when nobody wanted it: %d; "+
		"sessions lost: %d; in the end all as wanted: %v", seeds, sum.changes, sum.twice, sum.revived, sum.sessions, sum.settled)
}
