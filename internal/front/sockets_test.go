package front

import (
	"net"
	"sync/atomic"
	"testing"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/udp"
)

// TestSockets: over the system's own sockets, IPv4 and IPv6, steered and not: handshake, echo, and a restart from the same
// port.
func TestSockets(t *testing.T) {
	for name, cfg := range map[string]udp.Config{
		"IPv4":            {Address: "127.0.0.1:0", Queues: 2},
		"IPv6":            {Address: "[::1]:0", Queues: 2},
		"IPv4 plain":      {Address: "127.0.0.1:0", Plain: true},
		"every address":   {Address: ":0", Queues: 2},
		"IPv4 wildcard":   {Address: "0.0.0.0:0", Queues: 2},
		"one established": {Address: "127.0.0.1:0", Queues: 1},
	} {
		t.Run(name, func(t *testing.T) {
			sockets, err := udp.Listen(cfg)
			if err != nil {
				t.Skipf("binding: %v", err)
			}
			h := newHouse(t, func(c *Config) { c.Network, c.RecordPath = Sockets(sockets), Own })
			defer h.close(t)
			server := h.front.Addr().(*net.UDPAddr)
			to := &net.UDPAddr{IP: server.IP, Port: server.Port}
			if to.IP.IsUnspecified() {
				to.IP = net.IPv4(127, 0, 0, 1)
			}
			local := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
			if to.IP.To4() == nil {
				local.IP = net.IPv6loopback
			}
			first, socket := h.realClient(t, local, to)
			local = socket.LocalAddr().(*net.UDPAddr)
			socket.mute.Store(true)
			_ = first.Close()
			second, _ := h.realClient(t, local, to)
			h.wantTakenOver(t, 2)
			if got := (<-h.conns).RemoteAddr().String(); got != local.String() {
				t.Errorf("the client is at %s, want %s", got, local)
			}
			_ = second.Close()
			<-h.ended
			<-h.ended
		})
	}
}

// vanishing is a socket that may stop sending.
type vanishing struct {
	net.PacketConn
	mute atomic.Bool
}

func (v *vanishing) WriteTo(b []byte, to net.Addr) (int, error) {
	if v.mute.Load() {
		return len(b), nil
	}
	return v.PacketConn.WriteTo(b, to)
}

// realClient shakes hands over a socket of the system.
func (h *house) realClient(t *testing.T, local, to *net.UDPAddr) (*dtls.Conn, *vanishing) {
	t.Helper()
	s, err := net.ListenUDP("udp", local)
	if err != nil {
		t.Fatal(err)
	}
	socket := &vanishing{PacketConn: s}
	c, err := dtls.ClientWithOptions(socket, to, h.clientOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	echo(t, c, "ping")
	return c, socket
}
