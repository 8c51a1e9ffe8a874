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
	at time.Time
	ref
}

// delays is a heap of refs by their time.
type delays []delay

func (d *delays) push(at time.Time, r ref) { heap.Push((*delayHeap)(d), delay{at, r}) }

// next returns the earliest time; zero: nothing waits.
func (d delays) next() time.Time {
	if len(d) == 0 {
		return time.Time{}
	}
	return d[0].at
}

// pop takes the first ref whose time has come.
func (d *delays) pop(now time.Time) (delay, bool) {
	if len(*d) == 0 || (*d)[0].at.After(now) {
		return delay{}, false
	}
	return heap.Pop((*delayHeap)(d)).(delay), true
}

// delayHeap orders delays by time; see container/heap.
type delayHeap []delay

func (h delayHeap) Len() int           { return len(h) }
func (h delayHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h delayHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

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
