package record

import (
	"context"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// suites are all that are done here, with what else a handshake needs to choose them.
func suites() map[string]setup {
	return map[string]setup{
		"ecdsa-128": {suite: dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		"ecdsa-256": {suite: dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
		"rsa-128":   {suite: dtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, rsa: true},
		"rsa-256":   {suite: dtls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, rsa: true},
		"psk-128":   {suite: dtls.TLS_PSK_WITH_AES_128_GCM_SHA256, psk: true},
		"cid":       {suite: dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, clientCID: 5, serverCID: 8},
		"cid-256":   {suite: dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, clientCID: 8, serverCID: 8},
		"cid-in":    {suite: dtls.TLS_PSK_WITH_AES_128_GCM_SHA256, psk: true, serverCID: 8},
		"cid-out":   {suite: dtls.TLS_PSK_WITH_AES_128_GCM_SHA256, psk: true, clientCID: 8},
	}
}

// setup is what two of the library's ends agree on.
type setup struct {
	suite                dtls.CipherSuiteID
	rsa, psk             bool
	clientCID, serverCID int // length of the connection IDs they hand out; none when both are 0
}

func (s setup) options(t testing.TB) (server []dtls.ServerOption, client []dtls.ClientOption) {
	both := []dtls.Option{dtls.WithCipherSuites(s.suite), dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret)}
	if s.psk {
		both = append(both,
			dtls.WithPSK(func([]byte) ([]byte, error) { return []byte("sixteen bytes ..."), nil }),
			dtls.WithPSKIdentityHint([]byte("somebody")))
	}
	for _, o := range both {
		server, client = append(server, o), append(client, o)
	}
	if !s.psk {
		ca := testpki.New(t, "root")
		leaf := ca.Issue(testpki.Request{Names: []string{"localhost"}, RSA: s.rsa})
		server = append(server, dtls.WithCertificates(leaf.TLS()))
		client = append(client, dtls.WithRootCAs(ca.Pool()), dtls.WithServerName("localhost"))
	}
	if s.clientCID+s.serverCID > 0 {
		server = append(server, dtls.WithConnectionIDGenerator(cidMaker(s.serverCID)))
		client = append(client, dtls.WithConnectionIDGenerator(cidMaker(s.clientCID)))
	}
	return server, client
}

func cidMaker(n int) func() []byte {
	if n == 0 {
		return dtls.OnlySendCIDGenerator()
	}
	return dtls.RandomCIDGenerator(n)
}

// pipe is one end's way to the other: a net.PacketConn for the library, whose datagrams are recorded, and may be kept.
type pipe struct {
	in     chan []byte
	closed chan struct{}
	once   sync.Once

	mu       sync.Mutex
	peer     *pipe // nil: what is written goes nowhere
	recorded [][]byte
	deadline chan struct{}
}

func newPipes() (a, b *pipe) {
	a = &pipe{in: make(chan []byte, 256), closed: make(chan struct{}), deadline: make(chan struct{})}
	b = &pipe{in: make(chan []byte, 256), closed: make(chan struct{}), deadline: make(chan struct{}), peer: a}
	a.peer = b
	return a, b
}

func (p *pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	p.mu.Lock()
	deadline := p.deadline
	p.mu.Unlock()
	select {
	case d := <-p.in:
		return copy(b, d), p.LocalAddr(), nil
	case <-p.closed:
		return 0, nil, net.ErrClosed
	case <-deadline:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

func (p *pipe) WriteTo(b []byte, _ net.Addr) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b = slices.Clone(b)
	p.recorded = append(p.recorded, b)
	if p.peer != nil {
		p.peer.in <- b
	}
	return len(b), nil
}

// cut lets what is written go nowhere but on record.
func (p *pipe) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.peer = nil
}

// take is what was written since the last call.
func (p *pipe) take() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.recorded
	p.recorded = nil
	return b
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipe) LocalAddr() net.Addr { return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }

// SetReadDeadline knows never and now.
func (p *pipe) SetReadDeadline(at time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.IsZero() {
		p.deadline = make(chan struct{})
	} else {
		close(p.deadline)
	}
	return nil
}

func (p *pipe) SetDeadline(at time.Time) error   { return p.SetReadDeadline(at) }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }

// end is one of the library's ends after the handshake.
type end struct {
	conn *dtls.Conn
	pipe *pipe
}

// shake is a finished handshake. Both ends are closed with the test, on cut pipes.
func shake(t testing.TB, s setup) (server, client end) {
	t.Helper()
	serverOptions, clientOptions := s.options(t)
	server.pipe, client.pipe = newPipes()
	var err error
	if server.conn, err = dtls.ServerWithOptions(server.pipe, server.pipe.LocalAddr(), serverOptions...); err != nil {
		t.Fatal(err)
	}
	if client.conn, err = dtls.ClientWithOptions(client.pipe, client.pipe.LocalAddr(), clientOptions...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- server.conn.HandshakeContext(ctx) }()
	clientErr, serverErr := client.conn.HandshakeContext(ctx), <-served
	t.Cleanup(func() {
		for _, e := range []end{server, client} {
			e.pipe.cut()
			_ = e.conn.Close()
		}
	})
	if clientErr != nil || serverErr != nil {
		t.Fatalf("handshake: client %v, server %v", clientErr, serverErr)
	}
	return server, client
}

// export is the state of an end as it is now.
func (e end) export(t testing.TB) State {
	t.Helper()
	state, ok := e.conn.ConnectionState()
	if !ok {
		t.Fatal("no connection state")
	}
	s, err := Export(&state)
	if err != nil {
		t.Fatalf("Export() = %v", err)
	}
	return s
}

// layer takes the end's session over.
func (e end) layer(t testing.TB) *Layer {
	t.Helper()
	e.pipe.cut()
	return newLayer(t, e.export(t))
}

func newLayer(t testing.TB, s State) *Layer {
	t.Helper()
	l, err := New(s)
	if err != nil {
		t.Fatalf("New() = %v", err)
	}
	return l
}

// mirror is the state of the other end of the session.
func mirror(s State) State {
	s.IsClient = !s.IsClient
	s.LocalSequence, s.RemoteSequence = s.RemoteSequence, s.LocalSequence
	s.LocalCID, s.RemoteCID = s.RemoteCID, s.LocalCID
	return s
}

// someState is a server's state that no handshake has made.
func someState(cid string) State {
	s := State{
		Suite: uint16(dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256), MasterSecret: make([]byte, masterSecret),
		LocalSequence: 1, RemoteSequence: 1, LocalCID: []byte(cid),
	}
	for i := range s.MasterSecret {
		s.MasterSecret[i] = byte(i)
	}
	s.ClientRandom[0], s.ServerRandom[0] = 1, 2
	return s
}

// layers are the two ends of someState.
func layers(t testing.TB, cid string) (server, client *Layer) {
	t.Helper()
	return newLayer(t, someState(cid)), newLayer(t, mirror(someState(cid)))
}

// seal is Seal of application data, which must succeed.
func (l *Layer) seal(t testing.TB, plain string) []byte {
	t.Helper()
	b, err := l.Seal(nil, ApplicationData, []byte(plain))
	if err != nil {
		t.Fatalf("Seal(%q) = %v", plain, err)
	}
	return b
}
