package impair

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// mostWaiting is how many datagrams wait at a socket to be read; one more is lost, as in a receive buffer that is full.
const mostWaiting = 256

// Socket is a net.PacketConn of a Network. Safe for concurrent use.
type Socket struct {
	net      *Network
	out, in  *Way
	leaving  Schedule
	coming   Schedule
	queue    chan packet
	overflow atomic.Uint64
	closed   chan struct{}
	once     sync.Once
	deadline *deadline
	addr     netip.AddrPort // the network's lock protects it
}

// packet is a datagram and who sent it.
type packet struct {
	data []byte
	from netip.AddrPort
}

var _ net.PacketConn = (*Socket)(nil)

// Out is what becomes of what the socket sends.
func (s *Socket) Out() *Way { return s.out }

// In is what becomes of what is sent to it, once it has passed the sender's way out.
func (s *Socket) In() *Way { return s.in }

// Impair sets the conditions of both ways.
func (s *Socket) Impair(out, in Conditions) {
	s.out.Set(out)
	s.in.Set(in)
}

// Overflow is how many datagrams were lost because nobody read fast enough.
func (s *Socket) Overflow() uint64 { return s.overflow.Load() }

// ReadFrom waits for a datagram. What does not fit into b is cut off.
func (s *Socket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.ReadFromAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// ReadFromAddrPort is ReadFrom with an address that is a value.
func (s *Socket) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	passed := s.deadline.passed()
	select { // what ends it goes before what waits
	case <-s.closed:
		return 0, netip.AddrPort{}, s.failed("read", net.ErrClosed)
	case <-passed:
		return 0, netip.AddrPort{}, s.failed("read", os.ErrDeadlineExceeded)
	default:
	}
	select {
	case p := <-s.queue:
		return copy(b, p.data), p.from, nil
	case <-s.closed:
		return 0, netip.AddrPort{}, s.failed("read", net.ErrClosed)
	case <-passed:
		return 0, netip.AddrPort{}, s.failed("read", os.ErrDeadlineExceeded)
	}
}

// WriteTo sends a datagram and never waits. Where nobody has the address, it is lost.
func (s *Socket) WriteTo(b []byte, to net.Addr) (int, error) {
	addr, err := addrPort(to)
	if err != nil {
		return 0, err
	}
	return s.WriteToAddrPort(b, addr)
}

// WriteToAddrPort is WriteTo with an address that is a value.
func (s *Socket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	select {
	case <-s.closed:
		return 0, s.failed("write", net.ErrClosed)
	default:
	}
	from := s.net.addrOf(s)
	for _, d := range s.out.Pass(time.Now(), b) {
		s.leaving.Add(d.At, func() { s.net.Inject(d.Data, from, to) }) // what finds no room is lost
	}
	return len(b), nil
}

// arrive takes a datagram that has reached the socket's line.
func (s *Socket) arrive(b []byte, from netip.AddrPort) {
	for _, d := range s.in.Pass(time.Now(), b) {
		s.coming.Add(d.At, func() { s.put(packet{d.Data, from}) })
	}
}

func (s *Socket) put(p packet) {
	select {
	case s.queue <- p:
	default:
		s.overflow.Add(1)
	}
}

// Close frees the address. What the socket has sent still arrives.
func (s *Socket) Close() error {
	s.once.Do(func() {
		s.net.forget(s)
		s.coming.Close()
		close(s.closed)
	})
	return nil
}

// LocalAddr is where the others see it.
func (s *Socket) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(s.net.addrOf(s)) }

// SetDeadline is SetReadDeadline: writing never waits.
func (s *Socket) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// SetReadDeadline ends reads at t, those that wait now, too; the zero time is never.
func (s *Socket) SetReadDeadline(t time.Time) error {
	s.deadline.set(t)
	return nil
}

// SetWriteDeadline does nothing: writing never waits.
func (s *Socket) SetWriteDeadline(time.Time) error { return nil }

func (s *Socket) failed(doing string, err error) error {
	return fmt.Errorf("%s %s: %w", doing, s.LocalAddr(), err)
}

// deadline is a channel that closes at a time, which may be changed.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	over  chan struct{}
}

func newDeadline() *deadline { return &deadline{over: make(chan struct{})} }

// passed is closed when the deadline has passed; after a change, what it returned before may never be.
func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

// set follows net.Pipe: a deadline that has passed stays so until it is set anew.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.over // it has fired, or is about to
	}
	d.timer = nil
	closed := false
	select {
	case <-d.over:
		closed = true
	default:
	}
	if t.IsZero() {
		if closed {
			d.over = make(chan struct{})
		}
		return
	}
	if in := time.Until(t); in > 0 {
		if closed {
			d.over = make(chan struct{})
		}
		over := d.over
		d.timer = time.AfterFunc(in, func() { close(over) })
		return
	}
	if !closed {
		close(d.over)
	}
}
