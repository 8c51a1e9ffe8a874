package coap

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// queueListener is a net.Listener that hands out what a test puts in.
type queueListener struct {
	conns  chan net.Conn
	errs   []error // what Accept returns first
	calls  []time.Time
	closed chan struct{}
}

func newQueueListener(errs ...error) *queueListener {
	return &queueListener{conns: make(chan net.Conn, 8), errs: errs, closed: make(chan struct{})}
}

func (l *queueListener) Accept() (net.Conn, error) {
	l.calls = append(l.calls, time.Now())
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, err
	}
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *queueListener) Close() error {
	select {
	case <-l.closed:
		return net.ErrClosed
	default:
		close(l.closed)
		return nil
	}
}

func (l *queueListener) Addr() net.Addr { return memAddr(1) }

// virtualTCPServer runs a server on the connections that a test puts into l, inside a bubble.
func virtualTCPServer(t *testing.T, l net.Listener, cfg ServerConfig) (failures chan error, stop func()) {
	t.Helper()
	failures = make(chan error, 8)
	cfg.OnFailure = func(_ net.Addr, err error) { failures <- err }
	cfg.Session.Counters = new(Counters)
	_, stop = virtualServer(t, newTCPAcceptor(l, cfg), cfg)
	return failures, stop
}

// virtualServer runs a server on a fake transport, or a front over a socket, inside a bubble; stop ends it.
func virtualServer(t *testing.T, a acceptor, cfg ServerConfig, sockets ...*memSocket) (failures chan error, stop func()) {
	t.Helper()
	for _, s := range sockets {
		var err error
		if a, err = newUDPAcceptor(cfg, memDoor{s}); err != nil {
			t.Fatal(err)
		}
	}
	failures = make(chan error, 8)
	if cfg.OnFailure == nil {
		cfg.OnFailure = func(_ net.Addr, err error) { failures <- err }
	}
	if cfg.Session.Counters == nil {
		cfg.Session.Counters = new(Counters)
	}
	s := newServer(cfg, a)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return failures, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v", err)
		}
	}
}

func TestTLSHandshakeTimeout(t *testing.T) {
	ca := testpki.New(t, "root")
	for _, configured := range []time.Duration{0, 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			want := configured
			if want == 0 {
				want = 10 * time.Second
			}
			l := newQueueListener()
			failures, stop := virtualTCPServer(t, l, ServerConfig{
				Network: NetworkTCP, Credentials: credentialsOf(t, ca, ca.Server()), HandshakeTimeout: configured,
			})
			defer stop()
			start := time.Now()
			silent, peer := net.Pipe()
			l.conns <- peer
			if err := <-failures; !errors.Is(err, ErrNoHello) || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the handshake failed with %v", err)
			}
			if got := time.Since(start); got != want {
				t.Errorf("it failed after %v, want %v", got, want)
			}
			if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("the connection is not closed: %v", err)
			}
		})
	}
}

func TestDTLSHandshakeTimeout(t *testing.T) {
	ca := testpki.New(t, "root")
	synctest.Test(t, func(t *testing.T) {
		var n memNet
		server := n.socket(1)
		failures, stop := virtualServer(t, nil, ServerConfig{
			Network: NetworkUDP, Credentials: credentialsOf(t, ca, ca.Server()),
		}, server)
		defer stop()
		start := time.Now()
		falterAt(t, n.socket(2), server.LocalAddr())
		if err := <-failures; err == nil {
			t.Error("no error")
		}
		if got := time.Since(start); got != 60*time.Second {
			t.Errorf("it failed after %v, want 60s", got)
		}
	})
}

func TestDTLSWrongKeyTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n memNet
		_, stop := virtualServer(t, nil, ServerConfig{
			Network: NetworkUDP, Credentials: keysOnly(t, "", map[string]string{"client1": "secret one"}),
		}, n.socket(1))
		defer stop()
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		set := keysOnly(t, "client1", map[string]string{"client1": "secret two"}).current.Load()
		start := time.Now()
		if _, err := clientDTLS(ctx, set, n.socket(2).client(new(Counters)), "localhost"); err == nil {
			t.Error("the handshake succeeded")
		}
		if got := time.Since(start); got != 25*time.Second {
			t.Errorf("it failed after %v, want 25s", got)
		}
	})
}

func TestAcceptWaitsOutErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newQueueListener(syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED)
		start := time.Now()
		_, stop := virtualTCPServer(t, l, ServerConfig{Network: NetworkTCP})
		time.Sleep(time.Minute)
		stop()
		want := []time.Duration{0, 5 * time.Millisecond, 15 * time.Millisecond, 35 * time.Millisecond}
		if len(l.calls) != len(want) {
			t.Fatalf("%d calls of Accept, want %d", len(l.calls), len(want))
		}
		for i, at := range want {
			if got := l.calls[i].Sub(start); got != at {
				t.Errorf("call %d at %v, want %v", i, got, at)
			}
		}
	})
}

func TestBackoffIsBounded(t *testing.T) {
	var b backoff
	for range 20 {
		b.next()
	}
	if got := b.next(); got != time.Second {
		t.Errorf("next() = %v, want 1s", got)
	}
	b.reset()
	if got := b.next(); got != 5*time.Millisecond {
		t.Errorf("next() = %v after reset, want 5ms", got)
	}
}

// A handshake that never ends neither holds up the accept loop nor, at the limit, newer handshakes.
func TestHandshakesGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandshakes(2)
		ended := make(chan int, 4)
		for i := range 4 {
			h.start(t.Context(), func(ctx context.Context) {
				<-ctx.Done()
				ended <- i
			})
			synctest.Wait()
		}
		if first, second := <-ended, <-ended; first != 0 || second != 1 {
			t.Errorf("%d and %d gave way, want 0 and 1", first, second)
		}
		if len(ended) != 0 {
			t.Errorf("%d more gave way", len(ended))
		}
		h.shutdown()
		if len(ended) != 2 || h.order.Len() != 0 {
			t.Errorf("shutdown ended %d and left %d", len(ended), h.order.Len())
		}
	})
}

// fakeConn is a pulledConn without a network.
type fakeConn struct {
	fakeLink
	in chan []byte
}

type fakeLink struct {
	closed   chan struct{}
	reliable bool
}

func newFakeConn() *fakeConn {
	return &fakeConn{fakeLink{closed: make(chan struct{})}, make(chan []byte, 4)}
}

func (c *fakeConn) pump() {}

// deliver lets the peer say b.
func (c *fakeConn) deliver(b []byte) { c.in <- b }

// fakePusher is a pushingConn without a network.
type fakePusher struct {
	fakeLink
	input func([]byte)
}

func newFakePusher() *fakePusher { return &fakePusher{fakeLink: fakeLink{closed: make(chan struct{})}} }

func (c *fakePusher) push(input func(b []byte), ended func(error)) {
	c.input = input
	go func() {
		<-c.closed
		ended(io.EOF)
	}()
}

func (c *fakePusher) deliver(b []byte) { c.input(b) }

// fakes makes a connection of each kind.
func fakes() map[string]func() fake {
	return map[string]func() fake{
		"pulled": func() fake { return newFakeConn() }, "pushing": func() fake { return newFakePusher() },
	}
}

type fake interface {
	securedConn
	deliver(b []byte)
	wait()
}

func (c *fakeConn) read(b []byte) (int, error) {
	select {
	case in := <-c.in:
		return copy(b, in), nil
	case <-c.closed:
		return 0, io.EOF
	}
}

func (l *fakeLink) wait()                    { <-l.closed }
func (l *fakeLink) identity() Identity       { return Identity{PSKIdentity: "fake"} }
func (l *fakeLink) WriteRecord([]byte) error { return nil }
func (l *fakeLink) LocalAddr() net.Addr      { return memAddr(1) }
func (l *fakeLink) RemoteAddr() net.Addr     { return memAddr(2) }
func (l *fakeLink) Reliable() bool           { return l.reliable }

func (l *fakeLink) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func TestIdleTimeout(t *testing.T) {
	for name, connect := range fakes() {
		synctest.Test(t, func(t *testing.T) {
			k, timers := newKeeper(0, time.Minute), NewTimers()
			runTimers(t, timers)
			conn := connect()
			start := time.Now()
			s, err := k.adopt(conn, SessionConfig{Timers: timers}, nil)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Second)
			conn.deliver([]byte{0x40}) // too short for a message; the peer is there all the same
			<-s.Done()
			if got := time.Since(start); got != 110*time.Second {
				t.Errorf("%s: the session ended after %v, want 110s", name, got)
			}
			if err := s.Err(); !errors.Is(err, ErrIdle) {
				t.Errorf("%s: Err() = %v", name, err)
			}
			conn.wait()
			k.shutdown()
			if n := len(s.timers.heap); n != 0 {
				t.Errorf("%s: %d timers are left", name, n)
			}
		})
	}
}

// A session that ends does not wait for its idle time, and takes its timer along.
func TestIdleWatchEnds(t *testing.T) {
	for name, connect := range fakes() {
		synctest.Test(t, func(t *testing.T) {
			k, timers := newKeeper(0, time.Minute), NewTimers()
			runTimers(t, timers)
			s, err := k.adopt(connect(), SessionConfig{Timers: timers}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n := len(s.timers.heap) + len(k.sessions); n != 0 {
				t.Errorf("%s: %d timers and sessions are left", name, n)
			}
			k.shutdown()
		})
	}
}

func TestKeeper(t *testing.T) {
	for name, connect := range fakes() {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { keep(t, connect) }) })
	}
}

func keep(t *testing.T, connect func() fake) {
	k := newKeeper(1, 0)
	cfg := SessionConfig{Timers: NewTimers()}
	s, err := k.adopt(connect(), cfg, func(s *Session) error {
		if s.Peer().PSKIdentity != "fake" {
			t.Errorf("welcomed %+v", s.Peer())
		}
		return nil
	})
	if err != nil || !k.full() {
		t.Fatalf("adopt() = %v, full = %v", err, k.full())
	}
	second := connect()
	if _, err := k.adopt(second, cfg, nil); !errors.Is(err, errEndpointFull) {
		t.Errorf("adopt() = %v beyond the limit", err)
	}
	second.wait()
	if _, err := newKeeper(0, 0).adopt(connect(), SessionConfig{}, nil); err == nil {
		t.Error("adopt() = nil without timers")
	}
	time.Sleep(24 * time.Hour) // without an idle timeout silence ends nothing
	if err := s.Err(); err != nil {
		t.Errorf("Err() = %v", err)
	}
	k.shutdown()
	if err := s.Err(); !errors.Is(err, ErrClosed) {
		t.Errorf("Err() = %v after shutdown", err)
	}
	if _, err := k.adopt(connect(), cfg, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("adopt() = %v after shutdown", err)
	}
	unwelcome := connect()
	no := errors.New("no")
	k = newKeeper(1, 0)
	if _, err := k.adopt(unwelcome, cfg, func(*Session) error { return no }); !errors.Is(err, no) {
		t.Errorf("adopt() = %v for one that is not welcome", err)
	}
	unwelcome.wait()
	synctest.Wait()
	if len(k.sessions) != 0 {
		t.Error("one that is not welcome is kept")
	}
	k.shutdown()
}
