package resilience

import (
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// parting is something that parts the two sides of a session, and how they may meet again.
type parting struct {
	name string
	// part makes it happen and lets what it takes go by; the client has mitigations 1 and 2 then, and may change them.
	part func(*world, *client)
	// want are the mids that the client wants after it; anew, that the server has to put in force again for it.
	want, anew []uint32
	within     time.Duration // all is as it is wanted, from the end of part
}

// silence is how long nothing may be heard of a peer before a session is given up or another one is made beside it, and what an attempt to
// make one may take then (RFC 9132, Section 4.7).
const silence = 16*beatEvery + 70*time.Second

func partings() []parting {
	both := []uint32{1, 2}
	return []parting{
		{"the gateway crashes", func(w *world, c *client) { w.crashGateway(); w.startGateway(); c.connect() }, both, nil, 30 * time.Second},
		{"the gateway crashes and is away for an hour", func(w *world, c *client) {
			w.crashGateway()
			w.wait(time.Hour)
			w.startGateway()
			c.connect()
		}, both, nil, 30 * time.Second},
		{"the gateway crashes twice while it changes what stands", func(w *world, c *client) {
			end := c.insist(c.delete(1), c.put(3, 3, forever))
			w.wait(30 * time.Millisecond) // stored, and on its way up
			end()
			w.crashGateway()
			w.startGateway()
			w.wait(5 * time.Millisecond)
			w.crashGateway()
			w.startGateway()
			c.connect()
			c.within(time.Minute, c.delete(1)) // its client was not answered, and asks again
			c.within(time.Minute, c.put(3, 3, forever))
		}, []uint32{2, 3}, []uint32{3}, 30 * time.Second},
		{"the server crashes and keeps its state", func(w *world, _ *client) { w.dropSessions() }, both, nil, silence},
		{"the server crashes and loses its state", func(w *world, _ *client) { w.stopServer(); w.startServer() }, both, both, silence},
		{"the client crashes", func(_ *world, c *client) { c.connect() }, both, nil, 30 * time.Second},
		{"the uplink's NAT rebinds", func(w *world, _ *client) { rebind(w.uplink) }, both, nil, time.Minute},
		{"the client's NAT rebinds", func(_ *world, c *client) { rebind(c.path) }, both, nil, time.Minute},
		{"the uplink is away for two hours", func(w *world, c *client) {
			w.uplink.cut(true)
			w.wait(time.Hour)
			c.within(time.Minute, c.delete(1))
			c.within(time.Minute, c.put(3, 3, forever))
			w.wait(time.Hour)
			w.uplink.cut(false)
		}, []uint32{2, 3}, []uint32{3}, 2 * time.Minute},
		{"the client is away for two hours", func(w *world, c *client) {
			c.path.cut(true)
			w.wait(2 * time.Hour)
			c.path.cut(false)
			c.connect()
		}, both, nil, 30 * time.Second},
	}
}

// rebind gives the host at the path's beginning another address: nothing finds it until it has sent something from there. Sessions live on, since
// a connection ID and not the address tells whose a record is (RFC 9146).
func rebind(p *path) {
	var known atomic.Bool
	p.there.Choose(func([]byte) int { known.Store(true); return 1 })
	p.back.Choose(func([]byte) int {
		if known.Load() {
			return 1
		}
		return 0
	})
}

// reunion is what came of a parting.
type reunion struct {
	took   time.Duration
	met    bool
	effect map[uint32]int // by mid of the client's: how often the server put it in force after the parting
}

// play parts and waits.
func (p parting) play(w *world, loss float64) (r reunion) {
	c := w.join(0)
	w.uplink.lossy(loss)
	c.path.lossy(loss)
	w.wait(5 * time.Second)
	for mid := uint32(1); mid <= 2; mid++ {
		c.within(time.Minute, c.put(mid, int(mid), forever))
	}
	w.until(time.Minute, func() bool { return c.sees(1) == dots.StatusMitigated && c.sees(2) == dots.StatusMitigated })
	before := w.effects(c)
	after := map[effect]bool{}
	look := func() {
		for e := range w.effects(c) {
			if !before[e] {
				after[e] = true
			}
		}
	}
	p.part(w, c)
	r.took, r.met = w.until(p.within, func() bool { look(); return w.stands(c, p.want) })
	for range 10 { // nor does it change any more, and the client is told so
		w.wait(time.Minute)
		look()
		r.met = r.met && w.stands(c, p.want)
		for _, mid := range p.want {
			r.met = r.met && c.sees(mid) == dots.StatusMitigated
		}
	}
	r.effect = map[uint32]int{}
	for e := range after {
		r.effect[e.mid]++
	}
	return r
}

// once reports whether just what had to be was put in force anew, each once.
func (p parting) once(r reunion) bool {
	for _, n := range r.effect {
		if n != 1 {
			return false
		}
	}
	return slices.Equal(slices.Sorted(maps.Keys(r.effect)), p.anew)
}

// effects are the mitigations that the server holds, under the client's mids: address n of its domain is mid n's.
func (w *world) effects(c *client) map[effect]bool {
	now := map[effect]bool{}
	s := w.up()
	if s == nil {
		return now
	}
	for _, h := range s.Held() {
		for n := range uint32(16) {
			if len(h.Target.Prefixes) == 1 && h.Target.Prefixes[0] == c.address(int(n)) && h.Status != dots.StatusClientWithdrawn {
				now[effect{n, h.Since}] = true
			}
		}
	}
	return now
}

// stands reports whether the server does what the client wants and nothing else, and has a session with the gateway.
func (w *world) stands(c *client, want []uint32) bool {
	held := map[uint32]int{}
	for e := range w.effects(c) {
		held[e.mid]++
	}
	if len(held) != len(want) {
		return false
	}
	w.mu.Lock()
	joined := len(w.ends) > 0 && !w.ends[len(w.ends)-1].peer.isGone()
	w.mu.Unlock()
	if !joined {
		return false
	}
	for _, mid := range want {
		if held[mid] != 1 {
			return false
		}
	}
	return true
}

// TestReunions plays each once.
func TestReunions(t *testing.T) {
	for _, p := range partings() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, 1, func(w *world) {
				if r := p.play(w, 0); !r.met || !p.once(r) {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

// reunionRow plays each over paths that lose, with many seeds.
func reunionRow(t *testing.T) {
	const seeds, loss = 20, 0.2
	for _, p := range partings() {
		met, once := 0, 0
		var slowest time.Duration
		for seed := range uint64(seeds) {
			inWorld(t, seed, func(w *world) {
				r := p.play(w, loss)
				slowest = max(slowest, r.took)
				if r.met {
					met++
				}
				if p.once(r) {
					once++
				}
			})
		}
		must(t, met == seeds && once == seeds, "%s: %d of %d times all was as wanted, after at most %.1f s (%.0f); %d times each effect once",
			p.name, met, seeds, slowest.Seconds(), p.within.Seconds(), once)
	}
}
