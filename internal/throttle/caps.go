package throttle

import (
	"hash/maphash"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
)

// capWays is how many owners fit in one set.
const capWays = 16

// Caps bound what one address of IPv4, or one /56 of IPv6, holds at once, in a table of fixed size. When there is no slot left for an owner, it is
// refused: what is held cannot be forgotten. So that sets do not run full by chance, a table should have four times the slots of what can be held
// in all. Safe for concurrent use. A nil *Caps lets everybody through.
type Caps struct {
	seed      maphash.Seed
	most      uint32
	sets      []capSet
	fill      atomic.Int64
	overflows atomic.Uint64
}

type capSet struct {
	mu    sync.Mutex
	slots [capWays]holder
}

type holder struct {
	owner key    // 0: free
	held  uint32 // at least 1
}

// NewCaps makes a table of at least size owners, who may each hold most. A most of 0 or less refuses everybody.
func NewCaps(size, most int) *Caps {
	return &Caps{seed: maphash.MakeSeed(), most: uint32(min(uint64(max(0, most)), math.MaxUint32)), sets: make([]capSet, setsFor(size, capWays))}
}

// Acquire lets a hold one more, if it may, and reports whether it may. What was acquired is to be released once. It allocates nothing and
// never waits long.
func (c *Caps) Acquire(a netip.Addr) bool {
	if c == nil {
		return true
	}
	owner := keyOf(a)
	set := c.set(owner)
	set.mu.Lock()
	defer set.mu.Unlock()
	slot := set.find(owner)
	switch {
	case slot == nil:
		c.overflows.Add(1)
		return false
	case slot.held >= c.most:
		return false
	case slot.owner == 0:
		slot.owner = owner
		c.fill.Add(1)
	}
	slot.held++
	return true
}

// Release gives back one that a has acquired. To release what is not held does nothing.
func (c *Caps) Release(a netip.Addr) {
	if c == nil {
		return
	}
	owner := keyOf(a)
	set := c.set(owner)
	set.mu.Lock()
	defer set.mu.Unlock()
	slot := set.find(owner)
	if slot == nil || slot.owner != owner {
		return
	}
	if slot.held--; slot.held == 0 {
		*slot = holder{}
		c.fill.Add(-1)
	}
}

// Stats reads the table's counters; Fill is how many owners hold something, and nobody is ever evicted.
func (c *Caps) Stats() Stats {
	if c == nil {
		return Stats{}
	}
	return Stats{Size: len(c.sets) * capWays, Fill: int(c.fill.Load()), Overflows: c.overflows.Load()}
}

func (c *Caps) set(owner key) *capSet { return &c.sets[place(c.seed, owner, len(c.sets))] }

// find returns the owner's slot, else a free one, else nil.
func (s *capSet) find(owner key) *holder {
	var free *holder
	for i := range s.slots {
		slot := &s.slots[i]
		if slot.owner == owner {
			return slot
		}
		if slot.owner == 0 && free == nil {
			free = slot
		}
	}
	return free
}
