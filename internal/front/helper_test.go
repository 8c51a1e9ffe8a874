package front

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/testpki"
	"github.com/dotsgate/dotsgate/internal/udp"
)

// house is a front with its server: it shakes hands with whoever comes, and answers each record with itself.
type house struct {
	*memNet
	front    *Front
	counters *Counters
	options  func() []dtls.ServerOption
	ca       *testpki.Authority
	running  sync.WaitGroup
	ended    chan error // of sessions
	failures chan error // of handshakes
	conns    chan *Conn
	stop     context.CancelFunc
	input    func(c *Conn, b []byte) // nil: answers with b; set before the first client
}

// newHouse makes a house with certificates. The test must call close.
func newHouse(t *testing.T, change ...func(*Config)) *house {
	t.Helper()
	h := &house{
		memNet: newMemNet(), counters: new(Counters), ca: testpki.New(t, "root"),
		ended: make(chan error, 64), failures: make(chan error, 64), conns: make(chan *Conn, 64),
	}
	server := h.ca.Server().TLS()
	h.options = func() []dtls.ServerOption {
		return []dtls.ServerOption{
			dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
			dtls.WithCertificates(server),
			dtls.WithClientAuth(dtls.RequireAndVerifyClientCert),
			dtls.WithClientCAs(h.ca.Pool()),
		}
	}
	cfg := Config{Network: h.memNet, Options: h.options, Counters: h.counters, RecordPath: Pion}
	if strings.HasPrefix(t.Name(), ownSuite+"/") {
		cfg.RecordPath = Own
	}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	if h.front, err = New(cfg); err != nil {
		t.Fatalf("New() = %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.stop = cancel
	h.running.Go(func() { _ = h.front.Run(ctx) })
	h.running.Go(func() { h.accept(ctx) })
	return h
}

// withBoth runs a test with each of the record paths, in a bubble with virtual time.
func withBoth(t *testing.T, test func(t *testing.T, path func(*Config))) {
	t.Helper()
	for name, path := range map[string]RecordPath{"own": Own, "pion": Pion} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, func(c *Config) { c.RecordPath = path }) })
		})
	}
}

func (h *house) accept(ctx context.Context) {
	for {
		c, err := h.front.Accept()
		if err != nil {
			return
		}
		h.running.Go(func() { h.welcome(ctx, c) })
	}
}

func (h *house) welcome(ctx context.Context, c *Conn) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := c.Handshake(ctx, h.options()); err != nil {
		h.failures <- err
		return
	}
	h.running.Add(1)
	input := h.input
	if input == nil {
		input = func(c *Conn, b []byte) { _ = c.Write(b) }
	}
	c.Serve(func(b []byte) { input(c, b) }, func(err error) {
		h.ended <- err
		h.running.Done()
	})
	h.conns <- c
}

// close ends everything and waits for it.
func (h *house) close(t *testing.T) {
	t.Helper()
	h.stop()
	for {
		select {
		case c := <-h.conns:
			_ = c.Close()
			continue
		default:
		}
		break
	}
	_ = h.front.Close()
	done := make(chan struct{})
	go func() {
		h.running.Wait()
		close(done)
	}()
	deadlineIn(t, "the house", done)
	if n := h.counters.HandOver.Load(); n != 0 {
		t.Errorf("%d hand-overs went wrong", n)
	}
}

// clientOptions are those of a client with a certificate.
func (h *house) clientOptions(more ...dtls.ClientOption) []dtls.ClientOption {
	cert := h.ca.Client("a.example").TLS()
	return append([]dtls.ClientOption{
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithServerName("localhost"), dtls.WithRootCAs(h.ca.Pool()), dtls.WithCertificates(cert),
	}, more...)
}

// dial shakes hands from a socket.
func (h *house) dial(s *memSocket, opts []dtls.ClientOption) (*dtls.Conn, error) {
	conn, err := dtls.ClientWithOptions(s, h.Addr(), opts...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 55*time.Second)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return conn, nil
}

// client is a client with a finished handshake.
func (h *house) client(t *testing.T, at netip.AddrPort, more ...dtls.ClientOption) (*dtls.Conn, *memSocket) {
	t.Helper()
	s := h.socket(at)
	c, err := h.dial(s, h.clientOptions(more...))
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

// echo wants its text back.
func echo(t *testing.T, c *dtls.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatalf("writing %q: %v", text, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	buf := make([]byte, 8192)
	n, err := c.Read(buf)
	if err != nil || string(buf[:n]) != text {
		t.Fatalf("read %q, %v, want %q", buf[:n], err, text)
	}
}

// wantKnown wants so many addresses and connection IDs to lead to somebody.
func (h *house) wantKnown(t *testing.T, addresses, ids int) {
	t.Helper()
	synctest.Wait()
	if gotPaths, gotIDs := h.front.table.counts(); gotPaths != addresses || gotIDs != ids {
		t.Errorf("%d addresses and %d connection IDs are known, want %d and %d", gotPaths, gotIDs, addresses, ids)
	}
}

func mustAddrPort(t *testing.T, s string) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// discard is a queue that sends nothing.
type discard struct{}

func (discard) Send([]byte, udp.Path) {}

func udpPath(port uint16) udp.Path { return udp.Path{Peer: clientAddr(port)} }

// wantTakenOver wants so many sessions to be taken over, if any are.
func (h *house) wantTakenOver(t *testing.T, want uint64) {
	t.Helper()
	if h.front.cfg.RecordPath == Pion {
		want = 0
	}
	if got := h.counters.TakenOver.Load(); got != want {
		t.Errorf("%d sessions were taken over, want %d", got, want)
	}
}
