package coap

import (
	"net"
	"net/netip"
	"testing"

	sockets "github.com/dotsgate/dotsgate/internal/udp"
)

// A server with a link-local address is one and the same whether its interface has a name or a number: the library's reader knows names, the
// batches know numbers.
func TestSamePlace(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"[fe80::1%eth0]:4646", "[fe80::1%2]:4646", true},
		{"[fe80::1]:4646", "[fe80::1%2]:4646", true},
		{"[fe80::1%eth0]:4646", "[fe80::2%eth0]:4646", false},
		{"192.0.2.1:4646", "192.0.2.1:4646", true},
		{"192.0.2.1:4646", "192.0.2.1:4647", false},
		{"192.0.2.1:4646", "[::ffff:192.0.2.1]:4646", false},
	} {
		if got := samePlace(netip.MustParseAddrPort(tt.a), netip.MustParseAddrPort(tt.b)); got != tt.same {
			t.Errorf("samePlace(%s, %s) = %v", tt.a, tt.b, got)
		}
	}
}

// TestZonedSender reads from a link-local address of this machine, if it has one, as a dialer does once the session is its own.
func TestZonedSender(t *testing.T) {
	local := linkLocal(t)
	conn, err := net.ListenUDP("udp6", local)
	if err != nil {
		t.Skip("no link-local address can be used here:", err)
	}
	defer func() { _ = conn.Close() }()
	own := conn.LocalAddr().(*net.UDPAddr)
	if _, err := conn.WriteTo([]byte("text"), own); err != nil {
		t.Skip("nothing can be sent to a link-local address here:", err)
	}
	want, _ := addrPort(own)
	var rooms sockets.Rooms
	err = sockets.NewReader(conn, &rooms).Read(func(b []byte, from netip.AddrPort) {
		if string(b) != "text" || !samePlace(from, want) {
			t.Errorf("%q came from %v, and not from %v", b, from, want)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func linkLocal(t *testing.T) *net.UDPAddr {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Skip(err)
	}
	for _, i := range all {
		addrs, _ := i.Addrs() // one without any is no use
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.To4() == nil && n.IP.IsLinkLocalUnicast() {
				return &net.UDPAddr{IP: n.IP, Zone: i.Name}
			}
		}
	}
	t.Skip("this machine has no link-local address")
	return nil
}
