package upstream

import (
	"math/rand/v2"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
)

// Over a link that loses half of what is sent, either way, what is wanted comes true.
func TestOverALossyLink(t *testing.T) {
	for seed := range uint64(10) {
		virtual(t, nil, func(w *world) {
			rng := rand.New(rand.NewPCG(seed, 2))
			w.lose = func() bool { return rng.IntN(2) == 0 }
			w.run()
			for mid := range uint32(30) {
				w.want(putLeg(mid, 1))
			}
			w.sleep(5 * time.Second)
			for mid := range uint32(30) {
				if mid%3 == 0 {
					w.want(goneLeg(mid, 2))
				}
			}
			w.sleep(3 * time.Minute)
			w.mu.Lock()
			defer w.mu.Unlock()
			want := map[uint32]dots.Status{}
			for mid := range uint32(30) {
				want[mid] = dots.StatusInProgress
				if mid%3 == 0 {
					want[mid] = dots.StatusClientWithdrawn
				}
			}
			for mid, s := range w.standing {
				if s == dots.StatusInProgress && mid%3 == 0 {
					t.Errorf("seed %d: %d still stands", seed, mid)
				}
			}
			for mid := range want { // one whose PUT never came before its DELETE never stood
				if _, stood := w.standing[mid]; !stood && mid%3 == 0 {
					delete(want, mid)
				}
			}
			if d := gocmp.Diff(want, w.standing); d != "" {
				t.Errorf("seed %d (-want +got):\n%s", seed, d)
			}
			if len(w.dials) != 1 {
				t.Errorf("seed %d: dialled at %v", seed, w.dials)
			}
		})
	}
}

// In an outage that lasts for longer than all heartbeats nothing is given up, and its end is not noticed by the core.
func TestThroughAnOutageUnderAttack(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.sleep(time.Second)
		w.events.take(t, "0s up a", "0s PUT 1 r1: 2.01 for 3600", "0s a/cuid all 1=1")
		w.set(func() { w.lossy, w.deaf, w.refuse = true, true, errNoRoute })
		w.want(putLeg(2, 1))
		w.sleep(30 * time.Minute)
		w.set(func() { w.lossy, w.deaf = false, false })
		w.sleep(6 * time.Second)
		if i := w.manager.Links()[0]; !i.Up || i.Session != w.clients[0].ID() || i.Legs[LegPlaced] != 2 {
			t.Fatalf("info %+v", i)
		}
	})
}
