//go:build !linux

package coap

import (
	"net"
	"net/netip"
)

// cutter is of Linux.
type cutter struct{ able bool }

func newCutter(net.PacketConn, *net.UDPAddr) *cutter { return nil }

func (*cutter) send([]byte, int) bool { return false }

// joined is of Linux.
type joined struct{}

func newJoined(net.PacketConn) *joined { return nil }

func (*joined) read() (b []byte, length int, from netip.AddrPort, err error) {
	return nil, 0, from, net.ErrClosed
}
