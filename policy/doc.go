// Package policy decides who may ask for what, where it goes and how reports and errors combine: pure decisions.
//
// It does no I/O, reads no clock and starts no goroutine. A *Policy is immutable and safe for concurrent use; what it needs to
// know of the core's state it reads through a View, inside the core's own step, so that no check can race with a change.
package policy
