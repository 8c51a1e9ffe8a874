// Package prefetch asks the processor for memory that will be needed soon, so that several pieces come at the same time.
//
// One that handles a batch of things, each with memory of its own that is in no cache, waits for one piece after the other: what is behind a pointer is not asked
// for before the pointer has come, and the processor does not look ahead from one thing to the next. Going through the batch first and asking, it waits once.
//
// Nothing is read as far as Go's memory model goes, and nothing changes: memory that others write at the same time may be asked for. Where the processor is not
// known, nothing happens.
package prefetch

import "unsafe"

// Of asks for all of *p; p may be nil.
func Of[T any](p *T) { Part(p, 0, unsafe.Sizeof(*p)) }

// Part asks for what begins at so many bytes of *p and has n bytes, as much of that as lies in *p; p may be nil.
func Part[T any](p *T, from, n uintptr) {
	size := unsafe.Sizeof(*p)
	if p == nil || from >= size {
		return
	}
	lines(unsafe.Pointer(p), from, min(from+n, size))
}

// Behind asks for n bytes of what an interface points to, from the given one on. That there is so much is the caller's guess: a wrong one costs time and
// nothing else. v may be nil.
func Behind(v any, from, n uintptr) {
	if p := (*[2]unsafe.Pointer)(unsafe.Pointer(&v))[1]; p != nil {
		lines(p, from, from+n)
	}
}
