package record

// windowSize is the number of sequence numbers, up to the newest, that are told apart. RFC 6347, Section 4.1.2.6: 64 is the default.
const windowSize = 64

// window remembers which sequence numbers have come, so that none is taken twice (RFC 6347, Section 4.1.2.6).
type window struct {
	next uint64 // one above the newest
	seen uint64 // bit i: next-1-i has come
}

// newWindow takes no sequence number below next.
func newWindow(next uint64) window { return window{next: next, seen: ^uint64(0)} }

// isFresh reports whether n has not come yet and is not too old to tell. It changes nothing: n is not authentic yet.
func (w *window) isFresh(n uint64) bool {
	if n >= w.next {
		return true
	}
	age := w.next - 1 - n
	return age < windowSize && w.seen>>age&1 == 0
}

// mark remembers a fresh n, and reports whether it is the newest.
func (w *window) mark(n uint64) (newest bool) {
	if n >= w.next {
		w.seen = w.seen<<(n-w.next+1) | 1 // a shift of 64 and more leaves nothing
		w.next = n + 1
		return true
	}
	w.seen |= 1 << (w.next - 1 - n)
	return false
}
