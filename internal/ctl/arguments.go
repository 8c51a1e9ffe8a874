package ctl

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/spf13/cobra"
)

// wanted are the flags of mitigate.
type wanted struct {
	mid       string
	prefixes  []string
	ports     []string
	protocols []string
	fqdns     []string
	uris      []string
	aliases   []string
	lifetime  int64
	onLoss    bool
	stay      bool
}

func (w *wanted) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&w.mid, "mid", "", "the mitigation's number (default: one more than the largest known)")
	// Not StringSlice: it reads CSV, of which all after the first line would be lost without a word.
	f.StringArrayVar(&w.prefixes, "prefix", nil, "target prefixes or addresses, with commas or spaces between; may be repeated")
	f.StringArrayVar(&w.ports, "port", nil, "target ports or ranges, such as 443,8000-8080; may be repeated")
	f.StringArrayVar(&w.protocols, "protocol", nil, "target protocols: numbers, tcp, udp or icmp; may be repeated")
	f.StringArrayVar(&w.fqdns, "fqdn", nil, "target names, with commas or spaces between; may be repeated")
	f.StringArrayVar(&w.uris, "uri", nil, "target URIs, with spaces between; may be repeated")
	f.StringArrayVar(&w.aliases, "alias", nil, "names of targets that the server knows; may be repeated")
	f.Int64Var(&w.lifetime, "lifetime", int64(dots.DefaultLifetime), "seconds, or -1 for no end")
	f.BoolVar(&w.onLoss, "on-signal-loss", false, "start the mitigation only when the session is lost; needs --stay")
	f.BoolVar(&w.stay, "stay", false, "hold the session and its heartbeats until Ctrl-C")
}

// request makes the request that the flags ask for, without its mid. Every error is a wrong use.
func (w *wanted) request() (dots.Request, error) {
	r := dots.Request{OnSignalLoss: w.onLoss}
	if w.onLoss && !w.stay {
		return r, fmt.Errorf("%w: --on-signal-loss needs --stay: without a session that is held, its end would start the mitigation", ErrUsage)
	}
	life := dots.Lifetime(w.lifetime)
	if !life.Valid() {
		return r, fmt.Errorf("%w: a lifetime is from 1 to %d seconds, or -1", ErrUsage, uint32(math.MaxUint32))
	}
	r.Lifetime = dots.Some(life)
	if err := w.target(&r.Target); err != nil {
		return r, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if r.Target.Empty() {
		return r, fmt.Errorf("%w: nothing to protect: name a --prefix, --fqdn, --uri or --alias", ErrUsage)
	}
	return r, nil
}

func (w *wanted) target(t *dots.Target) error {
	return cmp.Or(
		each(flagValues{name: "prefix", values: w.prefixes}, parsePrefix, &t.Prefixes),
		each(flagValues{name: "port", values: w.ports}, parsePorts, &t.Ports),
		each(flagValues{name: "protocol", values: w.protocols}, parseProtocol, &t.Protocols),
		each(flagValues{name: "fqdn", values: w.fqdns}, asItIs, &t.FQDNs),
		each(flagValues{name: "uri", values: w.uris, commas: true}, asItIs, &t.URIs),
		each(flagValues{name: "alias", values: w.aliases}, asItIs, &t.Aliases),
	)
}

// parsePrefix reads a prefix, or an address as the prefix that holds it alone.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("prefix %q: not an address, nor a prefix such as 192.0.2.0/24", s)
	}
	if p != p.Masked() {
		return p, fmt.Errorf("prefix %q has bits beyond its length: did you mean %s?", s, p.Masked())
	}
	return p, nil
}

func parsePorts(s string) (dots.PortRange, error) {
	low, high, isRange := strings.Cut(s, "-")
	if !isRange {
		high = low
	}
	l, err1 := strconv.ParseUint(low, 10, 16)
	h, err2 := strconv.ParseUint(high, 10, 16)
	if err1 != nil || err2 != nil || l > h {
		return dots.PortRange{}, fmt.Errorf("port %q: not a port from 0 to 65535, nor a range such as 8000-8080", s)
	}
	return dots.PortRange{Lower: uint16(l), Upper: uint16(h)}, nil
}

func parseProtocol(s string) (uint8, error) {
	switch strings.ToLower(s) {
	case "icmp":
		return 1, nil
	case "tcp":
		return 6, nil
	case "udp":
		return 17, nil
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("protocol %q: not a number from 0 to 255, nor tcp, udp or icmp", s)
	}
	return uint8(n), nil
}

func parseMID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%w: mid %q is not a number from 0 to %d", ErrUsage, s, uint32(math.MaxUint32))
	}
	return uint32(n), nil
}

// oneMID reads the arguments of a command that needs a mid.
func oneMID(args []string) (uint32, error) {
	if len(args) != 1 {
		return 0, fmt.Errorf("%w: which mitigation? one MID is needed", ErrUsage)
	}
	return parseMID(args[0])
}

// maybeMID reads the arguments of a command that takes a mid, or none.
func maybeMID(args []string) (dots.Maybe[uint32], error) {
	if len(args) == 0 {
		return dots.Maybe[uint32]{}, nil
	}
	mid, err := oneMID(args)
	return dots.Maybe[uint32]{Value: mid, Set: err == nil}, err
}
