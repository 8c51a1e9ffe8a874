package policy

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/gaissmai/bart"

	"github.com/dotsgate/dotsgate/dots"
)

// builder makes a Policy and gathers every fault on the way, so that an operator sees all of them at once.
type builder struct {
	policy *Policy
	faults []error
	defs   Defaults
	class  map[string]Class
	owned  bart.Table[string] // the domain of every prefix so far
	names  map[string]string  // the domain of every name so far
	spoken map[[2]string]bool // credentials so far, by kind and value
}

func newBuilder() *builder {
	return &builder{
		policy: &Policy{
			clients: map[string]client{}, domains: map[string]*domain{}, uplinks: map[string]uplink{},
			members: map[string][]string{}, farmOf: map[string]string{},
			byKey: map[[32]byte]string{}, byPSK: map[string]string{}, byName: map[string]string{},
			byCUID: map[string]string{},
		},
		class: map[string]Class{}, names: map[string]string{}, spoken: map[[2]string]bool{},
	}
}

// fault notes what is wrong with a field.
func (b *builder) fault(path, cause, fix string) {
	b.faults = append(b.faults, &FieldError{Path: path, Cause: cause, Fix: fix})
}

// defaults checks the limits that hold for all.
func (b *builder) defaults(d Defaults) {
	b.limits("limits", Limits{
		MaxLifetime:               dots.Maybe[dots.Lifetime]{Value: d.MaxLifetime, Set: d.MaxLifetime != 0},
		DefaultGrantForIndefinite: dots.Maybe[dots.Lifetime]{Value: d.DefaultGrantForIndefinite, Set: d.DefaultGrantForIndefinite != 0},
		MaxMitigations:            dots.Maybe[int]{Value: d.MaxMitigations, Set: d.MaxMitigations != 0},
		MaxCUIDs:                  dots.Maybe[int]{Value: d.MaxCUIDs, Set: d.MaxCUIDs != 0},
	})
	if d.MaxNames < 0 {
		b.fault("limits.max_names_in_target", "is negative", "give a number from 1 on, or leave it out")
	}
	if d.RetryAfter < 0 || d.RetryAfter%time.Second != 0 {
		b.fault("limits.retry_after", "is not a whole number of seconds", "Max-Age counts seconds: give 1s or more")
	}
}

// limits checks those limits that are set.
func (b *builder) limits(path string, l Limits) {
	for _, life := range []struct {
		name  string
		value dots.Maybe[dots.Lifetime]
	}{{"max_lifetime", l.MaxLifetime}, {"indefinite_grant", l.DefaultGrantForIndefinite}} {
		if v := life.value; v.Set && (!v.Value.Valid() || v.Value == dots.Indefinite) {
			b.fault(path+"."+life.name, fmt.Sprintf("%d is no finite lifetime", v.Value), "give seconds from 1 to 4294967295")
		}
	}
	for _, n := range []struct {
		name  string
		value dots.Maybe[int]
	}{
		{"max_mitigations", l.MaxMitigations},
		{"max_cuids", l.MaxCUIDs},
		{"max_observers", l.MaxObservers},
		{"requests_per_minute", l.RequestsPerMinute},
		{"new_cuids_per_hour", l.NewCUIDsPerHour},
	} {
		if n.value.Set && n.value.Value < 1 {
			b.fault(path+"."+n.name, fmt.Sprintf("%d is too few", n.value.Value), "give a number from 1 on, or leave it out")
		}
	}
}

// reserved returns the ranges that no domain can own: their addresses are nobody's, everybody's, or IPv4 in disguise
// (RFC 9132, Section 4.4.1: no broadcast, loopback or multicast addresses).
func reserved() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("224.0.0.0/4"),
		netip.MustParsePrefix("255.255.255.255/32"),
		netip.MustParsePrefix("::/127"), netip.MustParsePrefix("::ffff:0:0/96"), netip.MustParsePrefix("ff00::/8"),
	}
}
