// Package testdtls makes DTLS clients for tests by the thousand: the library does a client's handshake over a socket that many share,
// and what comes out of it is a record layer of ours, so that a client that stands has no goroutine.
package testdtls

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/record"
)

// mostWaiting is how many datagrams wait for the library; one more is lost.
const mostWaiting = 64

// Handshake is one handshake of a client. It is what the library takes for a socket: what the server sends comes by Put. Its
// methods are safe for concurrent use.
type Handshake struct {
	local, server net.Addr
	send          func(b []byte)
	in            chan []byte
	closed        chan struct{}
	once          sync.Once

	mu    sync.Mutex
	muted bool
	over  chan struct{} // closed when the deadline for reading has passed
	timer *time.Timer
}

// New prepares a handshake between two addresses, *net.UDPAddr. send puts a datagram on its way to the server; it must not
// block, and does not keep b.
func New(local, server net.Addr, send func(b []byte)) *Handshake {
	return &Handshake{
		local: local, server: server, send: send,
		in: make(chan []byte, mostWaiting), closed: make(chan struct{}), over: make(chan struct{}),
	}
}

// Run shakes hands until ctx ends, and returns the session. The exporter is shared, since it learns what the library's states look like. Called once. The library sends nothing after it: the last flight is
// the server's, and it has come.
func (h *Handshake) Run(ctx context.Context, exporter *record.Exporter, options []dtls.ClientOption) (*record.Layer, error) {
	conn, err := dtls.ClientWithOptions(h, h.server, options...)
	if err != nil {
		return nil, fmt.Errorf("beginning a handshake: %w", err)
	}
	defer conn.Close() // into the void
	defer h.mute()
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	h.mute()
	state, ok := conn.ConnectionState()
	if !ok {
		return nil, errors.New("the library has no state of a finished handshake")
	}
	s, err := exporter.Export(&state)
	if err != nil {
		return nil, err
	}
	return record.New(s)
}

// Put hands the library a datagram of the server, which is copied.
func (h *Handshake) Put(b []byte) {
	select {
	case h.in <- append([]byte(nil), b...):
	default:
	}
}

// mute loses all that the library sends from now on.
func (h *Handshake) mute() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.muted = true
}

// ReadFrom is the library's: it waits for a datagram of the server.
func (h *Handshake) ReadFrom(b []byte) (int, net.Addr, error) {
	h.mu.Lock()
	over := h.over
	h.mu.Unlock()
	select {
	case d := <-h.in:
		return copy(b, d), h.server, nil
	case <-h.closed:
		return 0, nil, net.ErrClosed
	case <-over:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

// WriteTo is the library's: it sends to the server, whatever the address.
func (h *Handshake) WriteTo(b []byte, _ net.Addr) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.muted {
		h.send(b)
	}
	return len(b), nil
}

// Close ends reading.
func (h *Handshake) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// LocalAddr is the client's address.
func (h *Handshake) LocalAddr() net.Addr { return h.local }

// SetReadDeadline moves the deadline of reads, also of one that waits.
func (h *Handshake) SetReadDeadline(at time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer != nil && !h.timer.Stop() { // it closes over, or has
		h.over = make(chan struct{})
	}
	h.timer = nil
	if !at.IsZero() {
		over := h.over
		h.timer = time.AfterFunc(time.Until(at), func() { close(over) })
	}
	return nil
}

// SetDeadline is SetReadDeadline: writes do not wait.
func (h *Handshake) SetDeadline(at time.Time) error { return h.SetReadDeadline(at) }

// SetWriteDeadline does nothing: writes do not wait.
func (h *Handshake) SetWriteDeadline(time.Time) error { return nil }
