package throttle

import (
	"hash/maphash"
	"net/netip"
)

// Stats say how a table is doing, at one moment.
type Stats struct {
	Size      int    // slots there are
	Fill      int    // slots in use
	Evictions uint64 // owners that were put out for another while they were still counted
	Overflows uint64 // refusals because there was no slot left, whatever the owner's own count
}

// key names who is counted: one address of IPv4 or one /56 of IPv6, the smallest network that a customer gets, all of whose addresses
// are his. It is never 0.
type key uint64

// The families within a key, above the 56 bits that are taken of an address.
const (
	keyIPv4 key = 1 << 62
	keyIPv6 key = 1 << 63
)

func keyOf(a netip.Addr) key {
	a = a.Unmap()
	if a.Is4() {
		b := a.As4()
		return keyIPv4 | key(b[0])<<24 | key(b[1])<<16 | key(b[2])<<8 | key(b[3])
	}
	b := a.As16() // the zero Addr counts as ::
	k := keyIPv6
	for i, part := range b[:7] {
		k |= key(part) << (8 * (6 - i))
	}
	return k
}

// place is where in a table of so many sets a key belongs. The seed is the process's own secret, so nobody can choose addresses that
// fall together.
func place(seed maphash.Seed, k key, sets int) int {
	return int(maphash.Comparable(seed, k) % uint64(sets))
}

// setsFor is how many sets of so many ways hold at least size slots.
func setsFor(size, ways int) int { return max(1, (size+ways-1)/ways) }
