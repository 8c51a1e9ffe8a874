package resilience

import (
	"bytes"
	heaps "container/heap"
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
)

// ether carries datagrams in virtual time, all on one goroutine, so that a seed gives the same run again and a world of a thousand
// sessions costs a thousand sessions and not four thousand goroutines.
type ether struct {
	wake chan struct{} // capacity 1

	mu     sync.Mutex
	flying flights
	last   uint64
}

// flight is something that happens at its time: a datagram arrives.
type flight struct {
	at   time.Time
	turn uint64
	land func()
}

type flights []flight

func (f flights) Len() int { return len(f) }
func (f flights) Less(i, j int) bool {
	return f[i].at.Before(f[j].at) || f[i].at.Equal(f[j].at) && f[i].turn < f[j].turn
}
func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flights) Push(x any)   { *f = append(*f, x.(flight)) }
func (f *flights) Pop() any {
	last := (*f)[len(*f)-1]
	(*f)[len(*f)-1] = flight{}
	*f = (*f)[:len(*f)-1]
	return last
}

func newEther() *ether { return &ether{wake: make(chan struct{}, 1)} }

// run carries until ctx ends.
func (e *ether) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := time.Hour
		for {
			land, until := e.next()
			wait = until
			if land == nil {
				break
			}
			land()
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-e.wake:
		case <-timer.C:
		}
	}
}

// next takes what has arrived, or tells how long nothing will.
func (e *ether) next() (func(), time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.flying) == 0 {
		return nil, time.Hour
	}
	if wait := time.Until(e.flying[0].at); wait > 0 {
		return nil, wait
	}
	return heaps.Pop(&e.flying).(flight).land, 0
}

// launch lets something happen after a while.
func (e *ether) launch(after time.Duration, land func()) {
	e.mu.Lock()
	e.last++
	heaps.Push(&e.flying, flight{at: time.Now().Add(after), turn: e.last, land: land})
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// way is one direction of a path. Its conditions may be changed while it is in use.
type way struct {
	mu   sync.Mutex
	rand *rand.Rand
	now  conditions
	sent int // datagrams that were put on it
	seen func(at time.Time, datagram []byte)
}

// conditions are how a way is at a time.
type conditions struct {
	loss  float64 // share of the datagrams that never arrive
	delay time.Duration
	dead  bool // nothing arrives
}

// pass decides about a datagram.
func (w *way) pass(datagram []byte) (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent++
	if w.seen != nil {
		w.seen(time.Now(), datagram)
	}
	lost := w.rand.Float64() < w.now.loss || w.now.dead
	return w.now.delay, !lost
}

// set changes the conditions.
func (w *way) set(change func(*conditions)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.now)
}

// path joins two hosts: what goes there, and what comes back.
type path struct{ there, back way }

func newPath(seed uint64, c conditions) *path {
	p := &path{}
	for i, w := range []*way{&p.there, &p.back} {
		w.rand, w.now = rand.New(rand.NewPCG(seed, uint64(i))), c
	}
	return p
}

// set changes the conditions of both ways.
func (p *path) set(change func(*conditions)) {
	p.there.set(change)
	p.back.set(change)
}

// lossy makes both ways lose a share.
func (p *path) lossy(loss float64) { p.set(func(c *conditions) { c.loss = loss }) }

// cut lets nothing through, in both directions, or lets it again.
func (p *path) cut(dead bool) { p.set(func(c *conditions) { c.dead = dead }) }

// roundTrip is one attempt to get a message across and an answer back.
func (p *path) roundTrip() bool {
	_, there := p.there.pass(nil)
	if !there {
		return false
	}
	_, back := p.back.pass(nil)
	return back
}

// end is one end of a link over a path: a coap.Link.
type end struct {
	ether  *ether
	way    *way
	remote net.Addr

	mu     sync.Mutex
	gone   bool // its host has crashed, or it is closed
	closed bool
	peer   *end
	input  *coap.Session // what this end feeds
}

func (e *end) WriteRecord(b []byte) error {
	if e.isGone() {
		return nil
	}
	after, arrives := e.way.pass(b)
	if !arrives {
		return nil
	}
	datagram := bytes.Clone(b)
	e.ether.launch(after, func() {
		if !e.peer.isGone() {
			e.peer.input.Input(datagram)
		}
	})
	return nil
}

// Close says goodbye with one datagram, which may be lost, as close_notify may.
func (e *end) Close() error {
	e.mu.Lock()
	first := !e.closed && !e.gone
	e.closed, e.gone = true, true
	e.mu.Unlock()
	if !first {
		return nil
	}
	if after, arrives := e.way.pass(nil); arrives {
		e.ether.launch(after, func() {
			if !e.peer.isGone() {
				e.peer.input.InputClosed(nil)
			}
		})
	}
	return nil
}

// crash makes the end's host hear and say nothing any more, not even goodbye.
func (e *end) crash() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gone = true
}

func (e *end) isGone() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.gone
}

func (e *end) LocalAddr() net.Addr  { return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4646} }
func (e *end) RemoteAddr() net.Addr { return e.remote }
func (e *end) Reliable() bool       { return false }

// pair makes both ends of a link over a path: the one that goes there, and the one that comes back.
func (e *ether) pair(p *path, from, to net.Addr) (near, far *end) {
	near, far = &end{ether: e, way: &p.there, remote: to}, &end{ether: e, way: &p.back, remote: from}
	near.peer, far.peer = far, near
	return near, far
}
