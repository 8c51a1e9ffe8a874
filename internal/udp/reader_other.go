//go:build !linux

package udp

import "net"

// Reader reads the datagrams of a socket of its owner's. It belongs to one goroutine.
type Reader struct{ in *inbound }

// NewReader makes a reader of a socket, which stays the caller's.
func NewReader(c *net.UDPConn, _ *Rooms) *Reader { return &Reader{newInbound(c, false)} }

// Read waits for a datagram and hands it on. The error is the socket's, net.ErrClosed among them, or the system's.
func (r *Reader) Read(to Received) error {
	n, err := r.in.read()
	if err != nil {
		return err
	}
	r.in.hand(n, to)
	return nil
}

func newRoom(int) *inbound { return nil }
