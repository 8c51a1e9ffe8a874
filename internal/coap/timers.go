package coap

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// timerShards is over how many heaps the deadlines of an endpoint are spread: every request that is not answered at once arms
// and disarms one, and one lock for all sessions would be what they wait for.
const timerShards = 16

// Timers is what the sessions of an endpoint share: their deadlines, served by one goroutine, and the room that each
// needs for a moment only. Safe for concurrent use.
type Timers struct {
	base   time.Time // deadlines are kept as what lies between
	shards [timerShards]deadlines
	wake   chan struct{} // capacity 1: there may be an earlier deadline than Run sleeps for
	asleep atomic.Int64  // what Run sleeps for, counted from base; the greatest value while it is awake
	rooms  sync.Pool     // of *scratch
}

// deadlines are those of the sessions of one shard.
type deadlines struct {
	all *Timers

	mu   sync.Mutex
	heap timerHeap
}

// timer is one deadline in a heap. Its owner keeps it and must call stop before forgetting it.
type timer struct {
	at    time.Duration // since Timers.base
	index int           // position in the heap plus one; 0 when not in it
	fire  firer
}

// firer is called by Run, without any lock of Timers, when its deadline has come.
type firer interface{ fired() }

// fireFunc makes a firer of a function.
type fireFunc func()

func (f fireFunc) fired() { f() }

// NewTimers returns a set without a deadline. Deadlines wait until Run is called.
func NewTimers() *Timers {
	t := &Timers{base: time.Now(), wake: make(chan struct{}, 1)}
	t.asleep.Store(math.MaxInt64)
	for i := range t.shards {
		t.shards[i].all = t
	}
	return t
}

// of returns the deadlines of the sessions with this number.
func (t *Timers) of(id uint64) *deadlines { return &t.shards[id%timerShards] }

// Run fires deadlines until ctx ends, and returns nil then. Called once.
func (t *Timers) Run(ctx context.Context) error {
	clock := time.NewTimer(time.Hour)
	defer clock.Stop()
	for {
		// Whoever sets a deadline while the heaps are looked at leaves word in wake, since this may have been past it.
		t.asleep.Store(math.MaxInt64)
		next := t.fireDue()
		t.asleep.Store(int64(next))
		clock.Reset(next - time.Since(t.base))
		select {
		case <-ctx.Done():
			return nil
		case <-clock.C:
		case <-t.wake:
		}
	}
}

// fireDue fires what is due, in the order of the deadlines, and returns when to look again.
func (t *Timers) fireDue() time.Duration {
	for {
		now := time.Since(t.base)
		first, at := (*deadlines)(nil), now+time.Hour
		for i := range t.shards {
			if next, ok := t.shards[i].next(); ok && next < at {
				first, at = &t.shards[i], next
			}
		}
		if at > now {
			return at
		}
		if x := first.take(now); x != nil {
			x.fire.fired()
		}
	}
}

// next returns the earliest deadline, and whether there is one.
func (d *deadlines) next() (time.Duration, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.heap) == 0 {
		return 0, false
	}
	return d.heap[0].at, true
}

// take takes the earliest deadline out if it has passed.
func (d *deadlines) take(now time.Duration) *timer {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.heap) == 0 || d.heap[0].at > now {
		return nil
	}
	x := d.heap[0]
	d.heap.remove(0)
	return x
}

// set arms or moves a deadline. An owner whose deadline may just be firing checks its own state in fired.
func (d *deadlines) set(x *timer, at time.Time) {
	due := at.Sub(d.all.base)
	d.mu.Lock()
	x.at = due
	if x.index == 0 {
		d.heap.push(x)
	} else {
		d.heap.fix(x.index - 1)
	}
	d.mu.Unlock()
	// Most deadlines are disarmed before they come, and few are the earliest of all: Run is woken for those alone.
	if int64(due) < d.all.asleep.Load() {
		select {
		case d.all.wake <- struct{}{}:
		default:
		}
	}
}

// stop disarms a deadline; one that is not armed stays so.
func (d *deadlines) stop(x *timer) {
	d.mu.Lock()
	if x.index > 0 {
		d.heap.remove(x.index - 1)
	}
	d.mu.Unlock()
}

// timerHeap is a heap of timers, the earliest first. Each knows its place.
type timerHeap []*timer

func (h *timerHeap) push(x *timer) {
	*h = append(*h, x)
	h.put(len(*h)-1, x)
	h.up(len(*h) - 1)
}

// remove takes out the timer at place i.
func (h *timerHeap) remove(i int) {
	old := *h
	x, last := old[i], len(old)-1
	moved := old[last]
	old[last] = nil
	*h = old[:last]
	x.index = 0
	if i < last {
		h.put(i, moved)
		h.fix(i)
	}
	if last == 0 && cap(old) > idleCapacity {
		*h = nil
	}
}

// fix restores the order after the timer at place i has changed.
func (h *timerHeap) fix(i int) {
	if !h.down(i) {
		h.up(i)
	}
}

func (h *timerHeap) put(i int, x *timer) {
	(*h)[i] = x
	x.index = i + 1
}

func (h *timerHeap) up(i int) {
	x := (*h)[i]
	for i > 0 {
		parent := (i - 1) / 2
		if (*h)[parent].at <= x.at {
			break
		}
		h.put(i, (*h)[parent])
		i = parent
	}
	h.put(i, x)
}

// down reports whether the timer at place i has moved.
func (h *timerHeap) down(i int) bool {
	x, from := (*h)[i], i
	for {
		child := 2*i + 1
		if child+1 < len(*h) && (*h)[child+1].at < (*h)[child].at {
			child++
		}
		if child >= len(*h) || (*h)[child].at >= x.at {
			break
		}
		h.put(i, (*h)[child])
		i = child
	}
	h.put(i, x)
	return i != from
}
