package bench

import (
	"net"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/udp"
)

// serveUDPEcho sends back what it gets, without any cryptography, in batches: what the machine's network gives at best for datagrams of
// peers that have one request each under way. That several to one peer go as one message is a merit of ours, not of the network.
func serveUDPEcho(addr string) error {
	s, err := udp.Listen(udp.Config{Address: addr, Queues: 1, Singly: true})
	if err != nil {
		return err
	}
	s.Run(func(q *udp.Queue, b []byte, from udp.Path) { q.Send(b, from) })
	return nil
}

// measureUDPEcho drives it with the same messages, in the clear.
func measureUDPEcho(t *testing.T) []result {
	t.Helper()
	addr := freeAddress(t)
	p := launch(t, "udpecho", self(t), addr)
	probe, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	eventually(t, p, "the echo server", func() bool {
		if _, err := probe.Write([]byte{0}); err != nil {
			return false
		}
		_ = probe.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // the read tells
		_, err = probe.Read(make([]byte, 16))
		return err == nil
	})
	c := newCrowd(t, server{process: p, address: addr})
	for range sessions {
		c.members = append(c.members, c.join())
	}
	return c.drive(inFlight, put)
}
