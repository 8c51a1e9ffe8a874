package bgp

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The modes of a mitigator.
const (
	ModeBlackhole = "blackhole" // each prefix is announced with the blackhole community (RFC 7999)
	ModeFlowspec  = "flowspec"  // each prefix becomes a rule with its protocols and ports (RFC 8955)
)

// The actions of a flowspec rule (RFC 8955, Section 7).
const (
	ActionDiscard  = "discard"  // traffic-rate-bytes 0
	ActionRate     = "rate"     // traffic-rate-bytes
	ActionRedirect = "redirect" // rt-redirect
)

// The dialects of gobgpd's API.
const (
	APIv3 = "v3" // gobgpd 3
	APIv4 = "v4" // gobgpd 4
)

// Defaults of Config.
const (
	DefaultTimeout    = 5 * time.Second
	DefaultCommunity  = "65535:666" // BLACKHOLE (RFC 7999, Section 5)
	DefaultMinLength4 = 24          // RFC 7999, Section 3.3: blackholes are longer than what is routed
	DefaultMinLength6 = 48
	DefaultMaxPerLeg  = 100
	DefaultMaxRoutes  = 1000
)

// Config is what a Mitigator is made of.
type Config struct {
	Name string // required: the mitigator's name, the Uplink of its legs
	// Node is the gateway's name, required unless Marker is set. With Name it gives the marker, so that neither may change while
	// routes are announced.
	Node string
	// Address is that of gobgpd's API: "HOST:PORT", or "unix:///PATH" for a socket. Required.
	Address string
	// API is the dialect: APIv3, APIv4, or empty: the one that gobgpd understands.
	API string
	// TLS protects the API; nil: nothing does, which is for a loopback address or a socket only.
	TLS *tls.Config
	// Timeout bounds each call; 0: DefaultTimeout.
	Timeout time.Duration
	// Mode is ModeBlackhole or ModeFlowspec. Required.
	Mode string
	// Communities go with every route, as "65535:666", or "64500:1:2" for a large one. Nil: DefaultCommunity in ModeBlackhole,
	// none in ModeFlowspec.
	Communities []string
	// Marker is the large community that tells our routes from others', and those of two mitigators from each other. Empty:
	// gobgpd's AS number and 64 bits made of Node and Name.
	Marker string
	// NextHop4 and NextHop6 are next hops in ModeBlackhole, such as 192.0.2.1 or 100::1 (RFC 6666). The zero Addr: gobgpd puts its own
	// address towards each peer.
	NextHop4, NextHop6 netip.Addr
	// MinLength4 and MinLength6 are the shortest prefixes that are announced, in bits; 0: DefaultMinLength4, DefaultMinLength6.
	MinLength4, MinLength6 int
	// Action is what a flowspec rule does; empty: ActionDiscard.
	Action string
	// Rate is the limit of ActionRate, in bytes per second.
	Rate float64
	// RedirectTo is the route target of ActionRedirect, as "64500:1", "192.0.2.1:1" or "4200000000:1".
	RedirectTo string
	// MaxPerLeg bounds the routes of one leg, and MaxRoutes all that are announced at once; 0: the defaults. Beyond them a leg is
	// refused with 5.03.
	MaxPerLeg, MaxRoutes int
	Logger               *slog.Logger // nil: nothing is logged
}

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.MinLength4 = cmp.Or(c.MinLength4, DefaultMinLength4)
	c.MinLength6 = cmp.Or(c.MinLength6, DefaultMinLength6)
	c.MaxPerLeg = cmp.Or(c.MaxPerLeg, DefaultMaxPerLeg)
	c.MaxRoutes = cmp.Or(c.MaxRoutes, DefaultMaxRoutes)
	c.Action = cmp.Or(c.Action, ActionDiscard)
	if c.Communities == nil && c.Mode == ModeBlackhole {
		c.Communities = []string{DefaultCommunity}
	}
	if !c.NextHop4.IsValid() {
		c.NextHop4 = netip.IPv4Unspecified()
	}
	if !c.NextHop6.IsValid() {
		c.NextHop6 = netip.IPv6Unspecified()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// check says what is wrong with a configuration whose defaults are filled in, everything at once.
func (c Config) check() error {
	wrong := func(bad bool, format string, args ...any) error {
		if !bad {
			return nil
		}
		return fmt.Errorf(format, args...)
	}
	return errors.Join(
		wrong(c.Name == "", "name: it is empty"),
		wrong(c.Node == "" && c.Marker == "", "marker: without the node's name it must be set"),
		wrong(!slices.Contains([]string{"", APIv3, APIv4}, c.API), "api: %q is neither %s nor %s", c.API, APIv3, APIv4),
		wrong(!slices.Contains([]string{ModeBlackhole, ModeFlowspec}, c.Mode), "mode: %q is neither %s nor %s", c.Mode, ModeBlackhole, ModeFlowspec),
		wrong(c.Timeout < 0, "timeout: %v is negative", c.Timeout),
		wrong(c.MinLength4 < 1 || c.MinLength4 > 32, "min_length4: %d is not 1 to 32", c.MinLength4),
		wrong(c.MinLength6 < 1 || c.MinLength6 > 128, "min_length6: %d is not 1 to 128", c.MinLength6),
		wrong(c.MaxPerLeg < 1, "max_per_leg: %d is less than 1", c.MaxPerLeg),
		wrong(c.MaxRoutes < 1, "max_routes: %d is less than 1", c.MaxRoutes),
		wrong(!c.NextHop4.Is4(), "next_hop4: %v is not an IPv4 address", c.NextHop4),
		wrong(!c.NextHop6.Is6() || c.NextHop6.Is4In6(), "next_hop6: %v is not an IPv6 address", c.NextHop6),
		c.checkAction(),
		c.checkAddress(),
	)
}

// checkAction checks what a rule does: nothing may be set that has no effect, since it was meant to have one.
func (c Config) checkAction() error {
	switch {
	case !slices.Contains([]string{ActionDiscard, ActionRate, ActionRedirect}, c.Action):
		return fmt.Errorf("action: %q is none of %s, %s, %s", c.Action, ActionDiscard, ActionRate, ActionRedirect)
	case c.Mode != ModeFlowspec && c.Action != ActionDiscard:
		return fmt.Errorf("action: %s needs mode %s", c.Action, ModeFlowspec)
	case (c.Rate != 0) != (c.Action == ActionRate):
		return fmt.Errorf("rate: it belongs to action %s, and is required there", ActionRate)
	case c.Rate < 0 || math.IsNaN(c.Rate) || c.Rate > math.MaxFloat32:
		return fmt.Errorf("rate: %v bytes per second cannot be said in a rule", c.Rate)
	case (c.RedirectTo != "") != (c.Action == ActionRedirect):
		return fmt.Errorf("redirect_to: it belongs to action %s, and is required there", ActionRedirect)
	}
	return nil
}

// checkAddress lets an unprotected API be on this host only: whoever speaks it withdraws any route.
func (c Config) checkAddress() error {
	if network, _ := target(c.Address); network == "unix" {
		return nil
	}
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	ip, err := netip.ParseAddr(host)
	local := host == "localhost" || err == nil && ip.IsLoopback()
	if c.TLS == nil && !local {
		return fmt.Errorf("address: %s is another host, which needs TLS", c.Address)
	}
	return nil
}

// target splits the address of an API as net.Dial wants it.
func target(address string) (network, where string) {
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		return "unix", path
	}
	return "tcp", address
}
