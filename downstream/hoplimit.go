package downstream

import "github.com/dotsgate/dotsgate/dots"

// hopLimitValid tells whether a received Hop-Limit is in range. RFC 8768, Section 3: a value of 0 or above 255 is
// answered 4.00; so is one that is no number at all.
func hopLimitValid(received dots.Maybe[uint32]) bool {
	return !received.Set || received.Value >= 1 && received.Value <= 255
}

// forwardedHopLimit returns what a request may be forwarded with, one less than received or, where the option was
// absent, than the initial value; 0 means that it must not be forwarded (RFC 8768, Section 3).
func forwardedHopLimit(received dots.Maybe[uint32], initial uint8) uint8 {
	return uint8(received.Or(uint32(initial)) - 1)
}
