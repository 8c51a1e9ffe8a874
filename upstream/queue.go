package upstream

import (
	"container/heap"
	"time"
)

// fifo is a queue of refs. A ref is not taken out when its owner needs nothing any more: whoever pops it looks.
type fifo struct {
	refs []ref
	head int
}

func (q *fifo) len() int { return len(q.refs) - q.head }

func (q *fifo) push(r ref) { q.refs = append(q.refs, r) }

// peek returns the oldest ref.
func (q *fifo) peek() (ref, bool) {
	if q.head == len(q.refs) {
		return ref{}, false
	}
	return q.refs[q.head], true
}

// pop takes the oldest ref and gives the space in front of it back from time to time.
func (q *fifo) pop() (ref, bool) {
	if q.head == len(q.refs) {
		return ref{}, false
	}
	r := q.refs[q.head]
	q.head++
	if q.head >= 64 && q.head >= len(q.refs)/2 {
		q.refs, q.head = append(q.refs[:0], q.refs[q.head:]...), 0
	}
	return r, true
}

// delay is a ref that waits for a time.
type delay struct {
	at    time.Time
	order uint64 // of arrival, among those of one time
	ref
}

// delays is a heap of refs by their time, those of one time in the order of arrival.
type delays struct {
	heap  delayHeap
	count uint64
}

func (d *delays) push(at time.Time, r ref) {
	d.count++
	heap.Push(&d.heap, delay{at, d.count, r})
}

// next returns the earliest time; zero: nothing waits.
func (d *delays) next() time.Time {
	if len(d.heap) == 0 {
		return time.Time{}
	}
	return d.heap[0].at
}

// pop takes the first ref whose time has come.
func (d *delays) pop(now time.Time) (delay, bool) {
	if len(d.heap) == 0 || d.heap[0].at.After(now) {
		return delay{}, false
	}
	return heap.Pop(&d.heap).(delay), true
}

// delayHeap orders delays by time; see container/heap.
type delayHeap []delay

func (h delayHeap) Len() int { return len(h) }
func (h delayHeap) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].order < h[j].order
}
func (h delayHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is for container/heap.
func (h *delayHeap) Push(x any) { *h = append(*h, x.(delay)) }

// Pop is for container/heap.
func (h *delayHeap) Pop() any {
	old := *h
	n := len(old) - 1
	d := old[n]
	*h = old[:n]
	return d
}
