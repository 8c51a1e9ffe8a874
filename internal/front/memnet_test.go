package front

import (
	"bytes"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/transport/v5/deadline"

	"github.com/dotsgate/dotsgate/internal/udp"
)

// memNet is a datagram network in memory: one server, which is a Network, and clients, which are net.PacketConns. It loses
// nothing but what a full queue drops, unless told.
type memNet struct {
	in     chan memDatagram
	closed chan struct{}
	once   sync.Once
	halted chan struct{} // by Stop
	halt   sync.Once

	mu      sync.Mutex
	clients map[netip.AddrPort]*memSocket
	// toServer and toClient say how often a datagram arrives; nil: once.
	toServer, toClient func(b []byte) int
	sent               [][]byte               // by the server
	sentTo             map[netip.AddrPort]int // bytes
	receivedFrom       map[netip.AddrPort]int // bytes
}

type memDatagram struct {
	data []byte
	from netip.AddrPort
}

func newMemNet() *memNet {
	return &memNet{
		in: make(chan memDatagram, 256), closed: make(chan struct{}), halted: make(chan struct{}),
		clients: make(map[netip.AddrPort]*memSocket), sentTo: make(map[netip.AddrPort]int), receivedFrom: make(map[netip.AddrPort]int),
	}
}

func serverAddr() netip.AddrPort { return netip.MustParseAddrPort("192.0.2.1:4646") }

// clientAddr is the client's address with this port.
func clientAddr(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("198.51.100.7"), port)
}

func (n *memNet) Run(handle func(via Sender, b []byte, from udp.Path)) {
	for {
		select {
		case d := <-n.in:
			handle(n, d.data, udp.Path{Peer: d.from})
		case <-n.closed:
			return
		case <-n.halted:
			return
		}
	}
}

// Stop ends Run, once it waits.
func (n *memNet) Stop() { n.halt.Do(func() { close(n.halted) }) }

func (n *memNet) Sender(udp.Path) Sender { return n }

func (n *memNet) Addr() net.Addr { return net.UDPAddrFromAddrPort(serverAddr()) }

func (n *memNet) Close() error {
	n.once.Do(func() { close(n.closed) })
	return nil
}

// Send is the server's.
func (n *memNet) Send(b []byte, to udp.Path) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent = append(n.sent, bytes.Clone(b))
	n.sentTo[to.Peer] += len(b)
	c := n.clients[to.Peer]
	if c == nil {
		return
	}
	for range times(n.toClient, b) {
		select {
		case c.in <- memDatagram{bytes.Clone(b), serverAddr()}:
		default:
		}
	}
}

// inject brings a datagram to the server.
func (n *memNet) inject(b []byte, from netip.AddrPort) {
	n.mu.Lock()
	n.receivedFrom[from] += len(b)
	copies := times(n.toServer, b)
	n.mu.Unlock()
	for range copies {
		select {
		case n.in <- memDatagram{bytes.Clone(b), from}:
		case <-n.closed:
		}
	}
}

func times(f func([]byte) int, b []byte) int {
	if f == nil {
		return 1
	}
	return f(b)
}

// lose sets what arrives; nil is everything once.
func (n *memNet) lose(toServer, toClient func([]byte) int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.toServer, n.toClient = toServer, toClient
}

// sentSince returns what the server has sent after the first so many datagrams.
func (n *memNet) sentSince(first int) [][]byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([][]byte(nil), n.sent[first:]...)
}

// bytes is how many bytes have gone to a client and come from it.
func (n *memNet) bytes(a netip.AddrPort) (sent, received int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sentTo[a], n.receivedFrom[a]
}

// memSocket is a client's socket. Its address may change, as behind a NAT.
type memSocket struct {
	net      *memNet
	in       chan memDatagram
	closed   chan struct{}
	once     sync.Once
	deadline *deadline.Deadline

	mu   sync.Mutex
	addr netip.AddrPort
	mute bool
}

func (n *memNet) socket(addr netip.AddrPort) *memSocket {
	s := &memSocket{net: n, in: make(chan memDatagram, 256), closed: make(chan struct{}), deadline: deadline.New(), addr: addr}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.clients[addr] = s
	return s
}

// move gives the socket another address.
func (s *memSocket) move(to netip.AddrPort) {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.net.clients, s.addr)
	s.addr = to
	s.net.clients[to] = s
}

// silence makes the socket lose what it is given to send.
func (s *memSocket) silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mute = true
}

func (s *memSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-s.in:
		return copy(b, d.data), net.UDPAddrFromAddrPort(d.from), nil
	case <-s.closed:
		return 0, nil, net.ErrClosed
	case <-s.deadline.Done():
		return 0, nil, errDeadlinePassed
	}
}

func (s *memSocket) WriteTo(b []byte, _ net.Addr) (int, error) {
	s.mu.Lock()
	from, mute := s.addr, s.mute
	s.mu.Unlock()
	if !mute {
		s.net.inject(b, from)
	}
	return len(b), nil
}

func (s *memSocket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *memSocket) LocalAddr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return net.UDPAddrFromAddrPort(s.addr)
}

func (s *memSocket) SetDeadline(t time.Time) error     { return s.SetReadDeadline(t) }
func (s *memSocket) SetWriteDeadline(time.Time) error  { return nil }
func (s *memSocket) SetReadDeadline(t time.Time) error { s.deadline.Set(t); return nil }

// lossy loses the first so many datagrams that match, and lets the others through.
func lossy(matches func([]byte) bool, times int) func([]byte) int {
	return func(b []byte) int {
		if times > 0 && matches(b) {
			times--
			return 0
		}
		return 1
	}
}

// doubled lets everything through twice.
func doubled([]byte) int { return 2 }

// carries tells whether a datagram has a plaintext handshake message of this type in it.
func carries(kind byte) func([]byte) bool {
	return func(b []byte) bool {
		for n := nextRecord(b); n > 0; n = nextRecord(b) {
			if b[0] == recordTypeHello && recordEpoch(b) == 0 && n > recordHeader && b[recordHeader] == kind {
				return true
			}
			b = b[n:]
		}
		return false
	}
}

// repeated tells whether the datagram is a ClientHello with a cookie.
func repeated(b []byte) bool {
	h, ok := parseHello(b)
	return ok && len(h.cookie) > 0
}

// deadlineIn ends a wait that should have ended before.
func deadlineIn(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(10 * time.Minute):
		t.Fatalf("%s does not end", what)
	}
}
