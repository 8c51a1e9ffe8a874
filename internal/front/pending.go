package front

import (
	"container/list"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/internal/throttle"
)

// pending bounds the handshakes under way: how many there are in all and for each prefix, how fast a prefix begins them, and
// how many of them the library works for at a moment. A peer that leaves its handshake unfinished gives way to newer ones.
type pending struct {
	most    int
	buckets *throttle.Buckets
	caps    *throttle.Caps
	// slots are taken by those whose datagram the library has and works for. Established traffic, which needs none, never waits
	// behind a crowd of handshakes.
	slots chan struct{}

	mu    sync.Mutex
	order *list.List // of *Conn, oldest first
}

// bucketSlots is the size of the table of prefixes that begin handshakes. A flood does not get here: addresses are proven.
const bucketSlots = 1 << 14

func newPending(cfg Config) *pending {
	return &pending{
		most:    cfg.MaxPending,
		buckets: throttle.NewBuckets(bucketSlots, cfg.Rate, cfg.Burst),
		caps:    throttle.NewCaps(4*cfg.MaxPending, cfg.MaxPerPrefix),
		slots:   make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		order:   list.New(),
	}
}

// add takes c in, whose cap was acquired, and returns the oldest one when it has to give way. One that is done by now, since it
// gave way to another one of its address, is not taken in.
func (p *pending) add(c *Conn) (oldest *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !c.waiting.Load() {
		return nil
	}
	if p.order.Len() >= p.most {
		oldest = p.order.Remove(p.order.Front()).(*Conn)
		oldest.turn = nil
	}
	c.turn = p.order.PushBack(c)
	return oldest
}

// admits reports whether a source may begin one more handshake, which done then lets go. Sources on this machine are not
// bounded: who can use those has better ways to do harm.
func (p *pending) admits(source netip.Addr, now time.Time) bool {
	return source.IsLoopback() || p.buckets.Take(source, now) && p.caps.Acquire(source)
}

// done lets c's place go, once.
func (p *pending) done(c *Conn) {
	if !c.waiting.CompareAndSwap(true, false) {
		return
	}
	p.mu.Lock()
	if c.turn != nil {
		p.order.Remove(c.turn)
		c.turn = nil
	}
	p.mu.Unlock()
	if source := c.origin.Peer.Addr(); !source.IsLoopback() {
		p.caps.Release(source)
	}
}

func (p *pending) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.order.Len()
}
