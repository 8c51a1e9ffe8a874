package policy

import (
	"net/netip"
	"slices"

	"github.com/dotsgate/dotsgate/dots"
)

// withAliases returns a target with its aliases' values appended and the aliases cleared. An alias that the domain lacks is refused.
//
// RFC 9132, Section 4.4.1: the values of an alias are appended to those of the request; an alias that is not the client's is
// answered 4.00.
func (d *domain) withAliases(t dots.Target, why *trace) (dots.Target, *dots.Error) {
	if len(t.Aliases) == 0 {
		return t, nil
	}
	parts := make([]dots.Target, 0, len(t.Aliases)+1)
	own := t
	own.Aliases = nil
	if !own.Empty() {
		parts = append(parts, own)
	}
	for _, name := range t.Aliases {
		alias, ok := d.aliases[name]
		var err *dots.Error
		if !ok {
			err = refusal("alias-name", name, "not yours")
		}
		why.step("alias-name", result(err), func() (string, string) { return name, sayTarget(alias) })
		if err != nil {
			return dots.Target{}, err
		}
		if own.Empty() { // ports beside aliases alone go with each of them
			alias.Ports = slices.Concat(own.Ports, alias.Ports)
			alias.Protocols = slices.Concat(own.Protocols, alias.Protocols)
		}
		parts = append(parts, alias)
	}
	return union(parts), nil
}

// union appends targets to one. A part without ports means all of them, so the union has none either; the same for protocols:
// nothing that was asked for is left unprotected.
func union(parts []dots.Target) dots.Target {
	var t dots.Target
	allPorts, allProtocols := false, false
	for _, p := range parts {
		t.Prefixes = append(t.Prefixes, p.Prefixes...)
		t.FQDNs = append(t.FQDNs, p.FQDNs...)
		t.URIs = append(t.URIs, p.URIs...)
		t.Ports = append(t.Ports, p.Ports...)
		t.Protocols = append(t.Protocols, p.Protocols...)
		allPorts = allPorts || len(p.Ports) == 0
		allProtocols = allProtocols || len(p.Protocols) == 0
	}
	t.Prefixes, t.FQDNs, t.URIs = unique(t.Prefixes), unique(t.FQDNs), unique(t.URIs)
	t.Ports, t.Protocols = mergePorts(t.Ports), unique(t.Protocols)
	if allPorts {
		t.Ports = nil
	}
	if allProtocols {
		t.Protocols = nil
	}
	return t
}

// mergePorts keeps the widest of the ranges with the same lower port, because that port is the list's key
// (RFC 9132, Section 4.4.1).
func mergePorts(ranges []dots.PortRange) []dots.PortRange {
	at := make(map[uint16]int, len(ranges))
	var kept []dots.PortRange
	for _, r := range ranges {
		if i, ok := at[r.Lower]; ok {
			kept[i].Upper = max(kept[i].Upper, r.Upper)
			continue
		}
		at[r.Lower] = len(kept)
		kept = append(kept, r)
	}
	return kept
}

// unique drops repeated values and keeps the order.
func unique[T comparable](list []T) []T {
	seen := make(map[T]struct{}, len(list))
	var kept []T
	for _, v := range list {
		if _, ok := seen[v]; !ok {
			seen[v] = struct{}{}
			kept = append(kept, v)
		}
	}
	return kept
}

// masked returns prefixes without host bits. The list is copied only where one has some.
func masked(list []netip.Prefix) []netip.Prefix {
	for _, p := range list {
		if p != p.Masked() {
			out := make([]netip.Prefix, len(list))
			for j, q := range list {
				out[j] = q.Masked()
			}
			return out
		}
	}
	return list
}
