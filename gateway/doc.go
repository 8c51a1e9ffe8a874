// Package gateway is the core between the two halves: it holds mitigations and legs, and decides what is told to whom.
//
// Core is a function of state, time and event: Step takes an Event and gives a Ready, and has no goroutine, lock, clock,
// log, context or I/O inside. Gateway is the one goroutine around it, with a bounded mailbox, a commit worker and the timer.
//
// Durable before visible: what a Ready holds that others can see (wants, replies, changes) goes out only after the commit
// that Ready.After names. Nothing that a client was told is lost by a kill or a power cut.
package gateway
