package downstream

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// alarms is one heap of deadlines for everything that is timed, served by Run alone. Safe for concurrent use.
type alarms struct {
	now  func() time.Time
	mu   sync.Mutex
	heap alarmHeap
	wake chan struct{} // capacity 1: the earliest deadline may have moved forward
}

// alarm is one deadline. Its owner keeps it; ring is called by run, with its
// context and without any lock, and does not block.
type alarm struct {
	at    time.Time
	place int // in the heap plus one; 0: not armed
	ring  func(ctx context.Context, now time.Time)
}

func newAlarms(now func() time.Time) *alarms {
	return &alarms{now: now, wake: make(chan struct{}, 1)}
}

// set arms or moves an alarm. Its owner may still see a ring that was under way.
func (a *alarms) set(x *alarm, at time.Time) {
	a.mu.Lock()
	x.at = at
	if x.place == 0 {
		heap.Push(&a.heap, x)
	} else {
		heap.Fix(&a.heap, x.place-1)
	}
	first := a.heap[0] == x
	a.mu.Unlock()
	if first {
		select {
		case a.wake <- struct{}{}:
		default: // run has not yet taken the last one
		}
	}
}

// drop disarms an alarm; one that is not armed stays so.
func (a *alarms) drop(x *alarm) {
	a.mu.Lock()
	if x.place > 0 {
		heap.Remove(&a.heap, x.place-1)
	}
	a.mu.Unlock()
}

// run rings what is due until ctx ends.
func (a *alarms) run(ctx context.Context) {
	clock := time.NewTimer(time.Hour)
	defer clock.Stop()
	for {
		clock.Reset(a.ringDue(ctx))
		select {
		case <-ctx.Done():
			return
		case <-clock.C:
		case <-a.wake:
		}
	}
}

// ringDue rings what is due and returns how long to wait for the next.
func (a *alarms) ringDue(ctx context.Context) time.Duration {
	for ctx.Err() == nil {
		now := a.now()
		a.mu.Lock()
		if len(a.heap) == 0 {
			a.mu.Unlock()
			return time.Hour
		}
		first := a.heap[0]
		if wait := first.at.Sub(now); wait > 0 {
			a.mu.Unlock()
			return wait
		}
		heap.Pop(&a.heap)
		a.mu.Unlock()
		first.ring(ctx, now)
	}
	return time.Hour
}

// alarmHeap orders alarms by deadline; see container/heap.
type alarmHeap []*alarm

func (h alarmHeap) Len() int           { return len(h) }
func (h alarmHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

func (h alarmHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i+1, j+1
}

// Push is called by container/heap.
func (h *alarmHeap) Push(x any) {
	a := x.(*alarm)
	*h = append(*h, a)
	a.place = len(*h)
}

// Pop is called by container/heap.
func (h *alarmHeap) Pop() any {
	old := *h
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	a.place = 0
	return a
}
