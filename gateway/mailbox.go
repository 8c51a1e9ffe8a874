package gateway

import "sync"

// Room in the mailbox. Ordinary events (new requests, GETs) may fill it up to ordinaryShare; what is left is kept for
// refreshes, withdrawals and what the uplinks say: under attack, new work is refused first and quickly.
const (
	ordinaryNum, ordinaryDen = 3, 4
)

// mailbox is the bounded queue of the loop. Safe for concurrent use.
type mailbox struct {
	mu     sync.Mutex
	room   sync.Cond // signalled when items were taken
	items  []any
	size   int
	closed bool
	wake   chan struct{} // holds one token while there are items
}

func newMailbox(size int) *mailbox {
	b := &mailbox{size: size, wake: make(chan struct{}, 1)}
	b.room.L = &b.mu
	return b
}

// offer puts an item in, or says at once that there is no room for it. Items that are not ordinary may use all of it.
func (b *mailbox) offer(item any, ordinary bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	limit := b.size
	if ordinary {
		limit = b.size * ordinaryNum / ordinaryDen
	}
	if b.closed || len(b.items) >= limit {
		return false
	}
	b.add(item)
	return true
}

// deliver puts an item in and waits for room; false: the mailbox was closed.
func (b *mailbox) deliver(item any) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.closed && len(b.items) >= b.size {
		b.room.Wait()
	}
	if b.closed {
		return false
	}
	b.add(item)
	return true
}

func (b *mailbox) add(item any) {
	b.items = append(b.items, item)
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take swaps everything that waits against an empty slice, which the mailbox then owns.
func (b *mailbox) take(empty []any) []any {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.items
	b.items = empty[:0]
	b.room.Broadcast()
	return taken
}

// depth is the number of items that wait.
func (b *mailbox) depth() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.items)
}

// fill is how full the room of ordinary items is: 1 and more when they are refused.
func (b *mailbox) fill() float64 {
	return float64(b.depth()*ordinaryDen) / float64(b.size*ordinaryNum)
}

// close refuses everything that comes later.
func (b *mailbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.room.Broadcast()
}
