package udp

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSockaddr writes addresses and reads them again: an IPv6 socket's IPv4 addresses are never seen as mapped ones.
func TestSockaddr(t *testing.T) {
	for _, tt := range []struct {
		address string
		v6      bool
		length  int
		family  byte
	}{
		{"192.0.2.1:5684", false, unix.SizeofSockaddrInet4, unix.AF_INET},
		{"192.0.2.1:5684", true, unix.SizeofSockaddrInet6, unix.AF_INET6},
		{"[2001:db8::1]:65535", true, unix.SizeofSockaddrInet6, unix.AF_INET6},
		{"[2001:db8::1]:65535", false, unix.SizeofSockaddrInet6, unix.AF_INET6}, // the system refuses it
		{"[fe80::1%7]:1", true, unix.SizeofSockaddrInet6, unix.AF_INET6},
	} {
		var a sockaddr
		for i := range a {
			a[i] = 0xff // of an address before
		}
		want := netip.MustParseAddrPort(tt.address)
		if n := a.set(want, tt.v6); n != tt.length || a[0] != tt.family && a[1] != tt.family {
			t.Errorf("%s: %d bytes of family % x", tt.address, n, a[:2])
		}
		if got := a.peer(); got != want {
			t.Errorf("%s is read as %s", tt.address, got)
		}
	}
	if got := new(sockaddr).peer(); got.IsValid() {
		t.Errorf("nothing is read as %s", got)
	}
}

// TestSockaddrLeavesNothing writes a short address over a long one: neither flow nor zone of that one stays.
func TestSockaddrLeavesNothing(t *testing.T) {
	var a sockaddr
	a.set(netip.MustParseAddrPort("[fe80::1%7]:1"), true)
	a.set(netip.MustParseAddrPort("192.0.2.1:2"), true)
	if a[24] != 0 || a[27] != 0 {
		t.Errorf("the zone is still there: % x", a)
	}
	for i := 4; i < 8; i++ {
		a[i] = 0xff
	}
	a.set(netip.MustParseAddrPort("[2001:db8::1]:2"), true)
	if a[4] != 0 || a[7] != 0 {
		t.Errorf("a flow is said: % x", a)
	}
}

func TestZoneNumber(t *testing.T) {
	for zone, want := range map[string]uint32{"": 0, "3": 3, "4294967295": 1<<32 - 1, "4294967296": 0, "eth0": 0, "-1": 0} {
		if got := zoneNumber(zone); got != want {
			t.Errorf("%q is %d, wanted %d", zone, got, want)
		}
	}
}
