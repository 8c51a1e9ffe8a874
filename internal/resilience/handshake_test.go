package resilience

import (
	"bytes"
	"context"
	"net"
	"time"

	"github.com/dotsgate/dotsgate/internal/testdtls"
	"github.com/dotsgate/dotsgate/internal/udp"
)

// shake makes the client's handshake by the library, and takes the keys over.
func (m *member) shake(within time.Duration) error {
	h := testdtls.New(m.address(), net.UDPAddrFromAddrPort(m.fleet.server), func(b []byte) { m.fleet.queue.Send(b, m.path) })
	m.mu.Lock()
	m.shaking, m.layer, m.ended, m.sent, m.missed = h, nil, false, time.Time{}, 0
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	layer, err := h.Run(ctx, &m.fleet.export, m.fleet.options)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shaking == h {
		m.shaking, m.layer = nil, layer
	}
	return err
}

// address is the client's.
func (m *member) address() net.Addr {
	port := m.fleet.sockets.Addr().(*net.UDPAddr).Port
	return &net.UDPAddr{IP: m.path.Local.AsSlice(), Port: port}
}

// hello is the first datagram of a handshake: what a source that is spoofed sends.
func (f *fleet) hello() []byte {
	f.t.Helper()
	first := make(chan []byte, 1)
	m := &member{fleet: f, path: udp.Path{Peer: f.server, Local: at(1, 0)}}
	h := testdtls.New(m.address(), net.UDPAddrFromAddrPort(f.server), func(b []byte) {
		select {
		case first <- bytes.Clone(b):
		default:
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = h.Run(ctx, &f.export, f.options) // it is ended
	}()
	b := <-first
	cancel()
	<-done
	return b
}
