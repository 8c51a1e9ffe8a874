package downstream

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// SessionLimits returns the limits of sessions that are to be attached: the defaults, without the pacing of
// notifications, because the Server paces them itself (Config.MinNotifyGap) and the state would be older for it.
func SessionLimits() coap.Limits { return coap.Limits{NotifyInterval: -1} }

// Config is what a Server is made of.
type Config struct {
	// Core decides about mitigations. Required.
	Core Core
	// Profiles are the dialects spoken, the default one first. Required. Which of them a session may use is said by Attach.
	Profiles []wire.Profile
	// NodeID is our own identifier in a 5.08: a name, an alias or an address. Required; no spaces, at most dots.MaxDiagnostic
	// bytes (RFC 8768, Section 4).
	NodeID string
	// InitialHopLimit is the Hop-Limit of a request that came without one, 1 to 255. Zero: 16 (RFC 8768, Section 3).
	InitialHopLimit uint8
	// Session holds the session parameters: in Current what is in force until a client negotiates, in Min and Max the
	// accepted range. What is left out is taken from DefaultSession. The heartbeats of the Server follow it.
	Session dots.SessionConfig
	// SessionMaxAge is how long, in seconds, a client may take a configuration as fresh. Zero: 3600.
	SessionMaxAge uint32
	// EndUnrefreshed ends sessions whose client lets what it has negotiated become stale: it has not asked for it again for SessionMaxAge. Never while it has
	// an active mitigation. The zero value ends none (RFC 9132, Section 4.5.3: a server may).
	EndUnrefreshed bool
	// RetryAfter is the Max-Age of a 5.03 that names none. Zero: 30 s.
	RetryAfter time.Duration
	// MaxObserversPerClient bounds the observations of a client entry, over all its sessions. Zero: 64.
	// When it is full, a registration takes the place of an older one of the same resource by the same session;
	// any other is answered as a plain GET, without an Observe option (RFC 7641, Section 4.1).
	MaxObserversPerClient int
	// MaxHeartbeats bounds how many heartbeats of ours await an answer at a time. Zero: 1024. When it is full, further
	// ones are left out until they are due again.
	MaxHeartbeats int
	// MaxObservers is the bound of one client entry, and overrides MaxObserversPerClient where it is positive; it does not block.
	// Nil: there are no such bounds.
	MaxObservers func(client string) int
	// MaxSessionsPerClient bounds the sessions of one client entry. When there is one more, the oldest is closed. Zero: no bound.
	MaxSessionsPerClient int
	// Unicast are this node's own addresses, to which sessions of anycast listeners are sent. Empty: there are none such.
	Unicast []netip.Addr
	// UnicastName is the name in this node's certificate, by which a client that was sent on checks it. Empty: NodeID, which must
	// be such a name then.
	UnicastName string
	// NotifyInterval is the time between two notifications of an unchanged mitigation while it is active. Zero: 60 s.
	NotifyInterval time.Duration
	// MinNotifyGap is the least time between two notifications to one observer. Zero: 3 s (RFC 9132, Section 4.4.2.1).
	MinNotifyGap time.Duration
	// DomainOf names the domain of a client entry, for redirections; it does not block. Nil: nobody is of one.
	DomainOf func(client string) string
	// TrustedGateway tells whether a client entry is a gateway that may supply a cdid; it does not block. Nil: none is.
	TrustedGateway func(client string) bool
	// Believed says whether what a session's peer has proven is believed still: nil, or why not; it does not block. It is asked when a session
	// begins and after a change of the configuration. Nil: everything is.
	Believed func(coap.Identity) error
	// Shed says that GETs are to be refused for now, with 5.03; it counts what it refuses, and does not block. Heartbeats, requests for
	// mitigations, withdrawals and notifications are none of its business. Nil: never.
	Shed func() bool
	// Logger takes one line per refusal and per change of a session. Nil: nothing is logged.
	Logger *slog.Logger
	// Meter counts. Nil: nothing is counted.
	Meter Meter
	// Random returns numbers in [0, 1) that spread the heartbeats of many sessions. Nil: rand.Float64.
	Random func() float64
	// Now is the clock of all decisions. Nil: time.Now.
	Now func() time.Time
}

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	c.InitialHopLimit = cmp.Or(c.InitialHopLimit, 16)
	c.SessionMaxAge = cmp.Or(c.SessionMaxAge, 3600)
	c.RetryAfter = cmp.Or(c.RetryAfter, 30*time.Second)
	c.MaxObserversPerClient = cmp.Or(c.MaxObserversPerClient, 64)
	c.MaxHeartbeats = cmp.Or(c.MaxHeartbeats, 1024)
	c.NotifyInterval = cmp.Or(c.NotifyInterval, time.Minute)
	c.MinNotifyGap = cmp.Or(c.MinNotifyGap, 3*time.Second)
	c.Session.Mitigating = fillSet(c.Session.Mitigating)
	c.Session.Idle = fillSet(c.Session.Idle)
	if c.TrustedGateway == nil {
		c.TrustedGateway = func(string) bool { return false }
	}
	if c.DomainOf == nil {
		c.DomainOf = func(string) string { return "" }
	}
	if c.Believed == nil {
		c.Believed = func(coap.Identity) error { return nil }
	}
	if c.Shed == nil {
		c.Shed = func() bool { return false }
	}
	if c.MaxObservers == nil {
		c.MaxObservers = func(string) int { return 0 }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Meter == nil {
		c.Meter = noMeter{}
	}
	if c.Random == nil {
		c.Random = rand.Float64
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// check returns every fault of a config whose defaults are filled in.
func (c Config) check() error {
	var faults []error
	if c.Core == nil {
		faults = append(faults, errors.New("core is required"))
	}
	if len(c.Profiles) == 0 {
		faults = append(faults, errors.New("at least one profile is required"))
	}
	// RFC 8768, Section 4: the identifier contains no space.
	if c.NodeID == "" || len(c.NodeID) > dots.MaxDiagnostic || strings.ContainsAny(c.NodeID, " \t\r\n") {
		faults = append(faults, fmt.Errorf("node id %q is empty, has a space, or is too long", c.NodeID))
	}
	if c.RetryAfter < time.Second || c.NotifyInterval <= 0 || c.MinNotifyGap <= 0 {
		faults = append(faults, errors.New("a time is too short or negative"))
	}
	if c.MaxObserversPerClient < 0 || c.MaxHeartbeats < 0 {
		faults = append(faults, errors.New("a limit is negative"))
	}
	faults = append(faults, checkSet("mitigating", c.Session.Mitigating), checkSet("idle", c.Session.Idle))
	return errors.Join(faults...)
}
