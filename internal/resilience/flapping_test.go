package resilience

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
	"github.com/dotsgate/dotsgate/upstream"
	"github.com/dotsgate/dotsgate/wire"
)

// flap is how an uplink goes away and comes back.
type flap struct {
	name string
	// off and on make it so; off is called while it is on.
	off, on func(*world)
	keeps   bool // the server knows what it knew
}

func flaps() []flap {
	return []flap{
		{"silently dead", func(w *world) { w.uplink.cut(true) }, func(w *world) { w.uplink.cut(false) }, true},
		{"session ended by the server", func(w *world) { w.hangUp(); w.uplink.cut(true) }, func(w *world) { w.uplink.cut(false) }, true},
		{"session ended, and dialling refused", func(w *world) { w.refuses.Store(true); w.hangUp() }, func(w *world) { w.refuses.Store(false) }, true},
		{"session ended by a server that forgets", func(w *world) { w.hangUp(); w.stopServer() }, (*world).startServer, false},
	}
}

// hangUp makes the server say goodbye on its sessions.
func (w *world) hangUp() {
	w.mu.Lock()
	ends := w.ends
	w.ends = nil
	w.mu.Unlock()
	for _, e := range ends {
		_ = e.peer.input.Close()
	}
	w.wait(2 * oneWay)
}

// What a flapping uplink has to bear, and what must hold.
const (
	bigClients   = 80
	bigTargets   = 125
	mostLegs     = 150
	roundTrip    = 2 * oneWay
	resyncWithin = 30 * time.Second
	rateWindow   = 2 * time.Second
	rateSlack    = 8 // that may go at once after a pause
	shortest     = 5 * time.Second
	longest      = 60 * time.Second
)

// bigConfig knows many clients of one domain, which share legs.
func bigConfig() policy.Config {
	d := policy.Domain{Name: "big", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for i := range bigClients {
		d.Clients = append(d.Clients, policy.ClientEntry{Name: clientOf(i), CertNames: []string{clientOf(i)}})
	}
	return policy.Config{
		Uplinks: []policy.Uplink{{Name: uplinkName}}, Domains: []policy.Domain{d},
		Defaults: policy.Defaults{AllowIndefinite: true, MaxMitigations: 20000},
	}
}

// flapping is what was seen of it.
type flapping struct {
	mitigations, legs int
	flaps, checked    int // times that it came back, and for long enough
	late              int // times that not all was as wanted within resyncWithin
	slowest           time.Duration
	missing           int // at most so many targets that the server did not have at the end of a good time, or at any time where it forgets nothing
	fastest           int // requests of ours in rateWindow, at most
	attempts          int // to connect
	crowded           int // at most so many of these in a minute
}

// crew is the clients of a world that flaps, and what they want: all of them the same targets, so that a leg carries a mitigation of each, and
// now and then one of them something else.
type crew struct {
	w       *world
	clients []*client
	rand    *rand.Rand
	wanted  map[netip.Prefix]bool
	mids    []uint32 // by client: its newest
	extra   []extra
}

// extra is a target of a client's own; 0 for a mid: it is not wanted.
type extra struct {
	client, target int
	mid            uint32
}

// newCrew lets every client ask for so many targets.
func newCrew(w *world, clients, targets int) *crew {
	c := &crew{w: w, rand: rand.New(rand.NewPCG(w.seed, 7)), wanted: map[netip.Prefix]bool{}, mids: make([]uint32, clients)}
	for i := range clients {
		c.clients = append(c.clients, w.join(i))
	}
	w.wait(10 * time.Second)
	for n := range mostLegs {
		if n >= targets {
			c.extra = append(c.extra, extra{client: n % clients, target: n})
		}
	}
	var asking sync.WaitGroup
	for i := range clients {
		var all []wire.Request
		for n := range targets {
			all = append(all, c.put(i, n))
		}
		asking.Go(func() {
			for _, r := range all {
				c.clients[i].within(time.Minute, r)
			}
		})
	}
	asking.Wait()
	return c
}

// put makes a client want one more target. All are of one domain, so that the first client's address is everybody's.
func (c *crew) put(i, target int) wire.Request {
	c.mids[i]++
	c.wanted[c.clients[0].address(target)] = true
	r := c.clients[i].put(c.mids[i], target, forever)
	r.Mitigation.Target.Prefixes = []netip.Prefix{c.clients[0].address(target)}
	return r
}

// change lets a client want a target more, or less.
func (c *crew) change() {
	if len(c.extra) == 0 {
		return
	}
	e := &c.extra[c.rand.IntN(len(c.extra))]
	r := c.clients[e.client].delete(e.mid)
	if e.mid == 0 {
		r = c.put(e.client, e.target)
		e.mid = c.mids[e.client]
	} else {
		delete(c.wanted, c.clients[0].address(e.target))
		e.mid = 0
	}
	c.clients[e.client].within(5*time.Minute, r)
}

// missing counts what is wanted and not in force at the server, extra what is in force and not wanted.
func (c *crew) missing() (missing, extra int) {
	held := map[netip.Prefix]bool{}
	if s := c.w.up(); s != nil {
		for _, h := range s.Held() {
			for _, p := range h.Target.Prefixes {
				held[p] = held[p] || h.Status != dots.StatusClientWithdrawn
			}
		}
	}
	for p := range c.wanted {
		if !held[p] {
			missing++
		}
	}
	for p, is := range held {
		if is && !c.wanted[p] {
			extra++
		}
	}
	return missing, extra
}

// gone counts the targets that all want and that are not in force.
func (c *crew) gone() (n int) {
	held := map[netip.Prefix]bool{}
	for _, h := range c.w.server.Held() {
		for _, p := range h.Target.Prefixes {
			held[p] = true
		}
	}
	for target := range mostLegs - len(c.extra) {
		if !held[c.clients[0].address(target)] {
			n++
		}
	}
	return n
}

// settled reports whether the server has all that is wanted and nothing else, and the gateway knows.
func (c *crew) settled() bool {
	l := c.w.link()
	if !l.Up || l.Legs[upstream.LegWanted]+l.Legs[upstream.LegRefused] > 0 {
		return false
	}
	missing, extra := c.missing()
	return missing+extra == 0
}

// link is the uplink as an operator sees it.
func (w *world) link() upstream.LinkInfo {
	w.mu.Lock()
	g := w.gate
	w.mu.Unlock()
	return g.up.Links()[0]
}

// pace notes when something happened.
type pace struct {
	mu    sync.Mutex
	times []time.Time
}

func (p *pace) note() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.times = append(p.times, time.Now())
}

// most is how often it happened within a window, at most.
func (p *pace) most(window time.Duration) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	most, first := 0, 0
	for i, at := range p.times {
		for at.Sub(p.times[first]) >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// isRequest tells requests from answers, and from the datagrams of a handshake.
func isRequest(b []byte) bool { return len(b) > 1 && b[1] != 0 && b[1]>>5 == 0 }

// play lets an uplink flap for a while.
func (f flap) play(w *world, clients, targets int, lasts time.Duration) (r flapping) {
	c := newCrew(w, clients, targets)
	if took, ok := w.until(time.Hour, c.settled); !ok {
		missing, extra := c.missing()
		w.t.Fatalf("not settled after %v: %d missing, %d too many, %v", took, missing, extra, w.link().Legs)
	}
	r.mitigations, r.legs = clients*targets, len(w.server.Held())
	var sent, tried pace
	w.uplink.there.Choose(func(b []byte) int {
		if isRequest(b) {
			sent.note()
		}
		return 1
	})
	w.onDial(tried.note)
	span := func() time.Duration { return shortest + time.Duration(c.rand.Int64N(int64(longest-shortest))) }
	for begin := time.Now(); time.Since(begin) < lasts; r.flaps++ {
		f.off(w)
		f.away(w, c, span(), &r)
		f.on(w)
		f.back(w, c, span(), &r)
	}
	f.back(w, c, longest, &r)
	r.fastest, r.attempts, r.crowded = sent.most(rateWindow), len(tried.times), tried.most(time.Minute)
	return r
}

// away lets a time go by in which the uplink is away. Clients change what they want; nothing of the rest may go where the server forgets nothing.
func (f flap) away(w *world, c *crew, lasts time.Duration, r *flapping) {
	for range int(lasts / shortest) {
		w.wait(shortest)
		if f.keeps {
			r.missing = max(r.missing, c.gone())
		}
		c.change()
	}
	w.wait(lasts % shortest)
}

// back lets a time go by in which the uplink is there, and looks whether all is as wanted in time.
func (f flap) back(w *world, c *crew, lasts time.Duration, r *flapping) {
	if lasts < resyncWithin {
		w.wait(lasts)
		return
	}
	r.checked++
	took, settled := w.until(lasts, c.settled)
	r.slowest = max(r.slowest, took)
	if took > resyncWithin || !settled {
		r.late++
	}
	w.wait(lasts - took)
	missing, _ := c.missing()
	r.missing = max(r.missing, missing)
}

// legal reports whether the uplink was sent no more than it may be: on average a datagram per round trip (RFC 9132, Section 4.4), and attempts to
// connect no closer than a handshake's own repetitions are.
func (r flapping) legal() bool {
	return r.fastest <= int(rateWindow/roundTrip)+rateSlack && r.crowded <= 8
}

// TestFlapping is a short one, with fewer clients.
func TestFlapping(t *testing.T) {
	for _, f := range flaps() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			inWorldOf(t, 1, bigConfig(), func(w *world) {
				if r := f.play(w, 4, 20, 10*time.Minute); r.late > 0 || r.missing > 0 || !r.legal() {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

// flapRow is an hour of it.
func flapRow(t *testing.T) {
	for _, f := range flaps() {
		inWorldOf(t, 1, bigConfig(), func(w *world) {
			r := f.play(w, bigClients, bigTargets, time.Hour)
			must(t, r.missing == 0 && r.late == 0 && r.legal(),
				"uplink flaps for an hour, %s: %d mitigations in %d legs, %d times away; lost: %d; back for %v or more %d times, then all as wanted after at most %.1f s, "+
					"too late %d times; at most %d requests in %v of RTT %v; %d attempts to connect, at most %d in a minute",
				f.name, r.mitigations, r.legs, r.flaps, r.missing, resyncWithin, r.checked, r.slowest.Seconds(), r.late, r.fastest, rateWindow, roundTrip, r.attempts, r.crowded)
		})
	}
}
