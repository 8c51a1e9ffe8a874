package policy

import (
	"net/netip"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// OverlapRule says what happens when two clients of a domain ask for overlapping targets.
type OverlapRule string

// The overlap rules.
const (
	OverlapMerge     OverlapRule = "merge"      // both stand; where they share a cuid upstream they share legs
	OverlapKeepBoth  OverlapRule = "keep-both"  // both stand with legs of their own: only where each client has its own cuid upstream
	OverlapRejectNew OverlapRule = "reject-new" // the later request is refused, both clients are told
)

// Strategy says which of a domain's uplinks are asked.
type Strategy string

// The strategies. An uplink that drains is asked for nothing new, and left as soon as another one stands.
const (
	// StrategyFailover asks the first that has a session. What stands stays where it is while that one has a session.
	StrategyFailover Strategy = "failover"
	// StrategySerial is StrategyFailover that goes on to the next also where one refuses or is exceeded; one acts at a time, so
	// that they divert nothing from each other (RFC 8811, Section 2.3).
	StrategySerial Strategy = "serial"
	// StrategyPartition sends each prefix to the uplink that owns it, and what none owns to the first that owns nothing and
	// has a session; where there is none that owns nothing it is refused (RFC 9284, Section 5). That a prefix goes to nobody but its owner holds of
	// every strategy.
	StrategyPartition Strategy = "partition"
	// StrategyAll asks every uplink, each for what it may be asked for.
	StrategyAll Strategy = "all"
)

// DNSRule says what happens to a name that could not be resolved.
type DNSRule string

// The rules for a failed resolution.
const (
	DNSRefuse DNSRule = "refuse" // 5.03 with Max-Age
	DNSAllow  DNSRule = "allow"  // owning the name is enough
)

// CUIDMode says which of our clients share a cuid at an uplink.
type CUIDMode string

// The modes.
const (
	CUIDAggregate CUIDMode = "aggregate"  // one cuid for all
	CUIDPerDomain CUIDMode = "per-domain" // one for each domain
	CUIDPerClient CUIDMode = "per-client" // one for each client entry and cuid of it
)

// Built-in values of Defaults.
const (
	DefaultMaxMitigations = 256
	DefaultMaxCUIDs       = 16
	DefaultMaxNames       = 32
	DefaultRetryAfter     = 30 * time.Second
	DefaultRecursionLow   = 0.7
	DefaultRecursionHold  = 5 * time.Minute
)

// Config is what the operator says. New checks it and keeps no reference to it.
type Config struct {
	Domains  []Domain // may be empty: then nobody may ask for anything
	Uplinks  []Uplink // at least one
	Farms    []Farm
	Classes  []Class
	Defaults Defaults
}

// Farm is one logical uplink of several servers: each client is at one of them, and goes to the next when that one is gone or drains.
type Farm struct {
	Name    string   // required; not the name of an uplink
	Members []string // names of uplinks, at least one; an uplink is in one farm at most
}

// Class is a kind of clients, with limits that go before the domain's.
type Class struct {
	Name   string // required, unique
	Guest  bool   // may not ask for mitigations: 4.01
	Limits Limits
}

// Mapping is a translation of addresses: what a domain's clients call Inside is Outside for everybody else. Both have the same
// number of addresses and, where ports are translated, of ports. Two mappings may have an address in common, inside or outside, only
// where both have ports there, and different ones. In a domain with mappings what none maps cannot be asked for.
type Mapping struct {
	Inside, Outside netip.Prefix
	// InsidePorts and OutsidePorts are equally long; both zero: ports stay as they are.
	InsidePorts, OutsidePorts dots.PortRange
}

// Recursion says when a request goes on from the local mitigators to the domain's uplinks (RFC 8811, Section 3.2.3).
type Recursion struct {
	// OnExceeded: when a local mitigator reports status 4. The thresholds below go together with it; 0: not watched.
	OnExceeded     bool
	PktsPerSecond  uint64 // of one mitigation, as the local mitigators count
	BytesPerSecond uint64
	Mitigations    int // live mitigations of the domain
	// Low is the share of a threshold, from 0 to 1, that must be gone under for Hold before the uplinks are let go again; 0: DefaultRecursionLow.
	Low  float64
	Hold time.Duration // 0: DefaultRecursionHold
}

// Defaults are the limits of every domain that sets none of its own.
type Defaults struct {
	MaxLifetime               dots.Lifetime // seconds; a longer finite one is cut to it; 0: no bound
	AllowIndefinite           bool          // grant lifetime -1 as asked; else DefaultGrantForIndefinite
	DefaultGrantForIndefinite dots.Lifetime // seconds, at most MaxLifetime; 0: dots.DefaultLifetime
	MaxMitigations            int           // live mitigations of a client entry; 0: DefaultMaxMitigations
	MaxCUIDs                  int           // cuids of a client entry; 0: DefaultMaxCUIDs
	MaxNames                  int           // names to resolve in one request; 0: DefaultMaxNames
	RetryAfter                time.Duration // Max-Age of a 5.03 of ours, whole seconds; 0: DefaultRetryAfter
}

// Limits override Defaults for a domain. What is not set is taken from Defaults.
type Limits struct {
	MaxLifetime               dots.Maybe[dots.Lifetime]
	AllowIndefinite           dots.Maybe[bool]
	DefaultGrantForIndefinite dots.Maybe[dots.Lifetime]
	MaxMitigations            dots.Maybe[int]
	MaxCUIDs                  dots.Maybe[int]
	MaxObservers              dots.Maybe[int] // observations of a client entry at a time; not set: no bound of policy's
	RequestsPerMinute         dots.Maybe[int] // new requests of a client entry, as many at once; not set: no bound
	NewCUIDsPerHour           dots.Maybe[int] // of a client entry; not set: no bound
}

// Domain is an administrative domain: what it owns and who may speak for it (RFC 9132, Section 4.4.1).
type Domain struct {
	Name     string         // required, unique
	Prefixes []netip.Prefix // at least one, without host bits; no two domains may own overlapping ones
	Names    []string       // owns the name and its subdomains; every address of them must lie in Prefixes
	// URIs are owned by prefix: scheme, host, optional port and optional path. Addresses are checked as for Names.
	URIs    []string
	Aliases map[string]dots.Target // usable by every client of the domain; targets must be the domain's own
	Clients []ClientEntry
	// Uplinks names uplinks and farms in the order of preference; may be empty when there is just one uplink or farm.
	Uplinks  []string
	Strategy Strategy // empty: StrategyFailover
	// Mitigators names uplinks that mitigate for the domain itself, in the order of preference; DOTS servers and farms may be among them. They
	// are asked first, and Uplinks by Recursion or where all of them refused or are down.
	Mitigators []string
	Recursion  Recursion
	NAT        []Mapping
	// Consult: an AAA server has the last word on new requests. Of refreshes that change nothing it is not asked, nor of efficacy updates and
	// renewals: what is under attack does not hang on it.
	Consult      bool
	OnOverlap    OverlapRule // empty: OverlapMerge
	OnDNSFailure DNSRule     // empty: DNSRefuse
	Limits       Limits
}

// ClientEntry is a configured client. It has at least one credential, so that a renewal changes nothing.
type ClientEntry struct {
	Name           string     // required, unique over all domains
	CertNames      []string   // names of its certificates, compared without case
	SPKIs          [][32]byte // SHA-256 of its public keys
	PSKIdentities  []string   // compared byte by byte
	Guest          bool       // may not ask for mitigations: 4.01
	Class          string     // one of Classes; empty: none
	TrustedGateway bool       // may supply cdid (RFC 9132, Section 4.4.1.2)
}

// Uplink is an upstream server or farm, as far as policy is concerned.
type Uplink struct {
	Name     string   // required, unique
	CUIDMode CUIDMode // empty: CUIDAggregate
	// RelayOptional lists comprehension-optional keys that travel on to this uplink as they came. Empty: none does,
	// because raw attributes would bypass translation and hiding.
	RelayOptional []uint64
	// CDID: the identifier of the client's credential is inserted; needs CUIDPerClient, since one cannot speak for many
	// (RFC 9132, Section 4.4.1.2).
	CDID bool
	// Prefixes were assigned by this uplink's provider: they are asked of this uplink and of no other (RFC 9284, Section 5).
	Prefixes []netip.Prefix
	// Local marks a local mitigator: its legs stay until the active-but-terminating period ends.
	Local bool
	// Leaving: it is not configured any more, and known until nothing stands there: no domain may name it, and what it was asked for goes
	// elsewhere and ends there.
	Leaving bool
}

// FieldError says what is wrong with one field of a Config. New returns all of them joined (errors.Join), so that a
// caller can walk them by Unwrap() []error.
type FieldError struct {
	// Path names the field in the words of the configuration file, such as
	// domains[0].clients[1].credentials.cert_names[0]. An alias is domains[0].aliases.NAME.
	Path  string
	Cause string // what is wrong
	Fix   string // what to do
}

// Error returns path, cause and fix in one line.
func (e *FieldError) Error() string { return e.Path + ": " + e.Cause + "; " + e.Fix }
