package gateway

import "github.com/dotsgate/dotsgate/dots"

// scope is one of the gateway's own cuids at an uplink.
type scope struct{ uplink, cuid string }

func (s scope) leg(mid uint32) dots.LegKey {
	return dots.LegKey{Uplink: s.uplink, CUID: s.cuid, MID: mid}
}

func scopeOf(k dots.LegKey) scope { return scope{k.Uplink, k.CUID} }

// counter hands out the mids of a scope. Mids are reserved durably in blocks, so that a crash can neither give one out
// twice nor leave a mitigation upstream that the gateway cannot name.
type counter struct {
	next     uint32 // the next to hand out
	reserved uint32 // the first that is not reserved
}

// take hands out a mid and reports whether the reservation grew and must be recorded.
func (n *counter) take(block uint32) (mid uint32, grew bool) {
	mid = n.next
	n.next++
	if n.next > n.reserved {
		n.reserved = n.next + block - 1
		grew = true
	}
	return mid, grew
}

// seen raises the counter above a mid that the uplink knows, and reports whether the reservation grew.
func (n *counter) seen(mid, block uint32) bool {
	if mid < n.next {
		return false
	}
	n.next = mid + 1
	if n.next > n.reserved {
		n.reserved = n.next + block - 1
		return true
	}
	return false
}

// exhausted reports that the counter is to start again at 0 as soon as nothing is active
// (RFC 9132, Section 4.4.1.1).
func (n *counter) exhausted() bool { return n.next >= dots.MIDRollover }
