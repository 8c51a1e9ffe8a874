package udp

import (
	"net/netip"
	"sync"
)

// readerBatch is how many datagrams a Reader reads in one system call.
const readerBatch = 32

// Rooms is memory that Readers share: each has some while it has datagrams, and none while it waits for them. The zero value is ready; safe for concurrent
// use.
type Rooms struct{ pool sync.Pool }

func (r *Rooms) get() *inbound {
	if in, ok := r.pool.Get().(*inbound); ok {
		return in
	}
	return newRoom(readerBatch)
}

// Received gets a datagram. b is valid during the call and may be changed by it.
type Received func(b []byte, from netip.AddrPort)

// hand hands on the first n datagrams of a batch. Those that were cut off are lost, as on the wire.
func (in *inbound) hand(n int, to Received) {
	for i := range n {
		if b, from, ok := in.datagram(i); ok {
			to(b, from.Peer)
		}
	}
}
