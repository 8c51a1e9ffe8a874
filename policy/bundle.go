package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// bundles returns the legs that a node becomes: one, but for what no message can list.
func (g *ground) bundles(i int) []Bundle {
	n := &g.nodes[i]
	if n.into != i || n.fixed || len(n.members) == 0 {
		return nil
	}
	n.soft = outermost(n.soft)
	n.standing, n.members = sorted(n.standing, intCompare), sorted(n.members, intCompare)
	if len(n.fqdns) > maxEntries || len(n.uris) > maxEntries {
		g.unspeak(n)
	}
	if len(n.hard) > maxEntries {
		return g.broken(n)
	}
	b := Bundle{Footprint: n.footprint(), Keeps: -1, Replaces: n.standing}
	for _, m := range n.members {
		b.Members = append(b.Members, g.shares[m].Key)
	}
	for _, k := range n.standing {
		if sameTarget(g.standing[k].Target, b.Target) {
			b.Target, b.Keeps, b.Replaces = g.standing[k].Target, k, nil
			break
		}
	}
	return []Bundle{b}
}

// footprint is what a node's leg asks for, and what it covers.
func (n *node) footprint() Footprint {
	e := Expanded{
		Prefixes: slices.Concat(n.hard, n.soft),
		Names:    slices.Clone(n.names.Names), URIs: slices.Clone(n.names.URIs),
	}
	return Footprint{Target: n.target(), Expanded: e.normal()}
}

// unspeak asks for the addresses of names beyond what a message may list instead of these names. It takes more than a thousand that lead
// to the same addresses.
func (g *ground) unspeak(n *node) {
	n.hard = g.tidy(slices.Concat(n.hard, n.soft))
	fqdns, uris := n.fqdns, n.uris
	n.fqdns, n.uris, n.names = spoken{}, spoken{}, Expanded{}
	for _, k := range first(fqdns) {
		n.fqdns[k] = fqdns[k]
		n.names.Names = append(n.names.Names, k)
	}
	for _, k := range first(uris) {
		n.uris[k] = uris[k]
		n.names.URIs = append(n.names.URIs, k)
		if u, ok := parseURI(k); ok && !u.addr.IsValid() {
			n.names.Names = append(n.names.Names, u.host)
		}
	}
}

// first returns the first keys, as many as a message may list.
func first(s spoken) []string {
	keys := make([]string, 0, len(s))
	for k := range s {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, strings.Compare)
	return keys[:min(len(keys), maxEntries)]
}

// broken splits what is left of one wide prefix, where that is more than a message may list. The first part takes the place of what
// stands, and the others are without cover until they are answered: no order avoids that.
func (g *ground) broken(n *node) []Bundle {
	// What the names lead to stays with them.
	hard := slices.Concat(
		slices.DeleteFunc(slices.Clone(n.hard), func(p netip.Prefix) bool { return !overlaps(n.soft, p) }),
		slices.DeleteFunc(slices.Clone(n.hard), func(p netip.Prefix) bool { return overlaps(n.soft, p) }))
	var out []Bundle
	for part := range slices.Chunk(hard, maxEntries) {
		one := node{hard: outermost(part), service: n.service}
		if len(out) == 0 {
			one = *n
			one.hard = outermost(part)
		}
		b := Bundle{Footprint: one.footprint(), Keeps: -1}
		for _, m := range n.members {
			if g.shares[m].Expanded.Overlaps(b.Expanded) {
				b.Members = append(b.Members, g.shares[m].Key)
			}
		}
		if len(out) == 0 {
			b.Replaces = n.standing
		}
		out = append(out, b)
	}
	return out
}
