package bench

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/udp"
)

// serveUDPEcho sends back what it gets, without any cryptography, in batches: what the machine's network gives at best.
func serveUDPEcho(addr string) error {
	s, err := udp.Listen(udp.Config{Address: addr, Queues: 1})
	if err != nil {
		return err
	}
	s.Run(func(q *udp.Queue, b []byte, from udp.Path) { q.Send(b, from) })
	return nil
}

// measureUDPEcho drives it with datagrams of the size of a refresh.
func measureUDPEcho(t *testing.T) func() result {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	addr := freeAddress(t)
	p := launch(t, "udpecho", self, addr)
	conns := make([]net.Conn, sessions)
	for i := range conns {
		if conns[i], err = net.Dial("udp", addr); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conns[i].Close() }) // it is only load
	}
	eventually(t, p, "the echo server", func() bool {
		_, err := conns[0].Write([]byte{0})
		if err != nil {
			return false
		}
		in := make([]byte, 16)
		_ = conns[0].SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, err = conns[0].Read(in)
		return err == nil
	})
	return func() result { return driveEcho(t, p, conns) }
}
