package udp

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// sockaddr is a socket address as the system writes it (ip(7), ipv6(7)): family, port, and for IPv4 the address; for IPv6 flow, address and
// the interface's number.
type sockaddr [unix.SizeofSockaddrInet6]byte

// peer is the address; the zero AddrPort: it is none. A zone is a number.
func (a *sockaddr) peer() netip.AddrPort {
	port := binary.BigEndian.Uint16(a[2:])
	switch binary.NativeEndian.Uint16(a[:]) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[4:])), port)
	case unix.AF_INET6:
		ip := netip.AddrFrom16([16]byte(a[8:])).Unmap()
		if zone := binary.NativeEndian.Uint32(a[24:]); zone != 0 && ip.Is6() {
			ip = ip.WithZone(strconv.FormatUint(uint64(zone), 10))
		}
		return netip.AddrPortFrom(ip, port)
	}
	return netip.AddrPort{}
}

// set writes an address for a socket of IPv6 or IPv4, and returns its length. A socket of IPv6 takes IPv4 addresses, too.
func (a *sockaddr) set(p netip.AddrPort, v6 bool) int {
	binary.BigEndian.PutUint16(a[2:], p.Port())
	if ip := p.Addr(); !v6 && ip.Is4() {
		binary.NativeEndian.PutUint16(a[:], unix.AF_INET)
		b := ip.As4()
		copy(a[4:], b[:])
		return unix.SizeofSockaddrInet4
	}
	binary.NativeEndian.PutUint16(a[:], unix.AF_INET6)
	clear(a[4:8]) // the flow
	b := p.Addr().As16()
	copy(a[8:], b[:])
	binary.NativeEndian.PutUint32(a[24:], zoneNumber(p.Addr().Zone()))
	return unix.SizeofSockaddrInet6
}

// zoneNumber is a zone as peer has made it; 0: none, and the system chooses.
func zoneNumber(zone string) uint32 {
	n, err := strconv.ParseUint(zone, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}
