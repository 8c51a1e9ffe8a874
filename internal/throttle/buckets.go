package throttle

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// longest bounds what a whole bucket is worth, in nanoseconds: some seventy years, and times can be added to it.
const longest = 1 << 61

// bucketWays is how many buckets compete for the slots of one set.
const bucketWays = 8

// Buckets are token buckets, one for each address of IPv4 and each /56 of IPv6, in a table of fixed size. When a set of the table is full,
// the fullest bucket in it gives way: mostly one that is full and so worth nothing, and its owner never loses by it, since who is not in the
// table has a full bucket. Many sources at once are therefore limited less than a few; a limit for all together belongs beside it.
// Safe for concurrent use. A nil *Buckets lets everybody through.
type Buckets struct {
	seed      maphash.Seed
	began     time.Time
	interval  int64 // nanoseconds until the next token
	depth     int64 // nanoseconds that a whole bucket is worth
	sets      []bucketSet
	evictions atomic.Uint64
}

type bucketSet struct {
	mu    sync.Mutex
	slots [bucketWays]bucket
}

// bucket is what is spent of one, as the time when it will be full again (the virtual scheduling of ITU-T I.371, Annex A): what
// has not been touched for long needs no attention.
type bucket struct {
	owner key   // 0: never used
	full  int64 // nanoseconds since the table began
}

// NewBuckets makes a table of at least size buckets, each refilled at rate tokens a second up to burst, which is what it begins with. A rate
// or burst of 0 or less refuses everybody.
func NewBuckets(size int, rate float64, burst int) *Buckets {
	b := &Buckets{seed: maphash.MakeSeed(), began: time.Now(), sets: make([]bucketSet, setsFor(size, bucketWays))}
	if rate > 0 && burst > 0 {
		b.interval = int64(max(1, min(float64(time.Second)/rate, longest)))
		b.depth = b.interval * min(int64(burst), longest/b.interval)
	}
	return b
}

// Take takes a token of a's bucket and reports whether there was one. It allocates nothing and never waits long.
func (b *Buckets) Take(a netip.Addr, now time.Time) bool {
	if b == nil {
		return true
	}
	owner, at := keyOf(a), int64(now.Sub(b.began))
	set := &b.sets[place(b.seed, owner, len(b.sets))]
	set.mu.Lock()
	defer set.mu.Unlock()
	slot := set.find(owner)
	if slot.owner != owner {
		if slot.owner != 0 && slot.full > at {
			b.evictions.Add(1)
		}
		*slot = bucket{owner: owner, full: at}
	}
	full := max(slot.full, at) + b.interval
	if full-at > b.depth || b.depth == 0 {
		return false
	}
	slot.full = full
	return true
}

// find returns the owner's bucket, or the one that is to give way to it.
func (s *bucketSet) find(owner key) *bucket {
	fullest := &s.slots[0]
	for i := range s.slots {
		slot := &s.slots[i]
		switch {
		case slot.owner == owner:
			return slot
		case fullest.owner == 0:
		case slot.owner == 0 || slot.full < fullest.full:
			fullest = slot
		}
	}
	return fullest
}

// Stats counts the buckets that are not full. It walks the table: for whoever scrapes metrics, not for the hot path.
func (b *Buckets) Stats(now time.Time) Stats {
	if b == nil {
		return Stats{}
	}
	at := int64(now.Sub(b.began))
	out := Stats{Size: len(b.sets) * bucketWays, Evictions: b.evictions.Load()}
	for i := range b.sets {
		out.Fill += b.sets[i].spent(at)
	}
	return out
}

func (s *bucketSet) spent(at int64) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, slot := range s.slots {
		if slot.owner != 0 && slot.full > at {
			n++
		}
	}
	return n
}
