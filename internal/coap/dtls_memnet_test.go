package coap

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/transport/v5/deadline"

	"github.com/dotsgate/dotsgate/internal/front"
	"github.com/dotsgate/dotsgate/internal/testpki"
	sockets "github.com/dotsgate/dotsgate/internal/udp"
)

// memNet is a datagram network in memory. It loses nothing but what a full queue drops, and what its path does not deliver.
type memNet struct {
	mu      sync.Mutex
	sockets map[string]*memSocket
	path    func(deliver func()) // nil: at once
	sizes   func(bytes int)      // of what is sent; nil: nobody asks
}

// memDatagram is one with its source.
type memDatagram struct {
	data []byte
	from net.Addr
}

// memSocket is a socket of it. Its address may change, as behind a NAT.
type memSocket struct {
	net      *memNet
	in       chan memDatagram
	closed   chan struct{}
	once     sync.Once
	deadline *deadline.Deadline

	mu   sync.Mutex
	addr *net.UDPAddr
	fail error // what WriteTo returns, when set
}

func (n *memNet) socket(port int) *memSocket {
	s := &memSocket{
		net: n, in: make(chan memDatagram, 64), closed: make(chan struct{}), deadline: deadline.New(), addr: memAddr(port),
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sockets == nil {
		n.sockets = make(map[string]*memSocket)
	}
	n.sockets[s.addr.String()] = s
	return s
}

func memAddr(port int) *net.UDPAddr { return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: port} }

// move gives the socket another port.
func (s *memSocket) move(port int) {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.net.sockets, s.addr.String())
	s.addr = memAddr(port)
	s.net.sockets[s.addr.String()] = s
}

// inject delivers a datagram with a forged source.
func (s *memSocket) inject(b []byte, from *net.UDPAddr) {
	s.in <- memDatagram{append([]byte(nil), b...), from}
}

func (s *memSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case g := <-s.in:
		return copy(b, g.data), g.from, nil
	case <-s.closed:
		return 0, nil, net.ErrClosed
	case <-s.deadline.Done():
		return 0, nil, os.ErrDeadlineExceeded
	}
}

func (s *memSocket) WriteTo(b []byte, to net.Addr) (int, error) {
	s.mu.Lock()
	from, fail := s.addr, s.fail
	s.mu.Unlock()
	if fail != nil {
		return 0, fail
	}
	late := append([]byte(nil), b...)
	if s.net.sizes != nil {
		s.net.sizes(len(b))
	}
	if s.net.path == nil {
		s.net.deliver(late, from, to)
	} else {
		s.net.path(func() { s.net.deliver(late, from, to) })
	}
	return len(b), nil
}

// deliver hands a datagram to whoever is at an address by now.
func (n *memNet) deliver(b []byte, from, to net.Addr) {
	n.mu.Lock()
	peer := n.sockets[to.String()]
	n.mu.Unlock()
	if peer == nil {
		return
	}
	select {
	case peer.in <- memDatagram{b, from}:
	default:
	}
}

func (s *memSocket) setFail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *memSocket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *memSocket) LocalAddr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

func (s *memSocket) SetDeadline(t time.Time) error     { return s.SetReadDeadline(t) }
func (s *memSocket) SetWriteDeadline(time.Time) error  { return nil }
func (s *memSocket) SetReadDeadline(t time.Time) error { s.deadline.Set(t); return nil }
func (s *memSocket) client(c *Counters) *dtlsSocket {
	return &dtlsSocket{PacketConn: s, server: memAddr(1), counters: c}
}

// memDoor is a socket as the network of a front.
type memDoor struct{ *memSocket }

func (d memDoor) Run(handle func(via front.Sender, b []byte, from sockets.Path)) {
	for {
		select {
		case g := <-d.in:
			from, _ := addrPort(g.from)
			handle(d, g.data, sockets.Path{Peer: from})
		case <-d.closed:
			return
		}
	}
}

func (d memDoor) Send(b []byte, to sockets.Path) {
	_, _ = d.WriteTo(b, net.UDPAddrFromAddrPort(to.Peer))
}

func (d memDoor) Stop() { _ = d.Close() }

func (d memDoor) Sender(sockets.Path) front.Sender { return d }

func (d memDoor) Addr() net.Addr { return d.LocalAddr() }

// muteAfter is a client's socket that loses all that is sent after the first answer to what it has heard.
type muteAfter struct {
	net.PacketConn
	heard    atomic.Bool
	answered atomic.Bool
	done     chan struct{} // closed when the answer is out
}

func (m *muteAfter) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := m.PacketConn.ReadFrom(b)
	if err == nil {
		m.heard.Store(true)
	}
	return n, from, err
}

func (m *muteAfter) WriteTo(b []byte, to net.Addr) (int, error) {
	if !m.heard.Load() {
		return m.PacketConn.WriteTo(b, to)
	}
	if !m.answered.CompareAndSwap(false, true) {
		return len(b), nil
	}
	defer close(m.done)
	return m.PacketConn.WriteTo(b, to)
}

// falterAt begins a handshake that goes no further than the proof of the address, which is sent; the test's end ends it.
func falterAt(t *testing.T, socket net.PacketConn, server net.Addr) {
	t.Helper()
	mute := &muteAfter{PacketConn: socket, done: make(chan struct{})}
	conn, err := dtls.ClientWithOptions(mute, server, dtls.WithInsecureSkipVerify(true))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = conn.HandshakeContext(ctx)
		_ = conn.Close()
	}()
	t.Cleanup(func() {
		cancel()
		<-over
	})
	<-mute.done
}

// dtlsPair is two sessions after a handshake in memory.
type dtlsPair struct {
	client, server             *Session
	clientSocket, serverSocket *memSocket
	counters                   *Counters // the client's
	door                       *front.Counters
	close                      func()
}

// newDTLSPair shakes hands in memory. The test must call close.
func newDTLSPair(t *testing.T, path front.RecordPath) *dtlsPair {
	t.Helper()
	ca := testpki.New(t, "root")
	clientSet := credentialsOf(t, ca, ca.Client("a.example")).current.Load()
	var n memNet
	p := &dtlsPair{counters: new(Counters), door: new(front.Counters), clientSocket: n.socket(2), serverSocket: n.socket(1)}
	sessions := make(chan *Session, 1)
	_, stop := virtualServer(t, nil, ServerConfig{
		Network: NetworkUDP, Credentials: credentialsOf(t, ca, ca.Server()), Front: FrontConfig{Counters: p.door, RecordPath: path},
		OnSession: func(s *Session) error {
			sessions <- s
			return nil
		},
	}, p.serverSocket)
	conn, err := clientDTLS(t.Context(), clientSet, p.clientSocket.client(p.counters), "localhost")
	if err != nil {
		t.Fatalf("client: %v", err)
	}
	k, timers := newKeeper(0, 0), NewTimers()
	runTimers(t, timers)
	if p.client, err = k.adopt(conn, SessionConfig{Timers: timers, Counters: p.counters}, nil); err != nil {
		t.Fatal(err)
	}
	p.server = <-sessions
	p.close = func() {
		k.shutdown()
		stop()
	}
	return p
}

// ping wants an answer, and whoever answers to have heard something.
func ping(t *testing.T, from, to *Session, why string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	before := to.counters.RecordsIn.Load()
	if err := from.Ping(ctx); err != nil {
		t.Fatalf("%s: Ping() = %v", why, err)
	}
	if to.counters.RecordsIn.Load() == before {
		t.Fatalf("%s: it was not heard", why)
	}
}
