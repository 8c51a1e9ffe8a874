package resilience

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/internal/record"
	"github.com/dotsgate/dotsgate/internal/udp"
	"github.com/pion/dtls/v3"
)

// shake makes the client's handshake by the library, and takes the keys over.
func (m *member) shake(within time.Duration) error {
	p := newPipe(m)
	m.mu.Lock()
	m.shaking, m.layer, m.ended, m.sent, m.missed = p, nil, false, time.Time{}, 0
	m.mu.Unlock()
	layer, err := m.negotiate(p, within)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shaking == p {
		m.shaking, m.layer = nil, layer
	}
	return err
}

// negotiate returns the record layer of a finished handshake. The library sends nothing after it: the last flight is the
// gateway's, and it has come.
func (m *member) negotiate(p *pipe, within time.Duration) (*record.Layer, error) {
	conn, err := dtls.ClientWithOptions(p, net.UDPAddrFromAddrPort(m.fleet.server), m.fleet.options...)
	if err != nil {
		return nil, fmt.Errorf("beginning a handshake: %w", err)
	}
	defer conn.Close() // into the void
	defer p.mute()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	p.mute()
	state, ok := conn.ConnectionState()
	if !ok {
		return nil, errors.New("the library has no state of a finished handshake")
	}
	s, err := m.fleet.export.Export(&state)
	if err != nil {
		return nil, err
	}
	return record.New(s)
}

// pipe is what the library takes for a client's socket during its handshake.
type pipe struct {
	member *member
	in     chan []byte
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	muted bool
	over  chan struct{} // closed when the deadline for reading has passed
	timer *time.Timer
}

func newPipe(m *member) *pipe {
	return &pipe{member: m, in: make(chan []byte, 64), closed: make(chan struct{}), over: make(chan struct{})}
}

// put takes a datagram of the gateway; one too many is lost.
func (p *pipe) put(b []byte) {
	select {
	case p.in <- append([]byte(nil), b...):
	default:
	}
}

// mute loses all that the library sends from now on.
func (p *pipe) mute() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.muted = true
}

// ReadFrom waits for a datagram of the gateway.
func (p *pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	p.mu.Lock()
	over := p.over
	p.mu.Unlock()
	select {
	case d := <-p.in:
		return copy(b, d), net.UDPAddrFromAddrPort(p.member.path.Peer), nil
	case <-p.closed:
		return 0, nil, net.ErrClosed
	case <-over:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

// WriteTo sends to the gateway, whatever the address.
func (p *pipe) WriteTo(b []byte, _ net.Addr) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.muted {
		p.member.fleet.queue.Send(b, p.member.path)
	}
	return len(b), nil
}

// Close ends reading.
func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// LocalAddr is the client's address.
func (p *pipe) LocalAddr() net.Addr {
	port := p.member.fleet.sockets.Addr().(*net.UDPAddr).Port
	return &net.UDPAddr{IP: p.member.path.Local.AsSlice(), Port: port}
}

// SetReadDeadline moves the deadline of reads, also of one that waits.
func (p *pipe) SetReadDeadline(at time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil && !p.timer.Stop() { // it closes over, or has
		p.over = make(chan struct{})
	}
	p.timer = nil
	if !at.IsZero() {
		over := p.over
		p.timer = time.AfterFunc(time.Until(at), func() { close(over) })
	}
	return nil
}

// SetDeadline is SetReadDeadline: writes do not wait.
func (p *pipe) SetDeadline(at time.Time) error { return p.SetReadDeadline(at) }

// SetWriteDeadline does nothing: writes do not wait.
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }

// hello is the first datagram of a handshake: what a source that is spoofed sends.
func (f *fleet) hello() []byte {
	f.t.Helper()
	got := &recorder{pipe: newPipe(&member{fleet: f, path: udp.Path{Peer: f.server, Local: at(1, 0)}}), first: make(chan []byte, 1)}
	conn, err := dtls.ClientWithOptions(got, net.UDPAddrFromAddrPort(f.server), f.options...)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = conn.HandshakeContext(ctx) // it is ended
	}()
	b := <-got.first
	cancel()
	_ = got.Close() // a memory's
	<-done
	_ = conn.Close() // nobody hears it
	return b
}

// recorder is a pipe that keeps the first datagram sent, and sends none.
type recorder struct {
	*pipe
	first chan []byte
}

// WriteTo keeps the first datagram.
func (r *recorder) WriteTo(b []byte, _ net.Addr) (int, error) {
	select {
	case r.first <- append([]byte(nil), b...):
	default:
	}
	return len(b), nil
}
