package gateway

import (
	"container/heap"
	"time"
)

// deadlines is a heap of what of the core has a time at which it is due: one entry for each owner, and none without a time.
type deadlines struct{ h deadlineHeap }

// owner is what has a deadline.
type owner interface {
	// dueAt returns the owner's next deadline; zero: none.
	dueAt() time.Time
	// entry is its place in the heap.
	entry() *alarm
}

// alarm is embedded in an owner.
type alarm struct {
	at  time.Time
	pos int // in the heap, from 1; 0: not in it
}

func (a *alarm) entry() *alarm { return a }

type deadlineHeap []owner

func (h deadlineHeap) Len() int           { return len(h) }
func (h deadlineHeap) Less(i, j int) bool { return h[i].entry().at.Before(h[j].entry().at) }
func (h deadlineHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].entry().pos, h[j].entry().pos = i+1, j+1
}

// Push is for container/heap.
func (h *deadlineHeap) Push(x any) {
	o := x.(owner)
	*h = append(*h, o)
	o.entry().pos = len(*h)
}

// Pop is for container/heap.
func (h *deadlineHeap) Pop() any {
	old := *h
	n := len(old) - 1
	o := old[n]
	old[n] = nil
	*h = old[:n]
	o.entry().pos = 0
	return o
}

// arm makes the heap say what the owner says now.
func (d *deadlines) arm(o owner) {
	at, e := o.dueAt(), o.entry()
	switch {
	case at.IsZero():
		d.disarm(o)
	case e.pos == 0:
		e.at = at
		heap.Push(&d.h, o)
	case !at.Equal(e.at):
		e.at = at
		heap.Fix(&d.h, e.pos-1)
	}
}

// disarm takes an owner out, if it is in.
func (d *deadlines) disarm(o owner) {
	if e := o.entry(); e.pos != 0 {
		heap.Remove(&d.h, e.pos-1)
	}
}

// next returns the earliest deadline; zero: none.
func (d *deadlines) next() time.Time {
	if len(d.h) == 0 {
		return time.Time{}
	}
	return d.h[0].entry().at
}

// pop takes the first owner that is due by now. It is armed again by whoever handles it.
func (d *deadlines) pop(now time.Time) (owner, bool) {
	if len(d.h) == 0 || d.h[0].entry().at.After(now) {
		return nil, false
	}
	return heap.Pop(&d.h).(owner), true
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
