package impair

import (
	"container/heap"
	"sync"
	"time"
)

// mostUnderWay bounds what is under way to one receiver; what is one too many is lost.
const mostUnderWay = 1 << 16

// Schedule does things when they are due, one at a time, in the order of their times and, at one time, of their coming. It has no
// goroutine while nothing is due. The zero value is ready; safe for concurrent use.
type Schedule struct {
	mu      sync.Mutex
	due     dueHeap
	number  uint64
	timer   *time.Timer
	running bool
	closed  bool
}

// due is one thing to do.
type due struct {
	at     time.Time
	number uint64
	do     func()
}

// Add has something done at a time, and tells whether there was room: 65,536 things wait at most, and none once it is closed. do is
// never called from inside Add; what blocks it blocks what is due after it.
func (s *Schedule) Add(at time.Time, do func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.due) >= mostUnderWay {
		return false
	}
	s.number++
	heap.Push(&s.due, due{at, s.number, do})
	if !s.running && s.due[0].number == s.number {
		s.wake()
	}
	return true
}

// wake sets the timer for the first thing. The lock is held.
func (s *Schedule) wake() {
	in := time.Until(s.due[0].at)
	if in <= 0 {
		// As a timer would, but timers that are due at once share what the race detector keeps of them, in virtual time: two at a time end the
		// program (golang/go#78156).
		go s.run()
		return
	}
	if s.timer == nil {
		s.timer = time.AfterFunc(in, s.run)
		return
	}
	s.timer.Reset(in)
}

// run does what is due.
func (s *Schedule) run() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running { // a timer that was set again as it fired
		return
	}
	s.running = true
	for len(s.due) > 0 && !s.due[0].at.After(time.Now()) {
		d := heap.Pop(&s.due).(due)
		s.mu.Unlock()
		d.do()
		s.mu.Lock()
	}
	s.running = false
	if len(s.due) > 0 {
		s.wake()
	}
}

// Close forgets all that is to be done. What is being done goes on.
func (s *Schedule) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.due = nil
	if s.timer != nil {
		s.timer.Stop()
	}
}

// dueHeap is a heap.Interface.
type dueHeap []due

func (h dueHeap) Len() int { return len(h) }

func (h dueHeap) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].number < h[j].number
	}
	return h[i].at.Before(h[j].at)
}

func (h dueHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is heap.Interface's.
func (h *dueHeap) Push(x any) { *h = append(*h, x.(due)) }

// Pop is heap.Interface's.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = due{}
	*h = (*h)[:last]
	return d
}
