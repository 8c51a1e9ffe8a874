package udp

import (
	"net"
	"net/netip"
)

const (
	// MaxDatagram is the longest datagram that is read, in bytes.
	MaxDatagram = 8192
	// batchSize is how many datagrams go in or out in one system call.
	batchSize = 64
)

// isIPv6 reports the family of a socket by its address.
func isIPv6(a *net.UDPAddr) bool {
	ip, ok := netip.AddrFromSlice(a.IP)
	return ok && ip.Is6() && !ip.Is4In6()
}
