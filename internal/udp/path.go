package udp

import (
	"net"
	"net/netip"
)

// Path is a peer and the address of ours that it uses: what is sent to a Path leaves from the address that was asked.
// It is comparable.
type Path struct {
	// Peer is the other end. An IPv4 address is never mapped into IPv6.
	Peer netip.AddrPort
	// Local is the address that the peer sent to; the zero Addr where the sockets are bound to one address, or where the
	// system is to choose.
	Local netip.Addr
}

// peerOf is an address as the system gave it. The zero AddrPort: it is none.
func peerOf(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok || u == nil {
		return netip.AddrPort{}
	}
	ip, ok := netip.AddrFromSlice(u.IP)
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip.Unmap().WithZone(u.Zone), uint16(u.Port))
}

// setAddr writes a peer's address over a reused one. What the system wants is made of it there: a socket of IPv6 takes IPv4
// addresses, too.
func setAddr(a *net.UDPAddr, p netip.AddrPort) {
	ip := p.Addr()
	if ip.Is4() {
		b := ip.As4()
		a.IP = append(a.IP[:0], b[:]...)
	} else {
		b := ip.As16()
		a.IP = append(a.IP[:0], b[:]...)
	}
	a.Port, a.Zone = int(p.Port()), ip.Zone()
}

// answerable reports whether datagrams can leave from an address that some were sent to.
func answerable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
