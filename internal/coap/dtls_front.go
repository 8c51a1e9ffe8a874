package coap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/front"
	sockets "github.com/dotsgate/dotsgate/internal/udp"
)

// FrontConfig is what only listeners over UDP need: how the front that proves addresses and carries records works. Every
// zero field means its default.
type FrontConfig struct {
	// Secret makes the cookies; nodes that share an address share it. At least 16 bytes; nil: a random one.
	Secret []byte
	// RecordPath says whether sessions are taken over from the DTLS library; the zero value is yes.
	RecordPath front.RecordPath
	// Plain is one socket for everything, without the kernel's help.
	Plain bool
	// Counters may be shared among listeners. Optional.
	Counters *front.Counters
	// Alarm is told what an operator must know: that addresses are proven in a weaker way than they should be. It must not
	// block. Optional.
	Alarm func(error)
}

// udpAcceptor is DTLS behind a front.
type udpAcceptor struct {
	front   *front.Front
	pathMTU int
	sockets *sockets.Sockets // nil where a test brings its own network
}

func listenUDP(cfg ServerConfig) (acceptor, error) {
	all, err := bindUDP(cfg)
	if err != nil {
		return nil, fmt.Errorf("binding: %w", err)
	}
	a, err := newUDPAcceptor(cfg, front.Sockets(all))
	if err != nil {
		return nil, errors.Join(err, all.Close())
	}
	a.sockets = all
	return a, nil
}

// bindUDP binds the sockets, or takes those of another process.
func bindUDP(cfg ServerConfig) (*sockets.Sockets, error) {
	if len(cfg.Files) > 0 {
		return sockets.FromFiles(cfg.Files, sockets.Config{})
	}
	return sockets.Listen(sockets.Config{Address: cfg.Address, Plain: cfg.Front.Plain})
}

func newUDPAcceptor(cfg ServerConfig, network front.Network) (udpAcceptor, error) {
	f, err := front.New(front.Config{
		Network: network, Secret: cfg.Front.Secret, RecordPath: cfg.Front.RecordPath,
		Options: func() []dtls.ServerOption {
			return cfg.Credentials.current.Load().dtlsServerOptions(new([]Mark), cfg.PathMTU)
		},
		MaxPending: cfg.MaxHandshakes, MaxPerPrefix: cfg.Sources.Handshakes, Rate: cfg.Sources.Rate, Burst: cfg.Sources.Burst,
		Pressure: cfg.Pressure, Counters: cfg.Front.Counters, Alarm: cfg.Front.Alarm, Moved: moved,
	})
	if err != nil {
		return udpAcceptor{}, fmt.Errorf("preparing DTLS: %w", err)
	}
	return udpAcceptor{front: f, pathMTU: cfg.PathMTU}, nil
}

// FrontStatus is how the front of a listener over UDP stands.
type FrontStatus struct {
	Gated   bool               // addresses are proven in a weaker way, since the DTLS library is not as expected
	Sockets []sockets.Counters // by queue
	// Unsteered is why the kernel does not keep new hellos out of the way of established traffic; nil when it does, or was not asked to.
	Unsteered error
}

// FrontStatus returns how the front stands; false over TCP, which has none. It asks the system: it is for whoever looks from time to time.
func (s *Server) FrontStatus() (FrontStatus, bool) {
	a, ok := s.acceptor.(udpAcceptor)
	if !ok {
		return FrontStatus{}, false
	}
	st := FrontStatus{Gated: a.front.Gated()}
	if a.sockets != nil {
		st.Sockets, st.Unsteered = a.sockets.Counters(), a.sockets.Refused()
	}
	return st, true
}

// run has no context: the server ends it by stopAccepting and close, in its order.
func (a udpAcceptor) run() { _ = a.front.Run(context.Background()) } // close tells

func (a udpAcceptor) accept() (incoming, net.Addr, error) {
	conn, err := a.front.Accept()
	if err != nil {
		return nil, nil, err
	}
	return frontIncoming{conn, a.pathMTU}, conn.RemoteAddr(), nil
}

func (a udpAcceptor) stopAccepting() { a.front.StopAccepting() }

func (a udpAcceptor) close() error { return a.front.Close() }

func (a udpAcceptor) files() ([]*os.File, error) {
	if a.sockets == nil {
		return nil, errors.ErrUnsupported
	}
	return a.sockets.Files()
}

func (a udpAcceptor) suspend() { a.front.Stop() }

func (a udpAcceptor) resume(e Exported) (securedConn, error) {
	conn, err := a.front.Resume(e.Conn)
	if err != nil {
		return nil, err
	}
	return &frontLink{Conn: conn, peer: e.Peer}, nil
}

func (a udpAcceptor) addr() net.Addr { return a.front.Addr() }

// frontIncoming is a peer whose address is proven, and whose handshake has not begun.
type frontIncoming struct {
	conn    *front.Conn
	pathMTU int
}

// secure does the handshake as a server. The connection closes itself when that fails.
func (i frontIncoming) secure(ctx context.Context, s *credentialSet) (securedConn, error) {
	var by []Mark
	state, err := i.conn.Handshake(ctx, s.dtlsServerOptions(&by, i.pathMTU))
	if err != nil {
		return nil, err
	}
	peer, err := dtlsIdentity(state, "")
	if err != nil {
		return nil, errors.Join(err, i.conn.Close())
	}
	s.attest(&peer, by)
	return &frontLink{Conn: i.conn, peer: peer}, nil
}

// discard forgets the peer without an answer.
func (i frontIncoming) discard() { _ = i.conn.Close() } // it cannot fail

// frontLink is a session's way out and in by the front.
type frontLink struct {
	*front.Conn
	peer    Identity
	session *Session

	asks   sync.WaitGroup // whether the peer is where it seems to be
	mu     sync.Mutex
	asking bool
	over   bool // nobody asks any more
}

// WriteRecord sends b as one datagram.
func (l *frontLink) WriteRecord(b []byte) error { return l.Write(b) }

// Reliable is false.
func (l *frontLink) Reliable() bool { return false }

func (l *frontLink) identity() Identity { return l.peer }

func (l *frontLink) attach(s *Session) {
	l.session = s
	l.SetOwner(l)
}

func (l *frontLink) push(input func(b []byte), ended func(error)) { l.Serve(input, ended) }

// drain waits for who asks, which the session's end has ended.
func (l *frontLink) drain() {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.asks.Wait()
}

// moved is called when a peer has turned up at another address: it is pinged there before much is sent to it.
//
// RFC 9146, Section 6: before an address is updated, the peer's reachability is tested, by the application where it can.
func moved(c *front.Conn, to netip.AddrPort) {
	l, ok := c.Owner().(*frontLink)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asking || l.over {
		return // whoever asks sees that the address is another one
	}
	l.asking = true
	l.asks.Go(func() { l.ask(to) })
}

// ask pings the peer until it has answered, or not, at the address that it is at by then.
func (l *frontLink) ask(to netip.AddrPort) {
	for more := true; more; to, more = l.elsewhere(to) {
		if err := l.session.Ping(context.Background()); err == nil { // the session's end and its retransmissions bound it
			l.Confirm(to) // unless the peer has moved on
		}
	}
}

// elsewhere returns where the peer is now, if that is another address than was asked. Else nobody asks any more.
func (l *frontLink) elsewhere(asked netip.AddrPort) (now netip.AddrPort, ok bool) {
	lives := l.session.Err() == nil // before the lock: moved may be called under the session's
	l.mu.Lock()
	defer l.mu.Unlock()
	now, _ = addrPort(l.RemoteAddr())
	l.asking = now != asked && lives
	return now, l.asking
}
