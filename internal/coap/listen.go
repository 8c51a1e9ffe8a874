package coap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/internal/pressure"
)

// Defaults of endpoints.
const (
	// DefaultDTLSHandshakeTimeout leaves room for repeated flights on a lossy link.
	DefaultDTLSHandshakeTimeout = 60 * time.Second
	// DefaultTLSHandshakeTimeout is short: TCP itself repeats what is lost.
	DefaultTLSHandshakeTimeout = 10 * time.Second
	// DefaultMaxSessions bounds the sessions of one listener.
	DefaultMaxSessions = 16384
	// DefaultMaxHandshakes bounds the handshakes under way at one listener.
	DefaultMaxHandshakes = 4096
)

// The transports of ServerConfig.Network and DialConfig.Network.
const (
	NetworkUDP = "udp" // DTLS 1.2 over UDP
	NetworkTCP = "tcp" // TLS over TCP
)

// ServerConfig says how an endpoint listens.
type ServerConfig struct {
	// Network is NetworkUDP or NetworkTCP. Required.
	Network string
	// Address is host:port to bind; an empty host means all addresses, port 0 any free one. Required.
	Address string
	// Files are the sockets of another process, as Server.Files gave them, in place of Address; they stay the caller's. Optional.
	Files []*os.File
	// Credentials prove the server and check its clients. Required.
	Credentials *Credentials
	// Session is the template of the sessions; its Link and Peer are filled in for each. Timers may be nil: the
	// server then runs its own. Counters may be nil.
	Session SessionConfig
	// OnSession is called for every session when its handshake is over, before anything is sent or received on it.
	// An error closes the session. It is called from many goroutines and must not wait for the peer. Optional.
	OnSession func(*Session) error
	// OnFailure is called when a handshake has failed, from many goroutines; it must not block. Optional.
	OnFailure func(remote net.Addr, err error)
	// HandshakeTimeout bounds a handshake from the first datagram or the accepted connection on; zero means 60 s
	// for UDP and 10 s for TCP.
	HandshakeTimeout time.Duration
	// IdleTimeout ends a session that has been silent for so long; zero means never: the layers above watch over
	// liveness.
	IdleTimeout time.Duration
	// MaxSessions bounds the sessions; zero means DefaultMaxSessions. When it is reached, handshakes over UDP do not go on
	// once the address is proven, and new TCP connections are closed at once; sessions that live are not touched.
	MaxSessions int
	// MaxHandshakes bounds the handshakes under way; zero means DefaultMaxHandshakes. When it is reached, a new one
	// takes the place of the oldest, which fails. As many TCP connections besides may be without a first record, by the same rule.
	MaxHandshakes int
	// Sources bounds what one source may ask; zero fields are defaults. What goes beyond is refused before anything is spent on it.
	Sources SourceLimits
	// Pressure tells when new handshakes are to be shed. Optional; nil means never.
	Pressure *pressure.Gauge
	// PathMTU is the largest IP packet that is sent over UDP, in bytes; 0: DefaultPathMTU; less than LeastPathMTU counts as that. Session.Limits
	// follow unless they have a MaxDatagram of their own.
	PathMTU int
	// Front is for UDP only.
	Front FrontConfig
	// RequireALPN refuses TLS clients that do not negotiate "coap". Zero means accept them; a client that offers
	// only other protocols is refused either way. UDP does not use it.
	RequireALPN bool
}

// securedConn is a connection whose handshake is over: a session's link, and its input: it is a pulledConn or a pushingConn.
type securedConn interface {
	Link
	identity() Identity
}

// pulledConn is read by a goroutine of the keeper's.
type pulledConn interface {
	securedConn
	read(b []byte) (int, error)
	pump() // sends what the link has queued, until the link is closed; returns at once if it queues nothing
}

// pushingConn calls for what comes, so that nobody waits for it.
type pushingConn interface {
	securedConn
	// push begins to call input for each datagram, one call at a time. Once the connection is closed, by whoever, be it
	// before push, ended is called once, after the last input and on another goroutine. push is called once and returns at once.
	push(input func(b []byte), ended func(error))
}

// Every securedConn is one of the two.
var (
	_ pulledConn  = (*dtlsLink)(nil)
	_ pushingConn = (*recordLink)(nil)
	_ pushingConn = (*frontLink)(nil)
	_ pushingConn = (*tlsLink)(nil)
)

// askingConn asks the peer something by the session, which it is told before push.
type askingConn interface{ attach(s *Session) }

// drainingConn has something left to do when it is closed.
type drainingConn interface {
	drain() // after Close: waits until all that the connection has started has ended
}

// incoming is a peer whose handshake has not begun.
type incoming interface {
	secure(ctx context.Context, s *credentialSet) (securedConn, error)
	discard()
}

// acceptor is one of the two transports below a server.
type acceptor interface {
	run()                                // does the transport's own work until close
	accept() (incoming, net.Addr, error) // net.ErrClosed after stopAccepting; any other error may pass
	stopAccepting()                      // established connections live on
	close() error
	addr() net.Addr
}

// portable is what an acceptor can do for the sake of another process.
type portable interface {
	files() ([]*os.File, error)
	suspend()                               // nothing is read any more, but what is left to be said is, by close at the latest
	resume(e Exported) (securedConn, error) // goes on with a session of another process
}

// Both acceptors are portable.
var (
	_ portable = udpAcceptor{}
	_ portable = (*tcpAcceptor)(nil)
)

// Server accepts sessions on one address.
type Server struct {
	cfg        ServerConfig
	acceptor   acceptor
	portable   portable // the acceptor; nil where a test has one that is not
	keeper     *keeper
	handshakes *handshakes
	timers     *Timers       // nil when the template brings its own
	accepted   chan struct{} // closed when nobody is accepted any more
	observed   []observed    // by peers of resumed sessions, until Replay
}

// Listen binds the address. Nothing is accepted before Run; a server that is never run keeps its socket.
func Listen(cfg ServerConfig) (*Server, error) {
	if cfg.Credentials == nil {
		return nil, errors.New("listening: credentials are required")
	}
	if cfg.Session.Counters == nil {
		cfg.Session.Counters = new(Counters)
	}
	var a acceptor
	var err error
	switch cfg.Network {
	case NetworkUDP:
		a, err = listenUDP(cfg)
	case NetworkTCP:
		a, err = listenTCP(cfg)
	default:
		err = fmt.Errorf("unknown network %q", cfg.Network)
	}
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return newServer(cfg, a), nil
}

// newServer needs cfg.Session.Counters.
func newServer(cfg ServerConfig, a acceptor) *Server {
	timeout := DefaultDTLSHandshakeTimeout
	if cfg.Network == NetworkTCP {
		timeout = DefaultTLSHandshakeTimeout
	}
	cfg.HandshakeTimeout = cmp.Or(cfg.HandshakeTimeout, timeout)
	cfg.Session.Limits = cfg.Session.Limits.onPath(cfg.PathMTU)
	s := &Server{
		cfg: cfg, acceptor: a,
		keeper:     newKeeper(cmp.Or(cfg.MaxSessions, DefaultMaxSessions), cfg.IdleTimeout),
		handshakes: newHandshakes(cmp.Or(cfg.MaxHandshakes, DefaultMaxHandshakes)),
		accepted:   make(chan struct{}),
	}
	s.portable, _ = a.(portable)
	if cfg.Session.Timers == nil {
		s.timers = NewTimers()
		s.cfg.Session.Timers = s.timers
	}
	return s
}

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.acceptor.addr() }

// Run accepts sessions until ctx ends; then it closes them and waits for all it has started. Called once.
func (s *Server) Run(ctx context.Context) error {
	var background sync.WaitGroup
	timers, stopTimers := context.WithCancel(context.WithoutCancel(ctx))
	if s.timers != nil {
		background.Go(func() { _ = s.timers.Run(timers) }) // its end is ours
	}
	background.Go(s.acceptor.run)
	stop := context.AfterFunc(ctx, s.acceptor.stopAccepting)

	s.acceptLoop(ctx)
	close(s.accepted)
	<-ctx.Done() // accepting may have ended before, by Suspend

	stop()
	s.handshakes.shutdown()
	s.keeper.shutdown()
	// The socket comes last: the sessions have said good-bye on it.
	err := s.acceptor.close()
	stopTimers()
	background.Wait()
	if err != nil {
		return fmt.Errorf("closing the listener: %w", err)
	}
	return nil
}

// acceptLoop never waits for a handshake, and waits out errors such as a lack of file descriptors.
func (s *Server) acceptLoop(ctx context.Context) {
	var pause backoff
	for ctx.Err() == nil {
		in, remote, err := s.acceptor.accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			pause.wait(ctx)
			continue
		}
		pause.reset()
		if s.keeper.full() {
			s.cfg.Session.Counters.SessionsRefused.Add(1)
			in.discard()
			continue
		}
		s.handshakes.start(ctx, func(ctx context.Context) { s.welcome(ctx, in, remote) })
	}
}

// welcome does one handshake and starts the session.
func (s *Server) welcome(ctx context.Context, in incoming, remote net.Addr) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.HandshakeTimeout)
	defer cancel()
	conn, err := in.secure(ctx, s.cfg.Credentials.current.Load())
	if err != nil {
		s.cfg.Session.Counters.HandshakeFailures.Add(1)
		if s.cfg.OnFailure != nil {
			s.cfg.OnFailure(remote, err)
		}
		return
	}
	s.cfg.Session.Counters.Handshakes.Add(1)
	if _, err := s.keeper.adopt(conn, s.cfg.Session, s.cfg.OnSession); errors.Is(err, errEndpointFull) {
		s.cfg.Session.Counters.SessionsRefused.Add(1)
	}
}
