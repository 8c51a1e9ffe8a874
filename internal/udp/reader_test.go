package udp

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// A reader hands on every datagram with its sender, several for one call where several are there, and ends with its socket.
func TestReader(t *testing.T) {
	for _, network := range []string{"udp4", "udp6"} {
		t.Run(network, func(t *testing.T) {
			ip := net.IPv4(127, 0, 0, 1)
			if network == "udp6" {
				ip = net.IPv6loopback
			}
			var socks [3]*net.UDPConn
			for i := range socks {
				c, err := net.ListenUDP(network, &net.UDPAddr{IP: ip})
				if err != nil {
					t.Skipf("no such address here: %v", err)
				}
				defer c.Close()
				socks[i] = c
			}
			var rooms Rooms
			reader := NewReader(socks[0], &rooms)
			want := map[string]netip.AddrPort{}
			for i := range 2*readerBatch + 5 {
				from := socks[1+i%2]
				text := string(rune('A'+i)) + " datagram"
				want[text] = from.LocalAddr().(*net.UDPAddr).AddrPort()
				if _, err := from.WriteTo([]byte(text), socks[0].LocalAddr()); err != nil {
					t.Fatal(err)
				}
			}
			_ = socks[0].SetReadDeadline(time.Now().Add(10 * time.Second)) // a lost one must not hang the test
			for len(want) > 0 {
				err := reader.Read(func(b []byte, from netip.AddrPort) {
					if at, ok := want[string(b)]; !ok || at.Addr().Unmap() != from.Addr() || at.Port() != from.Port() {
						t.Errorf("%q came from %v, want %v", b, from, at)
					}
					delete(want, string(b))
					clear(b) // it is ours during the call
				})
				if err != nil {
					t.Fatalf("with %d to come: %v", len(want), err)
				}
			}
			_ = socks[0].SetReadDeadline(time.Time{})
			ended := make(chan error, 1)
			go func() { ended <- reader.Read(func(b []byte, _ netip.AddrPort) { t.Errorf("%q", b) }) }()
			_ = socks[0].Close()
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("a closed socket: %v, want net.ErrClosed", err)
			}
		})
	}
}

// Datagrams that are too long are lost, and those beside them are not.
func TestReaderDropsWhatIsCutOff(t *testing.T) {
	var socks [2]*net.UDPConn
	for i := range socks {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		socks[i] = c
	}
	sizes := []int{1, MaxDatagram + 1, MaxDatagram, 7}
	for _, n := range sizes {
		if _, err := socks[1].WriteTo(bytes.Repeat([]byte{1}, n), socks[0].LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	var got []int
	_ = socks[0].SetReadDeadline(time.Now().Add(10 * time.Second))
	reader := NewReader(socks[0], new(Rooms))
	for len(got) < 3 {
		if err := reader.Read(func(b []byte, _ netip.AddrPort) { got = append(got, len(b)) }); err != nil {
			t.Fatalf("after %v: %v", got, err)
		}
	}
	if want := []int{1, MaxDatagram, 7}; !slices.Equal(got, want) {
		t.Errorf("datagrams of %v bytes, want %v", got, want)
	}
}
