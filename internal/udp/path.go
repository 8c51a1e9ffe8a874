package udp

import "net/netip"

// Path is a peer and the address of ours that it uses: what is sent to a Path leaves from the address that was asked.
// It is comparable.
type Path struct {
	// Peer is the other end. An IPv4 address is never mapped into IPv6; a zone is the interface's number.
	Peer netip.AddrPort
	// Local is the address that the peer sent to; the zero Addr where the sockets are bound to one address, or where the
	// system is to choose.
	Local netip.Addr
}

// answerable reports whether datagrams can leave from an address that some were sent to.
func answerable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
