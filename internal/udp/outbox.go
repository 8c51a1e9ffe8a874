package udp

import "sync"

// The outbox's bounds in bytes, and what of its memory is kept to be used again: more than that goes back to the garbage
// collector.
const (
	outboxBytes = 4 << 20
	keptArena   = 256 << 10 // bytes
	keptLetters = 1024
)

// letter is a datagram in a bundle's arena.
type letter struct {
	from, to int // bytes of the arena
	path     Path
}

// bundle is what leaves together. Datagrams lie one behind the other in one piece of memory, so that nothing is allocated
// for one of them.
type bundle struct {
	arena   []byte
	letters []letter
}

func (b *bundle) put(p []byte, path Path) {
	at := len(b.arena)
	b.arena = append(b.arena, p...)
	b.letters = append(b.letters, letter{at, len(b.arena), path})
}

// empty makes the bundle's memory ready for others.
func (b *bundle) empty() {
	if cap(b.arena) > keptArena || cap(b.letters) > keptLetters {
		*b = bundle{}
		return
	}
	b.arena, b.letters = b.arena[:0], b.letters[:0]
}

// outbox holds what waits to be sent. Whenever something waits there is one flusher on the way: the queue's reader at the
// end of its batch, or its writer.
type outbox struct {
	most int // datagrams

	mu      sync.Mutex
	waiting bundle
	spare   bundle
	flusher bool // somebody will call take until it gives nothing
	closed  bool
}

// put takes a copy of a datagram. taken is false when there is no room; appointed asks the caller to see that there is a
// flusher, because until now there was none.
func (o *outbox) put(b []byte, path Path) (taken, appointed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || len(o.waiting.letters) >= o.most || len(o.waiting.arena)+len(b) > outboxBytes {
		return false, false
	}
	o.waiting.put(b, path)
	appointed = !o.flusher
	o.flusher = true
	return true, appointed
}

// claim makes the caller the flusher, unless there is one.
func (o *outbox) claim() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flusher {
		return false
	}
	o.flusher = true
	return true
}

// take gives the flusher all that waits, in the order it came; it is returned by give. When nothing waits the caller is
// flusher no longer, and ok is false.
func (o *outbox) take() (b bundle, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting.letters) == 0 {
		o.flusher = false
		return bundle{}, false
	}
	b = o.waiting
	o.waiting, o.spare = o.spare, bundle{}
	return b, true
}

// give returns the memory of a bundle that has left. more reports that others wait by now; when none do, the caller is
// flusher no longer.
func (o *outbox) give(b bundle) (more bool) {
	b.empty()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.spare = b
	if len(o.waiting.letters) > 0 {
		return true
	}
	o.flusher = false
	return false
}

// length is how many datagrams wait.
func (o *outbox) length() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting.letters)
}

// close refuses everything from now on.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
}
