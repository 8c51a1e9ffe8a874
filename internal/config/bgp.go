package config

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// BGP is a gobgpd that announces routes.
type BGP struct {
	Address       string // host:port, or unix:///PATH
	API           string // "v3" or "v4"; empty: what it understands
	CA, Cert, Key string // PEM files; all empty: without TLS
	Timeout       time.Duration
	Mode          string // "blackhole" or "flowspec"
	Communities   []string
	Marker        string     // empty: made of the names of the node and of the mitigator
	NextHop4      netip.Addr // not valid: gobgpd's own
	NextHop6      netip.Addr
	MinLength4    int
	MinLength6    int
	Action        string // "discard", "rate" or "redirect"
	Rate          uint64 // bytes per second
	RedirectTo    string
	MaxPerLeg     int
	MaxRoutes     int
}

// Defaults of bgp.
const (
	defaultGoBGP      = "127.0.0.1:50051"
	defaultBGPTimeout = 5 * time.Second
	defaultMinLength4 = 24
	defaultMinLength6 = 48
	defaultMaxPerLeg  = 100
	defaultMaxRoutes  = 1000
)

// bgp checks how routes are announced.
func (b *builder) bgp(at string, f fileBGP) *BGP {
	g := &BGP{
		Address: f.Address, Communities: f.Communities, Marker: f.Marker, Rate: f.Rate, RedirectTo: f.RedirectTo,
		CA: b.path(f.CA), Cert: b.path(f.Cert), Key: b.path(f.Key),
		API:        b.oneOf(at+".api", f.API, "", "v3", "v4"),
		Timeout:    b.duration(at+".timeout", f.Timeout, span{defaultBGPTimeout, 100 * time.Millisecond, time.Minute}),
		Mode:       b.oneOf(at+".mode", f.Mode, "", "blackhole", "flowspec"),
		Action:     b.oneOf(at+".action", f.Action, "discard", "discard", "rate", "redirect"),
		MinLength4: b.number(at+".min_length4", f.MinLength4, defaultMinLength4, 32),
		MinLength6: b.number(at+".min_length6", f.MinLength6, defaultMinLength6, 128),
		MaxPerLeg:  b.number(at+".max_per_leg", f.MaxPerLeg, defaultMaxPerLeg, 100_000),
		MaxRoutes:  b.number(at+".max_routes", f.MaxRoutes, defaultMaxRoutes, 1_000_000),
	}
	if f.Mode == "" {
		b.add(at+".mode", missing, "use blackhole or flowspec")
	}
	b.speaker(at, g)
	b.attributes(at, f, g)
	b.action(at, g)
	return g
}

// number reads a number from 1 on.
func (b *builder) number(path string, n *int, def, high int) int {
	if n == nil {
		return def
	}
	b.between(path, *n, 1, high)
	return *n
}

// speaker checks how gobgpd is reached: unprotected on this machine only, since whoever speaks to it withdraws any route.
func (b *builder) speaker(at string, g *BGP) {
	if g.Address == "" {
		g.Address = defaultGoBGP
	}
	unix := strings.HasPrefix(g.Address, "unix:///")
	if !unix {
		b.address(at+".address", g.Address, false)
	}
	host, _, err := net.SplitHostPort(g.Address)
	switch {
	case g.CA != "":
		if text := b.file(at+".ca", g.CA, ""); text != nil {
			b.authorities(at+".ca", text)
		}
		if g.Cert+g.Key != "" {
			b.pair(at, g.Cert, g.Key)
		}
	case g.Cert+g.Key != "":
		b.add(at+".cert", "without ca the API is not protected", "give ca, too")
	case !unix && err == nil && host != "" && !loopbackHost(host):
		b.add(at+".address", "another host, and the API is not protected", "give ca, or use a gobgpd on this machine")
	}
}

// attributes checks what goes with a route.
func (b *builder) attributes(at string, f fileBGP, g *BGP) {
	for i, c := range g.Communities {
		if !colons(c, 16, 16) && !colons(c, 32, 32, 32) {
			b.addf(fmt.Sprintf("%s.communities[%d]", at, i), "use one such as 65535:666, or a large one such as 64500:1:2", "%q is no community", c)
		}
	}
	if g.Marker != "" && !colons(g.Marker, 32, 32, 32) {
		b.addf(at+".marker", "use one such as 64500:1:2", "%q is no large community", g.Marker)
	}
	for _, hop := range []struct {
		path, text string
		to         *netip.Addr
		v4         bool
	}{{at + ".next_hop4", f.NextHop4, &g.NextHop4, true}, {at + ".next_hop6", f.NextHop6, &g.NextHop6, false}} {
		if hop.text == "" {
			continue
		}
		a, err := netip.ParseAddr(hop.text)
		if err != nil || a.Is4() != hop.v4 || a.Is4In6() || a.Zone() != "" {
			b.addf(hop.path, "use one such as 192.0.2.1 for IPv4, 100::1 for IPv6", "%q is no address of this kind", hop.text)
		}
		*hop.to = a
	}
}

// action checks what a rule does. Nothing may be set that has no effect, since it was meant to have one.
func (b *builder) action(at string, g *BGP) {
	if g.Mode == "blackhole" && g.Action != "discard" {
		b.addf(at+".action", "use mode: flowspec, or action: discard", "a blackhole cannot %s", g.Action)
		return
	}
	b.belongs(at+".rate", "action: rate", g.Action == "rate", g.Rate != 0)
	b.belongs(at+".redirect_to", "action: redirect", g.Action == "redirect", g.RedirectTo != "")
	if g.RedirectTo != "" && !routeTarget(g.RedirectTo) {
		b.addf(at+".redirect_to", "use one such as 64500:1, 192.0.2.1:1 or 4200000000:1", "%q is no route target", g.RedirectTo)
	}
}

// belongs checks a setting that goes with another one: needed there, without effect elsewhere.
func (b *builder) belongs(path, with string, needed, given bool) {
	switch {
	case needed && !given:
		b.add(path, missing, "it is needed with "+with)
	case given && !needed:
		b.add(path, "it has no effect", "use "+with+", or take it out")
	}
}

// colons reports whether a text is numbers of these sizes in bits with colons between them.
func colons(text string, bits ...int) bool {
	parts := strings.Split(text, ":")
	if len(parts) != len(bits) {
		return false
	}
	for i, p := range parts {
		if _, err := strconv.ParseUint(p, 10, bits[i]); err != nil {
			return false
		}
	}
	return true
}

// routeTarget reports whether a text is a route target: an AS number of two octets and a number of four, or an IPv4 address or an AS
// number of four octets and a number of two.
func routeTarget(text string) bool {
	admin, value, _ := strings.Cut(text, ":")
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return false
	}
	if a, err := netip.ParseAddr(admin); err == nil {
		return a.Is4() && n <= math.MaxUint16
	}
	return colons(text, 16, 32) || colons(text, 32, 16)
}
