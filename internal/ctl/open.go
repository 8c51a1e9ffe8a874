package ctl

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/draft04"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// Config says which server to speak to, and as whom.
type Config struct {
	// Server is host:port. Required.
	Server string
	// ServerName is the name, or the address, that the server's certificate must have. Empty means Server's host.
	ServerName string
	// Cert, Key and CA are PEM files: our certificate, its key, and the authorities that the server's must lead to.
	// Required unless a pre-shared key is used.
	Cert, Key, CA string
	// PSKIdentity and PSKFile name a pre-shared key, over DTLS only: the file has lines IDENTITY:HEXKEY. Optional.
	PSKIdentity, PSKFile string
	// Transport is "dtls", "tls" or "auto", which begins with DTLS and tries TLS besides when there is no session
	// after HeadStart. Empty means auto.
	Transport string
	// HeadStart is how long DTLS is tried alone where Transport is auto; zero means 2 s.
	HeadStart time.Duration
	// Profile is the dialect, "rfc9132" or "draft04". Empty means rfc9132.
	Profile string
	// CUID is our identifier. Empty means the one that the standard recommends: from the certificate's key or the PSK's identity.
	CUID string
	// Heartbeat is the interval of the heartbeats that a Keep sends; zero means 30 s.
	Heartbeat time.Duration
	// Counters of the sessions; nil means that nobody counts.
	Counters *coap.Counters
}

// The transports of Config.
const (
	TransportAuto = "auto"
	TransportDTLS = "dtls"
	TransportTLS  = "tls"
)

// defaultHeadStart is the default of Config.HeadStart.
const defaultHeadStart = 2 * time.Second

// Profile returns the dialect of a name.
func Profile(name string) (wire.Profile, error) {
	switch name {
	case "", "rfc9132":
		return rfc9132.New(), nil
	case "draft04":
		return draft04.New(), nil
	}
	return nil, fmt.Errorf("%w: unknown profile %q: rfc9132 or draft04", ErrUsage, name)
}

// networks returns what to dial, in order.
func networks(cfg Config) ([]string, error) {
	switch cfg.Transport {
	case "", TransportAuto:
		if cfg.Cert == "" {
			return []string{coap.NetworkUDP}, nil // pre-shared keys are of DTLS only
		}
		return []string{coap.NetworkUDP, coap.NetworkTCP}, nil
	case TransportDTLS:
		return []string{coap.NetworkUDP}, nil
	case TransportTLS:
		return []string{coap.NetworkTCP}, nil
	}
	return nil, fmt.Errorf("%w: unknown transport %q: auto, dtls or tls", ErrUsage, cfg.Transport)
}

// Conn is a client with the heart of its session.
type Conn struct {
	*Client
	// Heart answers the server's heartbeats.
	Heart    *Heart
	interval time.Duration
}

// Keep sends heartbeats until ctx ends, which is no error, or the session is lost.
func (c *Conn) Keep(ctx context.Context) error { return c.Heart.Beat(ctx, c.Client, c.interval) }

// Open makes a session, lets use work with it, and closes it. The first handshake ends by ctx or within patience (zero: no
// limit of its own). The context of use ends with ctx only: use sees the session's end by Session().Done().
func Open(ctx context.Context, cfg Config, patience time.Duration, use func(context.Context, *Conn) error) error {
	o, err := newOpener(cfg)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	for _, d := range o.dialers {
		group.Go(func() { _ = d.Run(running) }) // its end is ours
	}
	conn, err := o.dial(ctx, patience)
	if err != nil {
		return err
	}
	defer conn.Session().Close()
	return use(ctx, conn)
}

// opener makes a session over one of several transports.
type opener struct {
	dialers []*coap.Dialer
	profile wire.Profile
	cuid    string
	hearts  []*Heart
	cfg     Config
}

func newOpener(cfg Config) (*opener, error) {
	profile, err := Profile(cfg.Profile)
	if err != nil {
		return nil, err
	}
	over, err := networks(cfg)
	if err != nil {
		return nil, err
	}
	credentials, cuid, err := loadCredentials(cfg)
	if err != nil {
		return nil, err
	}
	o := &opener{profile: profile, cuid: cuid, cfg: cfg}
	for _, network := range over {
		heart := NewHeart(profile)
		d, err := coap.NewDialer(coap.DialConfig{
			Network: network, Address: cfg.Server, ServerName: cfg.ServerName, Credentials: credentials,
			Session: coap.SessionConfig{Handler: heart, Counters: cfg.Counters}, Beside: coap.DefaultBeside(),
		})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUsage, err)
		}
		o.dialers, o.hearts = append(o.dialers, d), append(o.hearts, heart)
	}
	return o, nil
}

// attempt is the outcome of one transport's handshake.
type attempt struct {
	session *coap.Session
	heart   *Heart
	err     error
}

// dial makes the session and waits for every attempt it has begun.
func (o *opener) dial(ctx context.Context, patience time.Duration) (*Conn, error) {
	if patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r := race{o: o, stop: stop, done: make(chan attempt, len(o.dialers))}
	r.run(ctx)
	if r.won == nil {
		return nil, fmt.Errorf("%w: %w", ErrNoSession, join(r.errs...))
	}
	client := NewClient(ClientConfig{Session: r.won.session, Profile: o.profile, CUID: o.cuid})
	return &Conn{Client: client, Heart: r.won.heart, interval: o.cfg.Heartbeat}, nil
}

// race tries several transports: the first that has a session wins, a later one starts after the head start or when all before
// it have failed.
//
// RFC 9132, Section 4.3: staggered attempts, UDP before TCP.
type race struct {
	o       *opener
	stop    context.CancelFunc // ends the attempts that are under way
	done    chan attempt
	started int
	open    int
	won     *attempt
	errs    []error
}

func (r *race) run(ctx context.Context) {
	timer := time.NewTimer(cmp.Or(r.o.cfg.HeadStart, defaultHeadStart))
	defer timer.Stop()
	for {
		if r.open == 0 && !r.start(ctx) {
			return
		}
		select {
		case <-timer.C:
			r.start(ctx)
		case a := <-r.done:
			r.take(a)
		}
	}
}

// start begins the next attempt, if there is one and it is needed.
func (r *race) start(ctx context.Context) bool {
	if r.won != nil || r.started == len(r.o.dialers) || r.started > 0 && ctx.Err() != nil {
		return false
	}
	dialer, heart := r.o.dialers[r.started], r.o.hearts[r.started]
	r.started, r.open = r.started+1, r.open+1
	go func() {
		s, err := dialer.Dial(ctx)
		r.done <- attempt{session: s, heart: heart, err: err}
	}()
	return true
}

func (r *race) take(a attempt) {
	r.open--
	switch {
	case a.err != nil:
		r.errs = append(r.errs, a.err)
	case r.won == nil:
		r.won = &a
		r.stop()
	default:
		_ = a.session.Close() // it came too late
	}
}
