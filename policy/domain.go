package policy

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/gaissmai/bart"

	"github.com/dotsgate/dotsgate/dots"
)

// domain is a Domain made ready for questions. It is not changed after New.
type domain struct {
	name     string
	prefixes bart.Lite // aggregated, so that two halves cover their whole
	names    nameSet
	uris     uriSet
	aliases  map[string]dots.Target
	route    route
	nat      *translator // nil: what clients call an address is what everybody does
	onDNS    DNSRule
	overlap  OverlapRule
	consult  bool
	watch    Recursion // complete
	limits   limits    // of a client without a class
}

// ownsPrefix reports whether every address of a prefix without host bits is the domain's. Addresses of IPv4 written as IPv6 are
// another family here and belong to nobody, as New lets nobody own them.
func (d *domain) ownsPrefix(p netip.Prefix) bool { return p.IsValid() && d.prefixes.LookupPrefix(p) }

// ownsAddress reports whether an address is the domain's.
func (d *domain) ownsAddress(a netip.Addr) bool {
	return a.IsValid() && a.Zone() == "" && d.prefixes.Contains(a)
}

// ownsURI reports whether a URI is the domain's by its host or by its prefix. An address in it must be the domain's in any case.
func (d *domain) ownsURI(u uri) bool {
	if u.addr.IsValid() {
		return d.ownsAddress(u.addr)
	}
	return d.names.covers(u.host) || d.uris.covers(u)
}

// limits are the limits that hold for a domain, complete.
type limits struct {
	maxLifetime     dots.Lifetime // 0: no bound
	indefinite      bool
	indefiniteGrant dots.Lifetime
	maxMitigations  int
	maxCUIDs        int
	maxNames        int
	retryAfter      time.Duration
	maxObservers    int // 0: no bound
	rates           Rates
}

// newLimits completes limits from the defaults and the built-in values.
func newLimits(d Defaults, l Limits) limits {
	r := limits{
		maxLifetime:     l.MaxLifetime.Or(d.MaxLifetime),
		indefinite:      l.AllowIndefinite.Or(d.AllowIndefinite),
		indefiniteGrant: cmp.Or(l.DefaultGrantForIndefinite.Or(d.DefaultGrantForIndefinite), dots.DefaultLifetime),
		maxMitigations:  cmp.Or(l.MaxMitigations.Or(d.MaxMitigations), DefaultMaxMitigations),
		maxCUIDs:        cmp.Or(l.MaxCUIDs.Or(d.MaxCUIDs), DefaultMaxCUIDs),
		maxNames:        cmp.Or(d.MaxNames, DefaultMaxNames),
		retryAfter:      cmp.Or(d.RetryAfter, DefaultRetryAfter),
		maxObservers:    l.MaxObservers.Value,
		rates:           Rates{RequestsPerMinute: l.RequestsPerMinute.Value, NewCUIDsPerHour: l.NewCUIDsPerHour.Value},
	}
	if r.maxLifetime != 0 {
		r.indefiniteGrant = min(r.indefiniteGrant, r.maxLifetime)
	}
	return r
}

// over returns limits of which those that are set go before those of o.
func (l Limits) over(o Limits) Limits {
	return Limits{
		MaxLifetime: either(l.MaxLifetime, o.MaxLifetime), AllowIndefinite: either(l.AllowIndefinite, o.AllowIndefinite),
		DefaultGrantForIndefinite: either(l.DefaultGrantForIndefinite, o.DefaultGrantForIndefinite),
		MaxMitigations:            either(l.MaxMitigations, o.MaxMitigations), MaxCUIDs: either(l.MaxCUIDs, o.MaxCUIDs),
		MaxObservers: either(l.MaxObservers, o.MaxObservers), RequestsPerMinute: either(l.RequestsPerMinute, o.RequestsPerMinute),
		NewCUIDsPerHour: either(l.NewCUIDsPerHour, o.NewCUIDsPerHour),
	}
}

// either returns a where it is set, else b.
func either[T any](a, b dots.Maybe[T]) dots.Maybe[T] {
	if a.Set {
		return a
	}
	return b
}

// grant returns the lifetime that is granted.
//
// RFC 9132, Section 4.4.1: a server may grant less than asked, and may refuse an indefinite lifetime by granting a finite one.
func (l limits) grant(asked dots.Lifetime) dots.Lifetime {
	switch {
	case asked == dots.Indefinite && l.indefinite:
		return asked
	case asked == dots.Indefinite:
		return l.indefiniteGrant
	case l.maxLifetime != 0:
		return min(asked, l.maxLifetime)
	}
	return asked
}
