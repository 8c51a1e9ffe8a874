// Package impair is a bad network: what a path may do to datagrams, as a model that a seed makes repeatable, and on it sockets and
// links in memory. It is for tests and the lab; the daemon holds none of it.
//
// A [Way] is one direction of a path and knows no clock: it is given a time and says when what arrives. Everything else here does
// what ways say by timers of package time, so it works in real time, and in virtual time inside a bubble of testing/synctest.
//
//   - A [Network] has sockets that are net.PacketConns. Each socket has a way out and a way in, as a line between it and a perfect
//     network: a datagram passes its sender's way out, then its receiver's way in.
//   - [NewPair] makes the two ends of one line for CoAP without DTLS, which costs so little that thousands may live at once.
//
// # What is repeatable
//
// The same seed, the same conditions and the same datagrams at the same times give the same fates. The fate of a datagram as to
// one condition does not depend on the other conditions: each is drawn for every datagram, wanted or not. Where several
// goroutines send on one way at one moment, their order is the runtime's; so impair the ways that have one sender each.
package impair
