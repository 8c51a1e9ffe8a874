package udp

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// segmentPeers are sockets that a test sends to, and the one that it sends from.
func segmentPeers(t *testing.T, n int) (from *net.UDPConn, to []*net.UDPConn) {
	t.Helper()
	for range n + 1 {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		to = append(to, c)
	}
	return to[n], to[:n]
}

// arrived reads so many datagrams, sorted.
func arrived(t *testing.T, c *net.UDPConn, n int) (got []string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second)) // a lost one must not hang the test
	buf := make([]byte, MaxDatagram)
	for range n {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("after %d datagrams: %v", len(got), err)
		}
		got = append(got, string(buf[:n]))
	}
	slices.Sort(got)
	return got
}

// Whatever goes together, each peer gets each of its datagrams by itself.
func TestRunsArriveOneByOne(t *testing.T) {
	from, to := segmentPeers(t, 2)
	for _, tt := range []struct {
		name    string
		prepare func(*outbound)
	}{
		{"together, where the system does that", func(*outbound) {}},
		{"never together", func(out *outbound) { out.segments = false }},
		{"the system refuses", func(out *outbound) {
			for _, c := range out.controls {
				clear(c) // a control message of no length
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := newOutbound(from, false, false)
			tt.prepare(out)
			var b bundle
			want := make([][]string, 2)
			for i := range 100 {
				who := i / 7 % 2
				text := fmt.Sprintf("%03d", i)
				if i%11 == 0 {
					text += " longer"
				}
				want[who] = append(want[who], text)
				b.put([]byte(text), Path{Peer: to[who].LocalAddr().(*net.UDPAddr).AddrPort()})
			}
			if sent, failed := out.write(&b); sent != 100 || failed != 0 {
				t.Errorf("%d were sent and %d failed, want 100 and 0", sent, failed)
			}
			for who := range to {
				slices.Sort(want[who])
				if got := arrived(t, to[who], len(want[who])); !slices.Equal(got, want[who]) {
					t.Errorf("peer %d got %q, want %q", who, got, want[who])
				}
			}
		})
	}
}

// What the system refuses of one peer is not what it refuses of others.
func TestRunsOfAPeerThatCannotBeReached(t *testing.T) {
	from, to := segmentPeers(t, 1)
	out := newOutbound(from, false, false)
	nowhere := netip.MustParseAddrPort("255.255.255.255:9") // not allowed without SO_BROADCAST
	if err := broadcasts(from, nowhere); err == nil {
		t.Skip("this system sends to everybody")
	}
	var b bundle
	for i := range 30 {
		path := Path{Peer: to[0].LocalAddr().(*net.UDPAddr).AddrPort()}
		if i/5%2 == 0 {
			path.Peer = nowhere
		}
		b.put(fmt.Appendf(nil, "%03d", i), path)
	}
	if sent, failed := out.write(&b); sent != 15 || failed != 15 {
		t.Errorf("%d were sent and %d failed, want 15 and 15", sent, failed)
	}
	if got := arrived(t, to[0], 15); got[0] != "005" || got[14] != "029" {
		t.Errorf("arrived: %q", got)
	}
}

func broadcasts(c *net.UDPConn, to netip.AddrPort) error {
	_, err := c.WriteToUDPAddrPort([]byte("x"), to)
	return err
}

// TestSingly: nothing goes together where that is not wanted.
func TestSingly(t *testing.T) {
	for _, singly := range []bool{false, true} {
		s, err := Listen(Config{Address: "127.0.0.1:0", Plain: true, Singly: singly})
		if err != nil {
			t.Fatal(err)
		}
		q := s.Queues()[0]
		if got, want := q.out.segments, !singly && Segments(q.conn); got != want {
			t.Errorf("singly %v: segments %v, want %v", singly, got, want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
