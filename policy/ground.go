package policy

import (
	"net/netip"
	"slices"
	"sort"

	"github.com/gaissmai/bart"

	"github.com/dotsgate/dotsgate/dots"
)

// ground is the work of one Arrange: who covers what, as it grows.
type ground struct {
	fits     func(dots.Target) bool
	standing []Standing
	shares   []claimant // by key
	asked    bart.Lite  // every prefix of every share
	hard     bart.Table[int]
	soft     bart.Table[int] // addresses of names
	texts    map[text]int
	nodes    []node
}

// claimant is a Share on its way to nodes.
type claimant struct {
	Share
	raw  []netip.Prefix // its prefixes, a set
	core int            // the node of its names; -1: it has none, or they are covered where nothing changes
}

// node is a leg in the making. What it holds of its standing legs is what is still wanted of them.
type node struct {
	into        int   // where it was joined into another: that one; else itself
	standing    []int // in any order
	fixed       bool
	hard, soft  []netip.Prefix
	fqdns, uris spoken
	names       Expanded // Names and URIs in the form in which they are compared, in any order
	service     service
	members     []int // shares, in any order
}

// newGround marks what the standing legs cover.
func newGround(standing []Standing, wanted []Share, fits func(dots.Target) bool) *ground {
	g := &ground{fits: fits, standing: standing, texts: map[text]int{}}
	if fits == nil {
		g.fits = func(dots.Target) bool { return true }
	}
	for i := range standing {
		s := &standing[i]
		n := g.node()
		g.nodes[n].standing, g.nodes[n].fixed = []int{i}, s.Fixed
		g.mark(n, s.Behind.Prefixes, nil)
		g.mark(n, masked(s.Target.Prefixes), s.soft())
		for _, e := range []Expanded{s.Behind, s.Expanded} {
			for t := range e.spoken {
				g.texts[t] = n
			}
		}
	}
	for i := range wanted {
		c := claimant{Share: wanted[i], raw: outermost(masked(wanted[i].Target.Prefixes)), core: -1}
		g.shares = append(g.shares, c)
		for _, p := range c.raw {
			g.asked.Insert(p)
		}
	}
	slices.SortStableFunc(g.shares, func(a, b claimant) int { return compareKey(a.Key, b.Key) })
	return g
}

// spoken walks names and URIs.
func (e Expanded) spoken(yield func(text) bool) {
	e.Aliases = nil
	e.texts(yield)
}

// node makes an empty node.
func (g *ground) node() int {
	n := len(g.nodes)
	g.nodes = append(g.nodes, node{into: n})
	return n
}

// root returns the node into which one was joined.
func (g *ground) root(n int) int {
	for g.nodes[n].into != n {
		g.nodes[n].into = g.nodes[g.nodes[n].into].into
		n = g.nodes[n].into
	}
	return n
}

// mark makes a node the owner of prefixes and of addresses of names.
func (g *ground) mark(n int, hard, soft []netip.Prefix) {
	for _, p := range hard {
		g.hard.Insert(p, n)
	}
	for _, p := range soft {
		g.soft.Insert(p, n)
	}
}

// piece is a part of a prefix that a node covers.
type piece struct {
	prefix netip.Prefix
	node   int
}

// cover lists the parts of a prefix that nodes cover; the prefix itself, where it is covered whole. Parts may lie in each other.
func (g *ground) cover(p netip.Prefix) []piece {
	for _, t := range []*bart.Table[int]{&g.hard, &g.soft} {
		if _, n, ok := t.LookupPrefixLPM(p); ok {
			return []piece{{p, g.root(n)}}
		}
	}
	var found []piece
	for _, t := range []*bart.Table[int]{&g.hard, &g.soft} {
		for q, n := range t.Subnets(p) {
			found = append(found, piece{q, g.root(n)})
		}
	}
	return found
}

// anchor gives a share's names a node: with all that overlaps them, because a name cannot be cut.
func (g *ground) anchor(i int) {
	s := &g.shares[i]
	if !s.textual() {
		return
	}
	var nodes []int
	for t := range s.Expanded.spoken {
		if n, ok := g.texts[t]; ok {
			nodes = append(nodes, g.root(n))
		}
	}
	soft := s.soft()
	for _, p := range soft {
		for _, q := range g.cover(p) {
			nodes = append(nodes, q.node)
		}
	}
	if slices.ContainsFunc(nodes, func(n int) bool { return g.nodes[n].fixed }) {
		return
	}
	n := g.join(nodes)
	g.admit(n, i)
	g.mark(n, nil, soft)
	for t := range s.Expanded.spoken {
		g.texts[t] = n
	}
	g.nodes[n].speak(s.Footprint, soft)
	s.core = n
}

// speak adds names and their addresses.
func (n *node) speak(f Footprint, soft []netip.Prefix) {
	if n.fqdns == nil {
		n.fqdns, n.uris = spoken{}, spoken{}
	}
	for _, s := range f.Target.FQDNs {
		n.fqdns.say(fqdnKey(s), s)
	}
	for _, s := range f.Target.URIs {
		n.uris.say(uriKey(s), s)
	}
	n.names.Names = append(n.names.Names, f.Expanded.Names...)
	n.names.URIs = append(n.names.URIs, f.Expanded.URIs...)
	n.soft = append(n.soft, soft...)
}

// claim gives the nodes of standing legs, and those of names, what a share wants of them.
func (g *ground) claim(i int) {
	for _, p := range g.shares[i].raw {
		for _, q := range g.cover(p) {
			n := &g.nodes[q.node]
			n.hard = append(n.hard, q.prefix)
			g.admit(q.node, i)
		}
	}
}

// admit makes a share a member of a node.
func (g *ground) admit(n, share int) {
	m := &g.nodes[n]
	if k := len(m.members); k > 0 && m.members[k-1] == share {
		return
	}
	m.members = append(m.members, share)
	m.service = m.service.with(g.shares[share].Target)
}

// join makes one node of several; of none, an empty one. The oldest stays.
func (g *ground) join(nodes []int) int {
	if len(nodes) == 0 {
		return g.node()
	}
	to := slices.Min(nodes)
	for _, n := range nodes {
		if n == to || g.nodes[n].into != n {
			continue
		}
		o, m := g.nodes[n], &g.nodes[to]
		g.nodes[n] = node{into: to}
		m.standing = append(m.standing, o.standing...)
		m.hard = append(m.hard, o.hard...)
		m.members = append(m.members, o.members...)
		m.service = m.service.or(o.service)
		if o.fqdns != nil {
			m.speak(Footprint{Expanded: o.names}, o.soft)
			for k, s := range o.fqdns {
				m.fqdns.say(k, s)
			}
			for k, s := range o.uris {
				m.uris.say(k, s)
			}
		}
	}
	return to
}

func intCompare(a, b int) int { return a - b }

// tidy makes a set of prefixes that is cut no finer than what was asked for.
func (g *ground) tidy(list []netip.Prefix) []netip.Prefix {
	return joined(outermost(list), g.asked.LookupPrefix)
}

// extend finds a place for what no node covers of a share.
func (g *ground) extend(i int) {
	s := &g.shares[i]
	touched, free := g.survey(s)
	for _, n := range touched {
		g.admit(n, i)
	}
	if len(free) == 0 {
		return
	}
	takes := touched
	if len(touched) > 1 {
		takes = slices.DeleteFunc(slices.Clone(touched), func(n int) bool { return !g.taken(n, s) })
	}
	if g.grow(takes, s, free, g.fits) {
		return
	}
	if len(free) > maxEntries && g.grow(touched, s, free, func(dots.Target) bool { return true }) {
		return // cutting would make many legs of what is one
	}
	g.found(i, free)
}

// survey returns the nodes that a share overlaps, but those that are fixed, and what of it none covers.
func (g *ground) survey(s *claimant) (touched []int, free []netip.Prefix) {
	if s.core >= 0 {
		s.core = g.root(s.core)
		touched = append(touched, s.core)
	}
	for _, p := range s.raw {
		var parts []netip.Prefix
		for _, q := range g.cover(p) {
			parts = append(parts, q.prefix)
			if !g.nodes[q.node].fixed {
				touched = append(touched, q.node)
			}
		}
		free = append(free, without(p, outermost(parts))...)
	}
	return sorted(touched, intCompare), free
}

// taken reports whether a share that overlaps several nodes takes this one in: it lies inside whole, or has a name that does and may
// lead to any other address of the share next, or is that of the share's own names.
func (g *ground) taken(at int, s *claimant) bool {
	n := &g.nodes[at]
	switch {
	case at == s.core:
		return true
	case n.fqdns != nil:
		return slices.ContainsFunc(n.soft, func(p netip.Prefix) bool { return holds(s.raw, p) })
	}
	return !slices.ContainsFunc(n.hard, func(p netip.Prefix) bool { return !holds(s.raw, p) })
}

// grow joins nodes and what is free of a share to one, if it fits.
func (g *ground) grow(nodes []int, s *claimant, free []netip.Prefix, fits func(dots.Target) bool) bool {
	if len(nodes) == 0 {
		return false
	}
	all := node{hard: slices.Clone(free), fqdns: spoken{}, uris: spoken{}}
	for _, i := range nodes {
		n := &g.nodes[i]
		all.hard = append(all.hard, n.hard...)
		all.service = all.service.or(n.service)
		for k, v := range n.fqdns {
			all.fqdns.say(k, v)
		}
		for k, v := range n.uris {
			all.uris.say(k, v)
		}
	}
	all.hard = g.tidy(all.hard)
	if len(all.hard) > maxEntries || !fits(all.target()) {
		return false
	}
	to := g.join(nodes)
	g.nodes[to].hard = all.hard
	g.mark(to, free, nil)
	for _, p := range s.raw { // what is whole again is found as one
		if holds(all.hard, p) {
			g.mark(to, []netip.Prefix{p}, nil)
		}
	}
	return true
}

// target is what a node's leg asks for.
func (n *node) target() dots.Target {
	return dots.Target{
		Prefixes: n.hard, FQDNs: n.fqdns.written(), URIs: n.uris.written(),
		Ports: n.service.ports, Protocols: n.service.protocols,
	}
}

// found makes new nodes of what is free of a share, each of one datagram.
func (g *ground) found(i int, free []netip.Prefix) {
	service := serviceOf(g.shares[i].Target)
	free = g.tidy(free)
	for len(free) > 0 {
		k := g.most(free, service)
		n := g.node()
		g.nodes[n].hard = free[:k:k]
		g.mark(n, free[:k], nil)
		g.admit(n, i)
		free = free[k:]
	}
}

// most returns how many of the prefixes fit together. Where not even one does it is not their number that is too much, and nothing is
// gained by splitting.
func (g *ground) most(free []netip.Prefix, s service) int {
	fits := func(k int) bool { return g.fits((&node{hard: free[:k], service: s}).target()) }
	k := min(len(free), maxEntries)
	if fits(k) || !fits(1) {
		return k
	}
	return sort.Search(k, func(i int) bool { return !fits(i + 1) })
}
