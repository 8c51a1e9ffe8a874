package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/ctl"
	"github.com/dotsgate/dotsgate/wire"
)

// The modes of a load.
const (
	// ModePutRefresh puts one mitigation for each request in flight and refreshes it over and over.
	ModePutRefresh = "put-refresh"
	// ModeGet puts one mitigation for each request in flight and asks for it over and over.
	ModeGet = "get"
	// ModeMixed puts, refreshes, asks for and withdraws mitigations.
	ModeMixed = "mixed"
	// ModeEcho sends heartbeats only: what a round trip costs.
	ModeEcho = "echo"
)

// LoadConfig says what load is made.
type LoadConfig struct {
	// Address is the server's host:port, Network coap.NetworkUDP or coap.NetworkTCP. Required.
	Address, Network string
	// ServerName is the name in the server's certificate. Empty means the host of Address.
	ServerName string
	// Credentials of all sessions. Required.
	Credentials *coap.Credentials
	// Profile is the dialect. Required.
	Profile wire.Profile
	// CUID of all sessions. Required. With CUIDPerSession each has its own: this one with the session's number.
	CUID           string
	CUIDPerSession bool
	// Mode is one of the modes. Required.
	Mode string
	// Sessions, and InFlight requests on each of them at a time; zero means 1.
	Sessions, InFlight int
	// Duration and Count end the load, whichever is first; zero means that it does not.
	Duration time.Duration
	Count    uint64
	// Timeout is how long to wait for an answer; then the session is given up and another one made. Zero means 10 s.
	Timeout time.Duration
	// Prefix holds the targets, an address each; they repeat when there are not enough. Required but for ModeEcho.
	Prefix netip.Prefix
	// FirstMID is the least mid that is used; zero means 1.
	FirstMID uint32
	// Lifetime of mitigations in seconds; zero means 3600.
	Lifetime int64
	// Record gets what was asked and acknowledged, in order for each mid. It is called from many goroutines. nil means nobody.
	Record func(Ack)
	// Every gets the counts so far each second. nil means nobody.
	Every func(LoadResult)
}

// Ack is a line in the journal of a load: a change that was asked for, or that was acknowledged. What was acknowledged must
// stand until its withdrawal was asked for.
type Ack struct {
	Time time.Time `json:"time"`
	Op   string    `json:"op"` // put, refresh or withdraw
	CUID string    `json:"cuid"`
	MID  uint32    `json:"mid"`
	// Code of the answer; empty when it is asked.
	Code   string `json:"code,omitempty"`
	Prefix string `json:"prefix,omitempty"`
}

// LoadResult is what a load came to.
type LoadResult struct {
	// Elapsed since the first session was there.
	Elapsed time.Duration
	// Requests that were answered, whatever the answer.
	Requests uint64
	// Codes counts answers by code, and requests without one as "timeout" or "session".
	Codes map[string]uint64
	// P50, P99 and Max of the time to an answer, exact to 2 %.
	P50, P99, Max time.Duration
	// Dials that succeeded, and that failed.
	Dials, DialFailures uint64
	// LastDialError is of the last session that could not be made; nil when there is none.
	LastDialError error
}

// Rate is the answered requests per second.
func (r LoadResult) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Requests) / r.Elapsed.Seconds()
}

// loader makes a load.
type loader struct {
	cfg   LoadConfig
	dial  *coap.Dialer
	left  atomic.Int64 // requests that may still be made; below zero: none
	stats *stats
}

func (c LoadConfig) withDefaults() (LoadConfig, error) {
	switch c.Mode {
	case ModeEcho:
	case ModePutRefresh, ModeGet, ModeMixed:
		if !c.Prefix.IsValid() {
			return c, fmt.Errorf("%w: a prefix for the targets is needed", errUsage)
		}
	default:
		return c, fmt.Errorf("%w: unknown mode %q", errUsage, c.Mode)
	}
	if c.Duration <= 0 && c.Count == 0 {
		return c, fmt.Errorf("%w: a duration or a count is needed", errUsage)
	}
	c.Sessions, c.InFlight = max(c.Sessions, 1), max(c.InFlight, 1)
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.FirstMID = cmp.Or(c.FirstMID, 1)
	c.Lifetime = cmp.Or(c.Lifetime, 3600)
	if c.Record == nil {
		c.Record = func(Ack) {}
	}
	return c, nil
}

// Load makes a load until it is over or ctx ends, which is no error. Sessions that are lost are made anew, so it goes on
// when the server dies and comes back.
func Load(ctx context.Context, cfg LoadConfig) (LoadResult, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return LoadResult{}, err
	}
	l := &loader{cfg: cfg, stats: newStats()}
	l.dial, err = coap.NewDialer(coap.DialConfig{
		Network: cfg.Network, Address: cfg.Address, ServerName: cfg.ServerName, Credentials: cfg.Credentials,
		Session: coap.SessionConfig{Handler: ctl.NewHeart(cfg.Profile)}, HandshakeTimeout: cfg.Timeout,
	})
	if err != nil {
		return LoadResult{}, fmt.Errorf("making a load: %w", err)
	}
	l.left.Store(int64(min(cfg.Count, 1<<62)))
	if cfg.Count == 0 {
		l.left.Store(1 << 62)
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	if cfg.Duration > 0 {
		working, stop = context.WithTimeout(ctx, cfg.Duration)
		defer stop()
	}
	l.run(working)
	return l.stats.result(), nil
}

// run works until working ends or every request is made.
func (l *loader) run(working context.Context) {
	var own, sessions sync.WaitGroup
	running, stop := context.WithCancel(context.WithoutCancel(working))
	own.Go(func() { _ = l.dial.Run(running) }) // its end is ours
	own.Go(func() { l.tell(running) })
	for i := range l.cfg.Sessions {
		sessions.Go(func() { l.session(working, i) })
	}
	sessions.Wait()
	l.stats.end()
	stop()
	own.Wait()
}

// tell reports each second.
func (l *loader) tell(ctx context.Context) {
	if l.cfg.Every == nil {
		return
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			l.cfg.Every(l.stats.result())
		}
	}
}

// redialPause is the pause after a session that could not be made.
const redialPause = 200 * time.Millisecond

// session keeps one session up and its requests in flight.
func (l *loader) session(ctx context.Context, number int) {
	workers := make([]*worker, l.cfg.InFlight)
	for k := range workers {
		workers[k] = l.worker(number, k)
	}
	for ctx.Err() == nil && l.left.Load() > 0 {
		s, err := l.dial.Dial(ctx)
		if err != nil {
			l.stats.dialled(err)
			select {
			case <-ctx.Done():
			case <-time.After(redialPause):
			}
			continue
		}
		l.stats.dialled(nil)
		client := ctl.NewClient(ctl.ClientConfig{Session: s, Profile: l.cfg.Profile, CUID: workers[0].cuid})
		var group sync.WaitGroup
		for _, w := range workers {
			group.Go(func() { w.run(ctx, client) })
		}
		group.Wait()
		_ = s.Close() // it is over, or given up
	}
}

// take takes one of the requests that may still be made.
func (l *loader) take() bool { return l.left.Add(-1) >= 0 }

// failure names a request without an answer.
func failure(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	return "session"
}
