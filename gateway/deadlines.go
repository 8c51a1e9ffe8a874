package gateway

import (
	"container/heap"
	"time"
)

// deadlines is a heap of the times at which something of the core is due. Entries are not removed when a time
// changes: an entry whose time is no longer its owner's is skipped when it comes up, and the heap is made anew when most of it is stale.
type deadlines struct{ h deadlineHeap }

// owner is what has a deadline.
type owner interface {
	// dueAt returns the owner's next deadline; zero: none.
	dueAt() time.Time
}

type deadline struct {
	at time.Time
	of owner
}

type deadlineHeap []deadline

func (h deadlineHeap) Len() int           { return len(h) }
func (h deadlineHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h deadlineHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is for container/heap.
func (h *deadlineHeap) Push(x any) { *h = append(*h, x.(deadline)) }

// Pop is for container/heap.
func (h *deadlineHeap) Pop() any {
	old := *h
	n := len(old) - 1
	d := old[n]
	old[n] = deadline{}
	*h = old[:n]
	return d
}

// arm notes the owner's deadline.
func (d *deadlines) arm(o owner) {
	if at := o.dueAt(); !at.IsZero() {
		heap.Push(&d.h, deadline{at, o})
	}
}

// next returns the earliest live deadline; zero: none.
func (d *deadlines) next() time.Time {
	d.dropStale()
	if len(d.h) == 0 {
		return time.Time{}
	}
	return d.h[0].at
}

// pop takes the first owner that is due by now.
func (d *deadlines) pop(now time.Time) (owner, bool) {
	d.dropStale()
	if len(d.h) == 0 || d.h[0].at.After(now) {
		return nil, false
	}
	return heap.Pop(&d.h).(deadline).of, true
}

// dropStale removes entries at the top whose owner has moved on.
func (d *deadlines) dropStale() {
	for len(d.h) > 0 && !d.h[0].at.Equal(d.h[0].of.dueAt()) {
		heap.Pop(&d.h)
	}
}

// compact makes the heap anew when it holds far more entries than owners.
func (d *deadlines) compact(owners int) {
	if len(d.h) < 4*owners+64 {
		return
	}
	kept := d.h[:0]
	for _, e := range d.h {
		if e.at.Equal(e.of.dueAt()) {
			kept = append(kept, e)
		}
	}
	clear(d.h[len(kept):])
	d.h = kept
	heap.Init(&d.h)
}

// earliest returns the earliest of the times that are set.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// passed reports whether a set time is reached.
func passed(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }
