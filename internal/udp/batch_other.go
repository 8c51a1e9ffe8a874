//go:build !linux

package udp

import (
	"net"
	"net/netip"
)

// inbound reads, one datagram at a time: only Linux has batches. It belongs to one goroutine.
type inbound struct {
	conn   *net.UDPConn
	memory []byte
	length int
	peer   netip.AddrPort
}

func newInbound(c *net.UDPConn, _ bool) *inbound {
	return &inbound{conn: c, memory: make([]byte, MaxDatagram+1)}
}

// read waits for a datagram and returns how many there are.
func (in *inbound) read() (n int, err error) {
	if in.length, in.peer, err = in.conn.ReadFromUDPAddrPort(in.memory); err != nil {
		return 0, err
	}
	in.peer = netip.AddrPortFrom(in.peer.Addr().Unmap(), in.peer.Port())
	return 1, nil
}

// datagram is the one of the last batch. ok is false when it was cut off.
func (in *inbound) datagram(int) (b []byte, from Path, ok bool) {
	return in.memory[:min(in.length, MaxDatagram)], Path{Peer: in.peer}, in.length <= MaxDatagram
}

// outbound writes. It belongs to whoever is the flusher.
type outbound struct{ conn *net.UDPConn }

func newOutbound(c *net.UDPConn, _, _ bool) *outbound { return &outbound{c} }

// write sends a bundle. It returns how many datagrams the system took and how many it refused.
func (out *outbound) write(b *bundle) (sent, failed int) {
	for _, l := range b.letters {
		if _, err := out.conn.WriteToUDPAddrPort(b.arena[l.from:l.to], l.path.Peer); err != nil {
			failed++
			continue
		}
		sent++
	}
	return sent, failed
}
