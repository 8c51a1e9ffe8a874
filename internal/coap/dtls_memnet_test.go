package coap

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// memNet is a datagram network in memory. It loses nothing but what a full queue drops.
type memNet struct {
	mu      sync.Mutex
	sockets map[string]*memSocket
}

// memSocket is a socket of it. Its address may change, as behind a NAT.
type memSocket struct {
	net      *memNet
	in       chan dtlsDatagram
	closed   chan struct{}
	once     sync.Once
	deadline *deadline

	mu   sync.Mutex
	addr *net.UDPAddr
	fail error // what WriteTo returns, when set
}

func (n *memNet) socket(port int) *memSocket {
	s := &memSocket{
		net: n, in: make(chan dtlsDatagram, 64), closed: make(chan struct{}), deadline: newDeadline(), addr: memAddr(port),
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
	s.in <- dtlsDatagram{append([]byte(nil), b...), from}
}

func (s *memSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case g := <-s.in:
		return copy(b, g.data), g.from, nil
	case <-s.closed:
		return 0, nil, net.ErrClosed
	case <-s.deadline.done():
		return 0, nil, errDeadlinePassed
	}
}

func (s *memSocket) WriteTo(b []byte, to net.Addr) (int, error) {
	s.mu.Lock()
	from, fail := s.addr, s.fail
	s.mu.Unlock()
	if fail != nil {
		return 0, fail
	}
	s.net.mu.Lock()
	peer := s.net.sockets[to.String()]
	s.net.mu.Unlock()
	if peer != nil {
		select {
		case peer.in <- dtlsDatagram{append([]byte(nil), b...), from}:
		default:
		}
	}
	return len(b), nil
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
func (s *memSocket) SetReadDeadline(t time.Time) error { s.deadline.set(t); return nil }
func (s *memSocket) client(c *Counters) *dtlsSocket {
	return &dtlsSocket{PacketConn: s, server: memAddr(1), counters: c}
}

// dtlsPair is a finished handshake in memory.
type dtlsPair struct {
	client, server             *dtlsLink
	clientSocket, serverSocket *memSocket
	association                *dtlsAssociation
	demux                      *dtlsDemux
	counters                   *Counters
}

// newDTLSPair shakes hands in memory. The test must call close.
func newDTLSPair(t *testing.T) *dtlsPair {
	t.Helper()
	ca := testpki.New(t, "root")
	serverSet := credentialsOf(t, ca, ca.Server()).current.Load()
	clientSet := credentialsOf(t, ca, ca.Client("a.example")).current.Load()
	var n memNet
	p := &dtlsPair{counters: new(Counters), clientSocket: n.socket(2), serverSocket: n.socket(1)}
	p.demux = newDTLSDemux(p.serverSocket, p.counters)
	go p.demux.run()
	accepted := make(chan error, 1)
	go func() {
		in, _, err := udpAcceptor{p.demux}.accept()
		if err == nil {
			p.association = in.(dtlsIncoming).association
			var conn securedConn
			if conn, err = in.secure(context.Background(), serverSet); err == nil {
				p.server = conn.(*dtlsLink)
			}
		}
		accepted <- err
	}()
	conn, err := clientDTLS(t.Context(), clientSet, p.clientSocket.client(p.counters), "localhost")
	if err != nil {
		t.Fatalf("client: %v", err)
	}
	p.client = conn.(*dtlsLink)
	if err := <-accepted; err != nil {
		t.Fatalf("server: %v", err)
	}
	return p
}

func (p *dtlsPair) close() {
	_ = p.client.Close()
	_ = p.server.Close()
	_ = p.serverSocket.Close()
}

// carry sends text and wants it to be the next datagram read.
func carry(t *testing.T, from, to *dtlsLink, text string) {
	t.Helper()
	if err := from.WriteRecord([]byte(text)); err != nil {
		t.Fatalf("WriteRecord() = %v", err)
	}
	buf := make([]byte, maxDatagram)
	n, err := to.read(buf)
	if err != nil || string(buf[:n]) != text {
		t.Fatalf("read %q, %v, want %q", buf[:n], err, text)
	}
}

// known is the number of addresses that lead to an association.
func (d *dtlsDemux) known() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.byAddr)
}

// knownCIDs is the number of connection IDs that lead to an association.
func (d *dtlsDemux) knownCIDs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.byCID)
}

// succeeded tells whether the association at the address, which must be there, has a successor.
func (d *dtlsDemux) succeeded(t *testing.T, addr net.Addr) bool {
	t.Helper()
	key, ok := addrPort(addr)
	if !ok {
		t.Fatal("not a UDP address")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.byAddr[key]
	if a == nil {
		t.Fatal("no association")
	}
	return a.successor != nil
}
