package policy

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
)

// maxEntries bounds each list of a target that goes to an uplink: what a message may list at most.
const maxEntries = 1024

// Footprint is a target as uplinks are asked for it.
type Footprint struct {
	// Target holds prefixes, names, URIs, ports and protocols, no aliases.
	Target dots.Target
	// Expanded is Target with the addresses of its names.
	Expanded Expanded
}

// textual reports whether the footprint has something whose addresses the uplink finds out by itself.
func (f Footprint) textual() bool { return len(f.Expanded.Names)+len(f.Expanded.URIs) > 0 }

// soft returns the addresses that names and URIs may stand for: all that are not asked for as prefixes, and, since a name may lead to
// what is asked for beside it, too, every single address.
func (f Footprint) soft() []netip.Prefix {
	if !f.textual() {
		return nil
	}
	var found []netip.Prefix
	for _, p := range f.Expanded.Prefixes {
		if p.IsSingleIP() || !slices.Contains(f.Target.Prefixes, p) {
			found = append(found, p)
		}
	}
	return found
}

// service is which traffic to a target is meant. An empty list means all, once it is set.
type service struct {
	set       bool
	ports     []dots.PortRange // sorted, apart from each other
	protocols []uint8          // sorted
}

// serviceOf returns a target's ports and protocols.
func serviceOf(t dots.Target) service { return service{}.with(t) }

// with adds a target's ports and protocols. Where one side has all, so has the whole: nothing that was asked for is left unprotected.
func (s service) with(t dots.Target) service {
	if !s.set {
		return service{set: true, ports: apart(t.Ports), protocols: sorted(slices.Clone(t.Protocols), cmp.Compare)}
	}
	return s.or(serviceOf(t))
}

// or joins two services.
func (s service) or(o service) service {
	if !s.set || !o.set {
		if s.set {
			return s
		}
		return o
	}
	u := service{set: true}
	if len(s.ports) > 0 && len(o.ports) > 0 {
		u.ports = s.ports
		if !slices.Equal(s.ports, o.ports) {
			u.ports = apart(slices.Concat(s.ports, o.ports))
		}
	}
	if len(s.protocols) > 0 && len(o.protocols) > 0 {
		u.protocols = s.protocols
		if !slices.Equal(s.protocols, o.protocols) {
			u.protocols = sorted(slices.Concat(s.protocols, o.protocols), cmp.Compare)
		}
	}
	return u
}

// equal compares two services.
func (s service) equal(o service) bool {
	return slices.Equal(s.ports, o.ports) && slices.Equal(s.protocols, o.protocols)
}

// apart sorts ranges and joins those that overlap or follow each other. More than a message may list become all ports: an address is in
// one leg only, so that its ports cannot be spread over several.
func apart(ranges []dots.PortRange) []dots.PortRange {
	if len(ranges) == 0 {
		return nil
	}
	all := slices.Clone(ranges)
	slices.SortFunc(all, func(a, b dots.PortRange) int {
		return cmp.Or(cmp.Compare(a.Lower, b.Lower), cmp.Compare(a.Upper, b.Upper))
	})
	kept := all[:1]
	for _, r := range all[1:] {
		if last := &kept[len(kept)-1]; int(r.Lower) <= int(last.Upper)+1 {
			last.Upper = max(last.Upper, r.Upper)
			continue
		}
		kept = append(kept, r)
	}
	if len(kept) > maxEntries {
		return nil
	}
	return kept
}

// spoken are names or URIs: in normal form, and as somebody wrote them.
type spoken map[string]string

// say adds one; of several ways to write it the first in the alphabet counts, whoever comes first.
func (s spoken) say(normal, written string) {
	if was, ok := s[normal]; !ok || written < was {
		s[normal] = written
	}
}

// written lists them as they were written, in the order of their normal forms.
func (s spoken) written() []string {
	if len(s) == 0 {
		return nil
	}
	list := make([]string, 0, len(s))
	for _, k := range slices.Sorted(maps.Keys(s)) {
		list = append(list, s[k])
	}
	return list
}

// fqdnKey and uriKey return the normal form, or what is written where there is none.
func fqdnKey(s string) string {
	if n, ok := normalName(s); ok {
		return n
	}
	return s
}

func uriKey(s string) string {
	if u, ok := parseURI(s); ok {
		return u.String()
	}
	return s
}

// sameTarget reports whether two targets without aliases mean the same, however they are written and cut.
func sameTarget(a, b dots.Target) bool {
	return serviceOf(a).equal(serviceOf(b)) && sameKeys(a.FQDNs, b.FQDNs, fqdnKey) && sameKeys(a.URIs, b.URIs, uriKey) &&
		sameAddresses(outermost(masked(a.Prefixes)), outermost(masked(b.Prefixes)))
}

// sameKeys reports whether two lists have the same keys.
func sameKeys(a, b []string, key func(string) string) bool {
	if slices.Equal(a, b) {
		return true
	}
	keys := func(list []string) []string {
		out := make([]string, 0, len(list))
		for _, s := range list {
			out = append(out, key(s))
		}
		return sorted(out, strings.Compare)
	}
	return slices.Equal(keys(a), keys(b))
}
