package policy

import (
	"net/netip"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// OverlapRule says what happens when two clients of a domain ask for overlapping targets.
type OverlapRule string

// The overlap rules. Only OverlapRejectNew is available now; New names the others as not available yet.
const (
	OverlapRejectNew OverlapRule = "reject-new" // the later request is refused, both clients are told
	OverlapMerge     OverlapRule = "merge"
	OverlapKeepBoth  OverlapRule = "keep-both"
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
)

// Config is what the operator says. New checks it and keeps no reference to it.
type Config struct {
	Domains  []Domain // may be empty: then nobody may ask for anything
	Uplinks  []Uplink // at least one
	Defaults Defaults
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
	Uplink  string // may be empty when there is just one uplink
	// OnOverlap is OverlapRejectNew; empty means the same.
	OnOverlap    OverlapRule
	OnDNSFailure DNSRule // empty: DNSRefuse
	Limits       Limits
}

// ClientEntry is a configured client. It has at least one credential, so that a renewal changes nothing.
type ClientEntry struct {
	Name           string     // required, unique over all domains
	CertNames      []string   // names of its certificates, compared without case
	SPKIs          [][32]byte // SHA-256 of its public keys
	PSKIdentities  []string   // compared byte by byte
	Guest          bool       // may not ask for mitigations: 4.01
	TrustedGateway bool       // may supply cdid (RFC 9132, Section 4.4.1.2)
}

// Uplink is an upstream server or farm, as far as policy is concerned.
type Uplink struct {
	Name     string   // required, unique
	CUIDMode CUIDMode // empty: CUIDAggregate
	// RelayOptional lists comprehension-optional keys that travel on to this uplink as they came. Empty: none does,
	// because raw attributes would bypass translation and hiding.
	RelayOptional []uint64
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
