package store

import "errors"

// The errors of a store. What a method returns wraps one of them with the details: test with errors.Is.
var (
	// ErrFull: there is no space for the batch. Nothing of it was kept; withdrawing something, or making room on
	// the disk, helps.
	ErrFull = errors.New("store is full")

	// ErrClosed: the store was closed before the call.
	ErrClosed = errors.New("store is closed")

	// ErrCorrupt: what the store finds on the disk cannot be what it wrote. Open it anew to have the damaged
	// data put aside.
	ErrCorrupt = errors.New("store is damaged")

	// ErrLocked: another process, or another part of this one, has the store open.
	ErrLocked = errors.New("store is in use")

	// ErrVersion: the store was written by a newer program, or is not a store of ours at all. It is left as it is.
	ErrVersion = errors.New("store has an unknown format")

	// ErrInvalid: a batch is outside the limits of this package. It is a mistake of the caller.
	ErrInvalid = errors.New("batch is not valid")
)
