// Package reach finds the way to an uplink: by which of its addresses, and over UDP or TCP (RFC 9132, Section 4.3).
//
// All ways are tried, the best first and each a little after the one before, and the first that stands is used. What loses datagrams makes TCP
// win such a race, although sessions over UDP are worth more there: so where TCP won, the attempts over UDP go on, and their session
// takes the place of the first when it comes.
package reach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/upstream"
)

const (
	// delay is the time between the beginnings of two attempts (RFC 8305, Section 5).
	delay = 250 * time.Millisecond
	// urgentDelay is that under attack (RFC 9132, Section 4.3).
	urgentDelay = 100 * time.Millisecond
	// remembered is how long the way that was found is tried first (RFC 9132, Section 4.3).
	remembered = 10 * time.Minute
	// maxPerFamily bounds the addresses of a family that are tried.
	maxPerFamily = 4
	// maxHosts bounds the names whose last good addresses are kept; any makes room.
	maxHosts = 16
)

// Dialer makes sessions over one transport, to the server of its configuration unless it is told another. *coap.Dialer is one.
type Dialer interface {
	DialTo(ctx context.Context, to coap.Place) (*coap.Session, error)
	// Run lets DialTo work until ctx ends.
	Run(ctx context.Context) error
}

// Config says how a server can be reached.
type Config struct {
	Address    string // host:port, for UDP, and for TCP where TLSAddress is empty. Required
	TLSAddress string // host:port for TCP. Optional
	// UDP and TCP make the sessions. Nil: that transport is not used; one of them is required.
	UDP, TCP Dialer
	// Source is the address that sessions leave from: only addresses of its family are tried. The zero Addr: of both.
	Source netip.Addr
	// Lookup finds the addresses of a name. Nil: the system's resolver.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Now tells the time. Nil: time.Now.
	Now func() time.Time
}

// Reach makes sessions to one server. It is safe for concurrent use.
type Reach struct {
	cfg        Config
	host       string // of Address
	hostTLS    string // of TLSAddress; the same host where that is empty
	port       uint16 // over UDP
	portTLS    uint16 // over TCP
	background sync.WaitGroup
	life       context.Context // ends with Run; it spans calls, so it stands here
	end        context.CancelFunc

	mu     sync.Mutex
	good   map[string][]netip.Addr // the last addresses that names had
	ended  bool                    // nothing begins any more
	best   way                     // found last; its zero value is none
	until  time.Time               // that is tried first
	giveUp context.CancelFunc      // ends what goes on of an earlier Dial; nil: nothing does
}

// New checks the configuration. Nothing is sent before Dial.
func New(cfg Config) (*Reach, error) {
	if cfg.UDP == nil && cfg.TCP == nil {
		return nil, errors.New("reaching an uplink: no transport")
	}
	r := &Reach{cfg: cfg, good: map[string][]netip.Addr{}}
	var err error
	if r.host, r.port, err = splitAddress(cfg.Address); err != nil {
		return nil, err
	}
	r.hostTLS, r.portTLS = r.host, r.port
	if cfg.TLSAddress != "" {
		if r.hostTLS, r.portTLS, err = splitAddress(cfg.TLSAddress); err != nil {
			return nil, err
		}
	}
	if cfg.Lookup == nil {
		r.cfg.Lookup = systemLookup
	}
	if cfg.Now == nil {
		r.cfg.Now = time.Now
	}
	r.life, r.end = context.WithCancel(context.Background())
	return r, nil
}

func splitAddress(address string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("reaching an uplink: %w", err)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || host == "" {
		return "", 0, fmt.Errorf("reaching an uplink: %q is no address of a server", address)
	}
	return host, uint16(n), nil
}

// systemLookup asks whatever the system asks.
func systemLookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// Run lets Dial work until ctx ends; then it ends the sessions and waits for all that was started. Called once.
func (r *Reach) Run(ctx context.Context) error {
	var dialers sync.WaitGroup
	for _, d := range []Dialer{r.cfg.UDP, r.cfg.TCP} {
		if d != nil {
			dialers.Go(func() { _ = d.Run(ctx) }) // its end is ours
		}
	}
	<-ctx.Done()
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.end()
	dialers.Wait()
	r.background.Wait()
	return nil
}

// Dial makes a session to the server, or to the one that a redirect names. It waits for Run to be under way, and returns when ctx ends. Where it
// returns a session over TCP and to.Better is set, attempts over UDP may go on; to.Better is then called with their session, or never.
func (r *Reach) Dial(ctx context.Context, to upstream.Destination) (*coap.Session, error) {
	life, cancel, err := r.start(to.Better != nil)
	if err != nil {
		return nil, err
	}
	defer r.background.Done()
	ways, err := r.ways(ctx, to)
	if err != nil {
		cancel()
		return nil, err
	}
	c := &contest{reach: r, to: to, results: make(chan result, len(ways)), cancels: map[way]context.CancelFunc{}}
	s, rest, err := c.run(ctx, life, ways)
	if rest == 0 || err != nil {
		cancel()
		c.clear(rest)
		return s, err
	}
	if c.to.Better != nil {
		r.goesOn(cancel)
	}
	r.background.Go(func() {
		defer cancel()
		c.improve(rest)
	})
	return s, nil
}

// start begins a Dial. One whose session is to be improved ends what goes on of an earlier one; another, as for a request that a redirect
// sends elsewhere, leaves that alone. None ends one that has not returned yet. background counts it.
func (r *Reach) start(improves bool) (life context.Context, cancel context.CancelFunc, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil, nil, fmt.Errorf("reaching %s: %w", r.cfg.Address, coap.ErrClosed)
	}
	if improves && r.giveUp != nil {
		r.giveUp()
	}
	life, cancel = context.WithCancel(r.life)
	r.background.Add(1)
	return life, cancel, nil
}

// goesOn notes what ends the attempts over UDP of a Dial that has returned, in the place of an earlier one's.
func (r *Reach) goesOn(giveUp context.CancelFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.giveUp != nil {
		r.giveUp()
	}
	r.giveUp = giveUp
}

// won remembers a way that was found.
func (r *Reach) won(w way, alternate bool) {
	if alternate {
		return // by its own addresses; how it is reached says nothing of the other
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.best, r.until = w, r.cfg.Now().Add(remembered)
}
