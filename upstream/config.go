package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// Defaults of Config and Backoff.
const (
	DefaultHeartbeatInterval = 30 * time.Second // RFC 9132, Section 4.5.2
	DefaultMissingAllowed    = 15               // RFC 9132, Section 4.5.2
	DefaultRepeatInterval    = 3 * time.Second  // RFC 9132, Section 4.4
	DefaultPollInterval      = 60 * time.Second
	DefaultStatusInterval    = 10 * time.Second
	DefaultMaxInFlight       = 16
	DefaultDialTimeout       = 70 * time.Second // above the 60 s of a DTLS handshake
	DefaultMinIdle           = 60 * time.Second // RFC 9132, Section 4.7
	DefaultMinActive         = time.Second
	DefaultMaxActive         = 15 * time.Second
	DefaultMax               = 300 * time.Second // RFC 9132, Section 4.7
	DefaultJitter            = 0.1
	DefaultProbeUDP          = 24 * time.Hour  // RFC 9132, Section 4.3
	LeastProbeUDP            = 5 * time.Minute // RFC 9132, Section 4.3

	minMaxInFlight = 4
	firstRetry     = 3 * time.Second  // after a failed attempt
	slowestRetry   = 60 * time.Second // its bound when it doubles
	sendsPerTurn   = 10               // repeats of an unanswered request before others get its place
)

var errNoLinks = errors.New("Links are required")

// SessionLimits are the limits of the sessions that LinkConfig.Dial makes. The answer to the GET of all mitigations under a cuid
// has them all (RFC 9132, Section 4.4.2) with up to 15 KB each: 16 MiB hold a thousand of the largest.
func SessionLimits() coap.Limits { return coap.Limits{MaxResponseBody: 16 << 20} }

// Config is what a Manager is made of.
type Config struct {
	Events Events       // required
	Links  []LinkConfig // required: at least one, with distinct names
	// HeartbeatInterval is the time between two heartbeats, in whole seconds; 0: DefaultHeartbeatInterval;
	// negative: no heartbeats.
	HeartbeatInterval time.Duration
	// MissingAllowed is how many heartbeats in a row may go unanswered; 0: DefaultMissingAllowed.
	MissingAllowed int
	// RepeatInterval is the time between two sendings of an unanswered request; 0: DefaultRepeatInterval. Less than
	// 3 s is for tests.
	RepeatInterval time.Duration
	// PollInterval is the time between two GETs of a list of which nothing else is heard; 0: DefaultPollInterval.
	PollInterval time.Duration
	// MaxInFlight bounds the requests of an uplink that wait for an answer; 0: DefaultMaxInFlight; at least 4.
	MaxInFlight int
	// Unpaced lets requests go as soon as there is room for them in flight, whatever the round-trip time. It is for the lab.
	Unpaced bool
	// DialTimeout bounds an attempt to make a session; 0: DefaultDialTimeout.
	DialTimeout time.Duration
	Backoff     Backoff          // zero fields are defaults
	Logger      *slog.Logger     // nil: nothing is logged
	Meter       Meter            // nil: nothing is counted
	Now         func() time.Time // nil: time.Now
	Rand        func() float64   // from [0, 1), safe for concurrent use; nil: math/rand
}

// LinkConfig is one uplink: a server, with Profile and Dial, or a mitigator of our own, with Mitigator.
type LinkConfig struct {
	Name    string       // required
	Profile wire.Profile // required for a server
	// Dial makes a session whose Handler is the Manager's. It is required for a server, ends when ctx does, and is called by one
	// goroutine at a time.
	Dial func(ctx context.Context) (*coap.Session, error)
	// DialTo stands in the place of Dial, and goes where it is told; with Dial, redirects are not followed and nothing gets from TCP to UDP.
	DialTo func(ctx context.Context, to Destination) (*coap.Session, error)
	// IgnoreRedirects says that redirects are reported and not followed, as with Dial.
	IgnoreRedirects bool
	// Server is the name by which a redirect to the server itself is known.
	Server string
	// ProbeUDP is the time between two attempts to get from a session over TCP to one over UDP; 0: none are made. At least LeastProbeUDP.
	ProbeUDP time.Duration
	// Mitigator stands in the place of a server.
	Mitigator Mitigator
	// StatusInterval is the time between two questions to a Mitigator how its mitigations fare; 0: DefaultStatusInterval.
	StatusInterval time.Duration
	// Session is what is wanted of the parameters of sessions: current values alone, which are brought into the server's ranges. What is
	// absent is left at its default; zero: nothing is negotiated (RFC 9132, Section 4.5). Reload changes it without another session.
	Session dots.SessionConfig
	// Where names the server, so that attempts to reach it stay apart when a Reload restarts the link; empty is a name, too.
	Where string
	// Fingerprint is whatever differs when anything of this configuration does; Reload compares it, and nothing else does.
	Fingerprint string
}

// Destination says where a session is to be made.
type Destination struct {
	// Urgent says that a mitigation is wanted: less time is given to each way before the next is tried (RFC 9132, Section 4.3).
	Urgent bool
	// Alternate is the server that a redirect names (RFC 9132, Section 4.6): it proves by its credentials that it has the name, whatever its
	// address. With an empty Server it is the one that is configured.
	Alternate dots.Redirect
	// OverUDP says that nothing but UDP is to be tried.
	OverUDP bool
	// Better, when set, may be called once after DialTo has returned a session over TCP: with one over UDP, to go on with. It does not block, and
	// owns that session.
	Better func(s *coap.Session)
}

// dialTo is how sessions are made.
func (lc LinkConfig) dialTo() func(context.Context, Destination) (*coap.Session, error) {
	if lc.DialTo != nil {
		return lc.DialTo
	}
	return func(ctx context.Context, _ Destination) (*coap.Session, error) { return lc.Dial(ctx) }
}

// Backoff spaces the attempts to make a session, measured from one beginning to the next. While an immediate
// mitigation is wanted the first attempt after a loss is made at once, the next after MinActive, doubling up to MaxActive: a server that is there
// again is found within that, however long it was away.
// While none is, the attempt after a first failure is made after MinIdle, since one lost handshake says little, and all further ones are
// Max apart (RFC 9132, Section 4.7: at least 60 s, better 300 s).
type Backoff struct {
	MinIdle   time.Duration // 0: DefaultMinIdle, which is also the least
	MinActive time.Duration // 0: DefaultMinActive
	MaxActive time.Duration // 0: DefaultMaxActive
	Max       time.Duration // 0: DefaultMax
	// Jitter is the greatest share of a wait that is added to it at random; 0: DefaultJitter; negative: none.
	Jitter float64
}

// delay is the wait between the beginnings of two attempts after n failures in a row; chance is from [0, 1).
func (b Backoff) delay(n int, active bool, chance float64) time.Duration {
	var d time.Duration
	switch {
	case active && n == 0:
		return 0
	case active:
		d = doubled(b.MinActive, b.MaxActive, n-1)
	case n <= 1:
		d = b.MinIdle
	default:
		d = max(b.Max, b.MinIdle)
	}
	return d + time.Duration(float64(d)*max(b.Jitter, 0)*chance)
}

// beside is the wait before an attempt to make a session beside one that does not answer, after n of them: under attack the first is made at
// once and further ones MinIdle apart, since each goes on for as long as a handshake may; in idle time they are spaced as all others.
func (b Backoff) beside(n int, active bool) time.Duration {
	switch {
	case active && n == 0:
		return 0
	case active:
		return b.MinIdle
	}
	return b.delay(n, false, 0)
}

// withDefaults checks the configuration and fills in what was left out.
func (c Config) withDefaults() (Config, error) {
	if err := c.check(); err != nil {
		return c, fmt.Errorf("configuring uplinks: %w", err)
	}
	c.HeartbeatInterval = cmp.Or(c.HeartbeatInterval, DefaultHeartbeatInterval)
	c.MissingAllowed = cmp.Or(c.MissingAllowed, DefaultMissingAllowed)
	c.RepeatInterval = cmp.Or(c.RepeatInterval, DefaultRepeatInterval)
	c.PollInterval = cmp.Or(c.PollInterval, DefaultPollInterval)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, DefaultMaxInFlight)
	c.DialTimeout = cmp.Or(c.DialTimeout, DefaultDialTimeout)
	c.Backoff.MinIdle = cmp.Or(c.Backoff.MinIdle, DefaultMinIdle)
	c.Backoff.MinActive = cmp.Or(c.Backoff.MinActive, DefaultMinActive)
	c.Backoff.MaxActive = cmp.Or(c.Backoff.MaxActive, DefaultMaxActive)
	c.Backoff.Max = cmp.Or(c.Backoff.Max, DefaultMax)
	c.Backoff.Jitter = cmp.Or(c.Backoff.Jitter, DefaultJitter)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Meter == nil {
		c.Meter = noMeter{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	return c, nil
}

// check reports what cannot be defaulted.
func (c Config) check() error {
	if c.Events == nil {
		return errors.New("Events are required")
	}
	if len(c.Links) == 0 {
		return errNoLinks
	}
	if c.MaxInFlight != 0 && c.MaxInFlight < minMaxInFlight {
		return fmt.Errorf("MaxInFlight is %d, the least is %d", c.MaxInFlight, minMaxInFlight)
	}
	if c.MissingAllowed < 0 || c.RepeatInterval < 0 || c.PollInterval < 0 || c.DialTimeout < 0 {
		return errors.New("a time or count is negative")
	}
	if m := c.Backoff.MinIdle; m != 0 && m < DefaultMinIdle {
		// RFC 9132, Section 4.7: attempts in idle time are at least 60 seconds apart.
		return fmt.Errorf("Backoff.MinIdle is %v, the least is %v", m, DefaultMinIdle)
	}
	return checkLinks(c.Links)
}

// checkLinks reports what is missing of an uplink, or there twice.
func checkLinks(links []LinkConfig) error {
	names := map[string]bool{}
	for i, l := range links {
		switch {
		case l.Name == "":
			return fmt.Errorf("link %d: Name is required", i)
		case names[l.Name]:
			return fmt.Errorf("link %d: the name %q is used twice", i, l.Name)
		case l.StatusInterval < 0:
			return fmt.Errorf("link %d: StatusInterval is negative", i)
		}
		if err := l.checkWays(); err != nil {
			return fmt.Errorf("link %d: %w", i, err)
		}
		names[l.Name] = true
	}
	return nil
}

// checkWays reports whether it is said who makes the link's sessions.
func (lc LinkConfig) checkWays() error {
	dials := lc.Dial != nil || lc.DialTo != nil
	switch {
	case lc.Mitigator != nil && (lc.Profile != nil || dials):
		return errors.New("a Mitigator has no Profile, Dial and DialTo")
	case lc.Mitigator == nil && (lc.Profile == nil || !dials):
		return errors.New("both Profile and Dial or DialTo are required, or Mitigator")
	case lc.Dial != nil && lc.DialTo != nil:
		return errors.New("there are both Dial and DialTo")
	case lc.ProbeUDP != 0 && lc.ProbeUDP < LeastProbeUDP:
		return fmt.Errorf("the least ProbeUDP is %v, not %v", LeastProbeUDP, lc.ProbeUDP)
	}
	return nil
}

// timing is what a plan needs of the configuration.
func (c Config) timing() timing {
	return timing{retryMin: firstRetry, retryMax: slowestRetry, again: c.RepeatInterval / 2, poll: c.PollInterval}
}

// turn is how long an unanswered request keeps its place: ten sendings and half an interval, so that with the other
// half before its next turn sendings stay one interval apart.
func (c Config) turn() time.Duration { return (sendsPerTurn-1)*c.RepeatInterval + c.RepeatInterval/2 }
