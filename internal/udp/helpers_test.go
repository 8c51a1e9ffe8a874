package udp

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// soon bounds every wait for a datagram: far longer than one takes on a busy machine.
const soon = 20 * time.Second

// listen binds and runs; everything ends with the test.
func listen(t testing.TB, cfg Config, handle Handler) *Sockets {
	t.Helper()
	s, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s, handle)
	return s
}

func run(t testing.TB, s *Sockets, handle Handler) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(handle)
	}()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
		<-done
	})
}

// echo answers every datagram with itself.
func echo(q *Queue, b []byte, from Path) { q.Send(b, from) }

// peer is a connected socket of another party.
func peer(t testing.TB, local string, to net.Addr) *net.UDPConn {
	t.Helper()
	d := net.Dialer{}
	if local != "" {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.MustParseAddrPort(local))
	}
	c, err := d.Dial("udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.UDPConn)
}

func send(t testing.TB, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, c net.Conn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2*MaxDatagram)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// at joins an address and the port of another.
func at(host string, a net.Addr) *net.UDPAddr {
	return &net.UDPAddr{IP: net.ParseIP(host), Port: a.(*net.UDPAddr).Port}
}

// arrival is a datagram and where it was seen.
type arrival struct {
	queue int
	text  string
	from  Path
}

// arrivals collects datagrams.
type arrivals struct {
	c chan arrival
}

func newArrivals() *arrivals { return &arrivals{c: make(chan arrival, 4096)} }

func (a *arrivals) handle(q *Queue, b []byte, from Path) {
	a.c <- arrival{q.Number(), string(b), from}
}

func (a *arrivals) next(t testing.TB) arrival {
	t.Helper()
	select {
	case x := <-a.c:
		return x
	case <-time.After(soon):
		t.Fatal("no datagram came")
		return arrival{}
	}
}

// here leaves out the addresses that this machine does not have, and says so: some containers have no IPv6.
func here(t testing.TB, addresses ...string) (have []string) {
	t.Helper()
	for _, a := range addresses {
		c, err := net.ListenPacket("udp", net.JoinHostPort(a, "0"))
		if err != nil {
			t.Logf("LEFT OUT: %v", err)
			continue
		}
		_ = c.Close()
		have = append(have, a)
	}
	return have
}
