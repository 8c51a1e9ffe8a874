package resolve

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Transport says how the servers are reached.
type Transport string

// The transports. DoT is DNS over TLS (RFC 7858).
const (
	UDP Transport = "udp" // and TCP for what does not fit a datagram
	TCP Transport = "tcp"
	DoT Transport = "dot"
)

// Config of a Resolver. The zero Config asks the servers of the system over UDP.
type Config struct {
	// Server is the host:port of the recursive resolver to ask. Empty: the servers of SystemFile, one after the
	// other, on port 53, or 853 for DoT.
	Server string

	// SystemFile is read when Server is empty. Empty: /etc/resolv.conf.
	SystemFile string

	// Transport is UDP when empty.
	Transport Transport

	// TLSName is the name or address that the server's certificate must have, for DoT. Empty: the host of the
	// server.
	TLSName string

	// CAFile is a PEM file of the authorities to trust, for DoT. Empty: those of the system.
	CAFile string

	// RequireAD accepts only answers that the server says it has validated with DNSSEC. The server is believed, so
	// the way to it must be safe: DoT, or a server on this host.
	RequireAD bool

	// Timeout of one try. Zero: 2 s.
	Timeout time.Duration

	// CacheSize is the number of names kept; the one not used for the longest time makes room. Zero: 4096.
	CacheSize int

	// MinTTL and MaxTTL bound how long a finding is kept and said to hold, whatever its zone says. Zero: 5 s and
	// 1 h.
	MinTTL, MaxTTL time.Duration

	// MaxConcurrent is how many lookups may ask servers at the same time; more wait. Zero: 64.
	MaxConcurrent int

	// Static holds names that are answered from here, whatever the DNS says of them. May be nil.
	Static map[string][]netip.Addr

	// Now tells the time, for the age of what is kept. Nil: time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	setDefault(&c.SystemFile, "/etc/resolv.conf")
	setDefault(&c.Transport, UDP)
	setDefault(&c.Timeout, 2*time.Second)
	setDefault(&c.CacheSize, 4096)
	setDefault(&c.MinTTL, 5*time.Second)
	setDefault(&c.MaxTTL, time.Hour)
	setDefault(&c.MaxConcurrent, 64)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) check() error {
	if c.Transport != UDP && c.Transport != TCP && c.Transport != DoT {
		return fmt.Errorf("transport %q is none of udp, tcp, dot", c.Transport)
	}
	if c.Transport != DoT && (c.TLSName != "" || c.CAFile != "") {
		return fmt.Errorf("a TLS name or CA file needs transport dot, not %s", c.Transport)
	}
	if c.Server != "" {
		if _, _, err := net.SplitHostPort(c.Server); err != nil {
			return fmt.Errorf("server: %w", err)
		}
	}
	return c.checkNumbers()
}

func (c Config) checkNumbers() error {
	if c.Timeout < 0 || c.CacheSize < 0 || c.MinTTL < 0 || c.MaxConcurrent < 0 {
		return errors.New("a negative number")
	}
	if c.MinTTL > c.MaxTTL {
		return fmt.Errorf("the least time to live, %v, is above the largest, %v", c.MinTTL, c.MaxTTL)
	}
	return nil
}

func staticNames(names map[string][]netip.Addr) (map[string][]netip.Addr, error) {
	static := make(map[string][]netip.Addr, len(names))
	for name, addresses := range names {
		checked, err := CheckName(name)
		if err != nil {
			return nil, fmt.Errorf("static name: %w", err)
		}
		if len(addresses) == 0 {
			return nil, fmt.Errorf("static name %s: no addresses", checked)
		}
		static[checked] = sorted(slices.Clone(addresses))
	}
	return static, nil
}

// sorted sorts the addresses in place and takes out repeats.
func sorted(addresses []netip.Addr) []netip.Addr {
	slices.SortFunc(addresses, netip.Addr.Compare)
	return slices.Compact(addresses)
}
