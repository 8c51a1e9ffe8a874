// Package front is the UDP door of the gateway: nothing is kept for a peer before it has proven its address, and no
// goroutine is kept for a session that is idle.
package front
