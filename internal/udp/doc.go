// Package udp reads and writes the datagrams of one address in batches, over several sockets, with ClientHellos kept
// apart from everything else by the kernel.
//
// One socket is not enough for a server that is flooded: what its peers send waits behind the flood in one receive buffer,
// and is lost there. So several sockets share the address (SO_REUSEPORT), and a packet filter chooses among them: queue 0
// gets ClientHellos and what cannot be DTLS at all, which is what strangers send; the other queues share the rest, a flow
// always in the same one, so that one peer's datagrams keep their order. Where the system has no such filter there is one
// plain socket, and everything works but for the floods.
//
// Each queue has a goroutine that reads up to 64 datagrams in one system call, hands on one after the other, and sends the
// answers in one system call when it has handled them all. What other goroutines send meanwhile leaves with these. While the
// reader is idle they wake the queue's writer, which takes all there is: whoever finds the outbox without a flusher appoints
// one, so nothing lies in it without somebody on the way. Nobody waits for the network but the queue's own two goroutines; a
// full outbox loses datagrams, as a network does, and counts them.
//
// The system calls for batches are made here, without telling the runtime that they may block, since they do not: where it is told, its
// monitor takes the processor from whoever sends a batch, for nothing, and on a machine of one core every batch paid for that.
//
// Several datagrams of one length to one peer, as the answers to a client that asks for several things at a time, are one
// message to the system, which makes datagrams of it on the way out (UDP_SEGMENT).
//
// Sockets bound to every address of the machine answer from the address that was asked: [Path] remembers it.
//
// A socket that has one owner, as a client's, is read in batches by a [Reader].
package udp
