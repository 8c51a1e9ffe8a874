//go:build !linux

package coap

import "net"

// cutter is of Linux.
type cutter struct{ able bool }

func newCutter(net.PacketConn, *net.UDPAddr) *cutter { return nil }

func (*cutter) send([]byte, int) bool { return false }
