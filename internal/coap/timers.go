package coap

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// Timers is one heap of deadlines, served by one goroutine, for all sessions of an endpoint.
// Safe for concurrent use.
type Timers struct {
	mu   sync.Mutex
	heap timerHeap
	wake chan struct{} // capacity 1: the earliest deadline may have moved forward
}

// timer is one deadline in the heap. Its owner keeps it and must call stop before forgetting it.
type timer struct {
	at    time.Time
	index int    // position in the heap plus one; 0 when not in it
	fire  func() // called by Run without any lock of Timers
}

// NewTimers returns an empty heap. Deadlines wait until Run is called.
func NewTimers() *Timers { return &Timers{wake: make(chan struct{}, 1)} }

// Run fires deadlines until ctx ends, and returns nil then. Called once.
func (t *Timers) Run(ctx context.Context) error {
	clock := time.NewTimer(time.Hour)
	defer clock.Stop()
	for {
		clock.Reset(t.fireDue())
		select {
		case <-ctx.Done():
			return nil
		case <-clock.C:
		case <-t.wake:
		}
	}
}

// fireDue fires what is due and returns how long to wait for the next deadline.
func (t *Timers) fireDue() time.Duration {
	for {
		t.mu.Lock()
		if len(t.heap) == 0 {
			t.mu.Unlock()
			return time.Hour
		}
		next := t.heap[0]
		if wait := time.Until(next.at); wait > 0 {
			t.mu.Unlock()
			return wait
		}
		heap.Pop(&t.heap)
		t.mu.Unlock()
		next.fire()
	}
}

// set arms or moves a deadline. An owner whose deadline may just be firing checks its own state in fire.
func (t *Timers) set(x *timer, at time.Time) {
	t.mu.Lock()
	x.at = at
	if x.index == 0 {
		heap.Push(&t.heap, x)
	} else {
		heap.Fix(&t.heap, x.index-1)
	}
	first := t.heap[0] == x
	t.mu.Unlock()
	if first {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// stop disarms a deadline; one that is not armed stays so.
func (t *Timers) stop(x *timer) {
	t.mu.Lock()
	if x.index > 0 {
		heap.Remove(&t.heap, x.index-1)
	}
	t.mu.Unlock()
}

// timerHeap orders timers by deadline; see container/heap.
type timerHeap []*timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}

// Push is called by container/heap.
func (h *timerHeap) Push(x any) {
	t := x.(*timer)
	*h = append(*h, t)
	t.index = len(*h)
}

// Pop is called by container/heap.
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = 0
	return t
}
