package coap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/internal/front"
)

// DialConfig says how sessions to one server are made.
type DialConfig struct {
	// Network is NetworkUDP or NetworkTCP. Required.
	Network string
	// Address is the server's host:port. A host name is resolved at every Dial and its first address is used.
	// Required.
	Address string
	// ServerName is the name, or the address, that the server's certificate must have in its subject alternative
	// name; a name is also sent as SNI. Empty means the host of Address.
	ServerName string
	// Credentials prove the client and check the server. Required.
	Credentials *Credentials
	// Session is the template of the sessions; its Link and Peer are filled in for each. Timers may be nil: the
	// dialer then runs its own. Counters may be nil.
	Session SessionConfig
	// OnSession is called for a new session before anything is sent or received on it. An error closes the session
	// and fails the Dial. It must not wait for the peer. Optional.
	OnSession func(*Session) error
	// HandshakeTimeout bounds one Dial, from the connection on; zero means 60 s for UDP and 10 s for TCP.
	HandshakeTimeout time.Duration
	// IdleTimeout ends a session that has been silent for so long; zero means never.
	IdleTimeout time.Duration
	// Source is the address that sessions leave from: a server name is then resolved to an address of the same family.
	// The zero Addr leaves the choice to the system, which may change it while a DTLS session lives.
	Source netip.Addr
	// Interface is the network interface that sessions leave by, whatever the routes say; Linux only. A Dial that may not
	// bind to it, or finds no such interface, fails. Empty means any.
	Interface string
	// PathMTU is the largest IP packet that is sent over UDP, in bytes; 0: DefaultPathMTU; less than LeastPathMTU counts as that. Session.Limits
	// follow unless they have a MaxDatagram of their own.
	PathMTU int
	// RequireALPN refuses a TLS server that does not choose "coap". Zero means accept it. UDP does not use it.
	RequireALPN bool
	// Beside is when further handshakes over UDP begin beside the first, counted from its beginning, in rising order, at most maxBegun:
	// where datagrams are lost, several find a way sooner than one. Each has a port of its own; the first to finish is used, the
	// others are given up. Where there are MaxBeside beside another, the oldest makes room. None begins any more once one was refused.
	// Empty means none.
	Beside []time.Duration
	// RecordPath says whether sessions over UDP are taken over from the DTLS library after their handshake; the zero value is yes.
	RecordPath front.RecordPath
}

// MaxBeside bounds the handshakes of one Dial that are under way beside another.
const MaxBeside = 3

// maxBegun bounds all handshakes that a Dial begins beside the first.
const maxBegun = 16

// DefaultBeside is when the handshakes of a gateway's dialer begin beside the first. The library repeats what is lost after 1, 3 and 7 s;
// with the first four, a handshake over a path that loses half of all datagrams finishes within 30 s nine times in ten, where one alone does
// every other time. Those that follow, each in the place of the oldest, which by then waits for 16 s and more, let a server that comes back
// while it is dialled be found within 7 s.
func DefaultBeside() []time.Duration {
	var times []time.Duration
	for _, seconds := range []time.Duration{1, 3, 6, 16, 26, 36, 46} {
		times = append(times, seconds*time.Second)
	}
	return times
}

// Place is a server's address when it is known already, and who is to be found there.
type Place struct {
	Addr netip.AddrPort // required
	Name string         // in the place of DialConfig.ServerName; empty: that
}

// Dialer makes sessions to one server and owns the goroutines that feed them. Safe for concurrent use.
type Dialer struct {
	cfg     DialConfig
	from    binding
	keeper  *keeper
	tls     *tlsCommon
	timers  *Timers // nil when the template brings its own
	records *clientRecords
	started chan struct{}
	life    context.Context // ends with Run; it spans calls, so it stands here
	end     context.CancelFunc
}

// NewDialer checks the configuration. Nothing is sent before Dial.
func NewDialer(cfg DialConfig) (*Dialer, error) {
	if cfg.Credentials == nil {
		return nil, errors.New("making a dialer: credentials are required")
	}
	host, _, err := net.SplitHostPort(cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("making a dialer: %w", err)
	}
	cfg.ServerName = cmp.Or(cfg.ServerName, host)
	if cfg.ServerName == "" {
		return nil, errors.New("making a dialer: the server's name is required")
	}
	switch cfg.Network {
	case NetworkUDP:
		cfg.HandshakeTimeout = cmp.Or(cfg.HandshakeTimeout, DefaultDTLSHandshakeTimeout)
	case NetworkTCP:
		cfg.HandshakeTimeout = cmp.Or(cfg.HandshakeTimeout, DefaultTLSHandshakeTimeout)
	default:
		return nil, fmt.Errorf("making a dialer: unknown network %q", cfg.Network)
	}
	if len(cfg.Beside) > maxBegun || !slices.IsSorted(cfg.Beside) {
		return nil, fmt.Errorf("making a dialer: handshakes beside the first at %v: at most %d, in rising order", cfg.Beside, maxBegun)
	}
	from, err := boundTo(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a dialer: %w", err)
	}
	d := &Dialer{from: from, keeper: newKeeper(0, cfg.IdleTimeout), tls: newTLSCommon(0), started: make(chan struct{})}
	d.life, d.end = context.WithCancel(context.Background())
	cfg.Session.Limits = cfg.Session.Limits.onPath(cfg.PathMTU)
	if cfg.Session.Counters == nil {
		cfg.Session.Counters = new(Counters)
	}
	if cfg.Session.Timers == nil {
		d.timers = NewTimers()
		cfg.Session.Timers = d.timers
	}
	if cfg.RecordPath == front.Own {
		d.records = new(clientRecords)
	}
	d.cfg = cfg
	return d, nil
}

// Run lets Dial work until ctx ends; then it closes the sessions and waits for all it has started. Called once.
func (d *Dialer) Run(ctx context.Context) error {
	var background sync.WaitGroup
	timers, stopTimers := context.WithCancel(context.WithoutCancel(ctx))
	if d.timers != nil {
		background.Go(func() { _ = d.timers.Run(timers) }) // its end is ours
	}
	close(d.started)
	<-ctx.Done()
	d.end()
	d.keeper.shutdown()
	stopTimers()
	background.Wait()
	return nil
}

// Dial connects, shakes hands and starts a session. It waits for Run to be under way. ctx ends only the attempt, not
// the session. Over TLS 1.3 a server refuses a client's certificate after Dial has returned: the session then ends.
func (d *Dialer) Dial(ctx context.Context) (*Session, error) { return d.DialTo(ctx, Place{}) }

// DialTo is Dial to an address that the caller has resolved, and perhaps to another server: the credentials and all else stay. The zero
// Place is DialConfig's own.
func (d *Dialer) DialTo(ctx context.Context, to Place) (*Session, error) {
	select {
	case <-d.started:
	case <-ctx.Done():
		return nil, d.failed(to, context.Cause(ctx))
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.HandshakeTimeout)
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	stop := context.AfterFunc(d.life, func() { giveUp(ErrClosed) })
	defer stop()
	conn, err := d.connect(ctx, to)
	if err != nil {
		d.cfg.Session.Counters.HandshakeFailures.Add(1)
		return nil, d.failed(to, err)
	}
	d.cfg.Session.Counters.Handshakes.Add(1)
	s, err := d.keeper.adopt(conn, d.cfg.Session, d.cfg.OnSession)
	if err != nil {
		return nil, d.failed(to, err)
	}
	return s, nil
}

func (d *Dialer) failed(to Place, err error) error {
	return fmt.Errorf("dialling %s over %s: %w", d.address(to), d.cfg.Network, err)
}

// address is where a place is, as text.
func (d *Dialer) address(to Place) string {
	if to.Addr.IsValid() {
		return to.Addr.String()
	}
	return d.cfg.Address
}

func (d *Dialer) connect(ctx context.Context, to Place) (securedConn, error) {
	to.Name = cmp.Or(to.Name, d.cfg.ServerName)
	set := d.cfg.Credentials.current.Load()
	if d.cfg.Network == NetworkTCP {
		return d.dialTLS(ctx, set, to)
	}
	return d.dialDTLS(ctx, set, to)
}
