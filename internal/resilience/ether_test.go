package resilience

import (
	heaps "container/heap"
	"context"
	"net"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/impair"
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

// launch lets something happen at a time.
func (e *ether) launch(at time.Time, land func()) {
	e.mu.Lock()
	e.last++
	heaps.Push(&e.flying, flight{at: at, turn: e.last, land: land})
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// path joins two hosts: what goes there, and what comes back. It outlives sessions.
type path struct{ there, back *impair.Way }

func newPath(seed uint64) *path {
	good := impair.Conditions{Delay: oneWay}
	return &path{impair.NewWay(good, 2*seed), impair.NewWay(good, 2*seed+1)}
}

// alter changes the conditions of a way.
func alter(w *impair.Way, change func(*impair.Conditions)) {
	c := w.Conditions()
	change(&c)
	w.Set(c)
}

// dead makes a way lose everything, or no more than before.
func dead(w *impair.Way, is bool) { alter(w, func(c *impair.Conditions) { c.Dead = is }) }

// cut lets nothing through, in both directions, or lets it again.
func (p *path) cut(is bool) {
	dead(p.there, is)
	dead(p.back, is)
}

// lossy makes both ways lose a share.
func (p *path) lossy(loss float64) {
	for _, w := range []*impair.Way{p.there, p.back} {
		alter(w, func(c *impair.Conditions) { c.Loss = loss })
	}
}

// roundTrip is one attempt to get a message across and an answer back.
func (p *path) roundTrip() bool {
	return len(p.there.Pass(time.Now(), nil)) > 0 && len(p.back.Pass(time.Now(), nil)) > 0
}

// end is one end of a link over a path: a coap.Link.
type end struct {
	ether  *ether
	way    *impair.Way
	remote net.Addr

	peer  *end
	input *coap.Session // what arrives here is for

	mu   sync.Mutex
	gone bool // it is closed, or its host has crashed
}

func (e *end) WriteRecord(b []byte) error {
	if !e.isGone() {
		e.send(b, func(b []byte) { e.peer.input.Input(b) })
	}
	return nil
}

func (e *end) send(b []byte, arrive func([]byte)) {
	now := time.Now()
	for _, d := range e.way.Pass(now, b) {
		e.ether.launch(d.At, func() {
			if !e.peer.isGone() {
				arrive(d.Data)
			}
		})
	}
}

// Close says goodbye with one datagram, which may be lost, as close_notify may.
func (e *end) Close() error {
	e.mu.Lock()
	first := !e.gone
	e.gone = true
	e.mu.Unlock()
	if first {
		e.send(nil, func([]byte) { e.peer.input.InputClosed(nil) })
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
	near, far = &end{ether: e, way: p.there, remote: to}, &end{ether: e, way: p.back, remote: from}
	near.peer, far.peer = far, near
	return near, far
}
