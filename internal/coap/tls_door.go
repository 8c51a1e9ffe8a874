package coap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/dotsgate/dotsgate/internal/pressure"
	"github.com/dotsgate/dotsgate/internal/throttle"
)

// Defaults of SourceLimits, for TCP.
const (
	DefaultSourceRate       = 50.0
	DefaultSourceBurst      = 200
	DefaultSourceHandshakes = 128
)

// SourceLimits bound what one source may ask of a listener: one address of IPv4, one /56 of IPv6. Sources on this machine are not bounded: who
// can use those has better ways to do harm.
type SourceLimits struct {
	// Rate is how many connections a second one source may begin in the long run, and Burst how many at once. Zero means the defaults.
	Rate  float64
	Burst int
	// Handshakes is how many connections of one source may be without a finished handshake at a time. Zero means the default.
	Handshakes int
}

// ErrNoHello says that a TCP connection was closed since its peer had not sent one whole TLS record.
var ErrNoHello = errors.New("no first record")

// tcpAcceptor is TLS over one listening TCP socket. A connection costs a small goroutine until its peer has sent a whole first record; only then its
// handshake begins.
type tcpAcceptor struct {
	cfg      ServerConfig
	listener net.Listener
	common   *tlsCommon
	waiting  *handshakes // for first records
	rate     *throttle.Buckets
	held     *throttle.Caps
	arrivals chan tlsIncoming
	life     context.Context // ends with stopAccepting; it spans calls, so it stands here
	end      context.CancelFunc
}

func listenTCP(cfg ServerConfig) (acceptor, error) {
	var l net.Listener
	var err error
	if len(cfg.Files) > 0 {
		l, err = net.FileListener(cfg.Files[0])
	} else {
		l, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", cfg.Address)
	}
	if err != nil {
		return nil, fmt.Errorf("binding: %w", err)
	}
	return newTCPAcceptor(l, cfg), nil
}

// newTCPAcceptor needs cfg.Session.Counters.
func newTCPAcceptor(l net.Listener, cfg ServerConfig) *tcpAcceptor {
	cfg.HandshakeTimeout = cmp.Or(cfg.HandshakeTimeout, DefaultTLSHandshakeTimeout)
	most := cmp.Or(cfg.MaxHandshakes, DefaultMaxHandshakes)
	s := cfg.Sources
	a := &tcpAcceptor{
		cfg: cfg, listener: l,
		common:  newTLSCommon(max(1, runtime.GOMAXPROCS(0)/2)),
		waiting: newHandshakes(most),
		rate:    throttle.NewBuckets(4*most, cmp.Or(s.Rate, DefaultSourceRate), cmp.Or(s.Burst, DefaultSourceBurst)),
		// Half of those that are held may be without a first record, and half in their handshakes.
		held:     throttle.NewCaps(8*most, cmp.Or(s.Handshakes, DefaultSourceHandshakes)),
		arrivals: make(chan tlsIncoming),
	}
	a.life, a.end = context.WithCancel(context.Background())
	return a
}

// run accepts connections and waits for their first records, until stopAccepting.
func (a *tcpAcceptor) run() {
	defer a.waiting.shutdown()
	var pause backoff
	for {
		conn, err := a.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			pause.wait(a.life)
		default:
			pause.reset()
			a.admit(conn)
		}
	}
}

// admit refuses a connection, or begins to wait for its first record.
func (a *tcpAcceptor) admit(conn net.Conn) {
	source, counted := sourceOf(conn.RemoteAddr())
	release := func() {}
	switch {
	case a.cfg.Pressure.Sheds(pressure.ShedHandshakes):
		refuse(conn)
		return
	case !counted:
	case !a.rate.Take(source, time.Now()), !a.held.Acquire(source):
		a.cfg.Session.Counters.SourcesRefused.Add(1)
		refuse(conn)
		return
	default:
		release = func() { a.held.Release(source) }
	}
	in := tlsIncoming{
		wire: newTLSWire(conn, a.common), requireALPN: a.cfg.RequireALPN, release: release,
		until: time.Now().Add(a.cfg.HandshakeTimeout),
	}
	a.waiting.start(context.Background(), func(ctx context.Context) { a.await(ctx, in) })
}

// await waits for the first record and hands the connection on.
func (a *tcpAcceptor) await(ctx context.Context, in tlsIncoming) {
	stop := context.AfterFunc(ctx, func() { in.wire.abandon(context.Cause(ctx)) })
	_ = in.wire.SetReadDeadline(in.until) // the read tells
	err := in.wire.greet()
	_ = in.wire.SetReadDeadline(time.Time{}) // as before
	if stop() && err == nil {
		select {
		case a.arrivals <- in:
		case <-a.life.Done():
			in.discard()
		}
		return
	}
	if cause := in.wire.why(); cause != nil {
		err = cause
	}
	in.discard()
	a.cfg.Session.Counters.HandshakeFailures.Add(1)
	if a.cfg.OnFailure != nil {
		a.cfg.OnFailure(in.wire.RemoteAddr(), fmt.Errorf("%w: %w", ErrNoHello, err))
	}
}

// refuse closes a connection at once, and leaves nothing of it to the system.
func refuse(conn net.Conn) {
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0) // without it the port is kept for a minute
	}
	_ = conn.Close() // nobody to tell
}

// sourceOf is who is counted; nobody, if it is this machine.
func sourceOf(a net.Addr) (netip.Addr, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false // a pipe, in tests
	}
	from := tcp.AddrPort().Addr().Unmap()
	return from, !from.IsLoopback()
}

func (a *tcpAcceptor) accept() (incoming, net.Addr, error) {
	select {
	case in := <-a.arrivals:
		return in, in.wire.RemoteAddr(), nil
	case <-a.life.Done():
		return nil, nil, net.ErrClosed
	}
}

func (a *tcpAcceptor) stopAccepting() {
	a.end()
	_ = a.listener.Close() // close tells
}

func (a *tcpAcceptor) close() error {
	if err := a.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func (a *tcpAcceptor) files() ([]*os.File, error) {
	l, ok := a.listener.(*net.TCPListener)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	f, err := l.File()
	if err != nil {
		return nil, err
	}
	return []*os.File{f}, nil
}

// suspend has nothing left to do: the listener is closed, and its duplicate takes whoever comes meanwhile.
func (a *tcpAcceptor) suspend() {}

// resume cannot: what a stream has read and not handed on does not go along.
func (a *tcpAcceptor) resume(Exported) (securedConn, error) { return nil, errors.ErrUnsupported }

func (a *tcpAcceptor) addr() net.Addr { return a.listener.Addr() }
