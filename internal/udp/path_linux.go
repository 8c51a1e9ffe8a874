package udp

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Where the address stands in the control message that carries it: in_pktinfo has the interface's number before it.
const sourceAt4 = 4

// tellLocal asks the system to say with each datagram which address of ours it was sent to (ip(7), IP_PKTINFO; ipv6(7),
// IPV6_RECVPKTINFO). It reports whether it will.
func tellLocal(c *net.UDPConn, v6 bool) bool {
	if v6 { // this covers IPv4 on the same socket
		return ipv6.NewPacketConn(c).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true) == nil
	}
	return ipv4.NewPacketConn(c).SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true) == nil
}

// controlRoom is the room for the control messages of one datagram, in bytes.
func controlRoom() int { return unix.CmsgSpace(unix.SizeofInet6Pktinfo) }

// localIn is the address of ours that stands in the control messages of a datagram; the zero Addr: none that can answer.
func localIn(oob []byte) netip.Addr {
	for len(oob) >= unix.CmsgLen(0) {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return netip.Addr{}
		}
		var a netip.Addr
		switch {
		case h.Level == unix.SOL_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			a = netip.AddrFrom4([4]byte(data[sourceAt4:]))
		case h.Level == unix.SOL_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			a = netip.AddrFrom16([16]byte(data)).Unmap()
		}
		if answerable(a) {
			return a
		}
		oob = rest
	}
	return netip.Addr{}
}

// source is a control message that says from which address a datagram leaves. It is made once and written over.
type source struct {
	message []byte
	v6      bool
}

func newSource(v6 bool) source {
	if v6 {
		return source{message: unix.PktInfo6(&unix.Inet6Pktinfo{}), v6: true}
	}
	return source{message: unix.PktInfo4(&unix.Inet4Pktinfo{})}
}

// from is the control message for one address; nil: the system chooses.
func (s source) from(a netip.Addr) []byte {
	switch {
	case !a.IsValid(), a.Is6() && !s.v6:
		return nil
	case s.v6:
		b := a.As16()
		copy(s.message[unix.CmsgLen(0):], b[:])
	default:
		b := a.As4()
		copy(s.message[unix.CmsgLen(0)+sourceAt4:], b[:])
	}
	return s.message
}
