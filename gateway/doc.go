// Package gateway is the core between the two halves: it holds mitigations and legs, and decides what is told to whom.
//
// Core is a function of state, time and event: Step takes an Event and gives a Ready, and has no goroutine, lock, clock,
// log, context or I/O inside. Gateway is the one goroutine around it, with a bounded mailbox, a commit worker and the timer.
//
// How requests become legs: Policy.Places says at which uplinks a mitigation is to be. What it needs there is its share of a plot: of the legs under one
// cuid of ours and of one trigger type, whose targets must not overlap. Whatever happens only marks: a mitigation as touched, a leg as loose. At the end
// of a Step settle computes the shares of what was touched, and policy.Arrange says of each plot that changed which legs are to stand. One that is not to
// be the same is replaced by a new one under a higher mid, and withdrawn once that one stands: make before break. What a Step cannot finish, or is
// not to do at once, has a deadline of its own (later, turns).
//
// What the outside must say, an address of a name or an AAA server's ruling, is a Question, as data; its answer is an event. Operators' commands are
// events, too.
//
// What grows is bounded: mitigations, cuids and the rate of new ones by policy's limits, names and waiting requests by CoreConfig, for all and
// for each client entry, everything that waits for the disk by Config. A client's cuid stays its own until a day after nothing was left under it;
// so does a cuid of ours that is for that client alone.
//
// Durable before visible: what a Ready holds that others can see (wants, replies, changes) goes out only after the commit
// that Ready.After names. Nothing that a client was told is lost by a kill or a power cut.
package gateway
