package policy

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dotsgate/dotsgate/dots"
)

// domain checks and takes one domain.
func (b *builder) domain(i int, c Domain) {
	path := fmt.Sprintf("domains[%d]", i)
	d := &domain{
		name: c.Name, names: nameSet{}, uris: uriSet{}, aliases: map[string]dots.Target{},
		limits: newLimits(b.defs, c.Limits), route: b.route(path, c),
	}
	if c.Name == "" {
		b.fault(path+".name", "is missing", "give the domain a name")
	}
	if _, ok := b.policy.domains[c.Name]; ok {
		b.fault(path+".name", fmt.Sprintf("%q is used twice", c.Name), "give each domain its own name")
	}
	b.rules(path, c, d)
	b.limits(path+".limits", c.Limits)
	d.watch = b.recursion(path, c.Recursion, d.route)
	b.prefixes(path, c, d)
	b.translation(path, c.NAT, d)
	b.ownedNames(path, c, d)
	b.ownedURIs(path, c, d)
	b.aliases(path, c, d)
	b.policy.domains[c.Name] = d
	for j, e := range c.Clients {
		b.client(fmt.Sprintf("%s.clients[%d]", path, j), e, d, c.Limits)
	}
}

// prefixes checks and takes what the domain owns of addresses.
func (b *builder) prefixes(path string, c Domain, d *domain) {
	if len(c.Prefixes) == 0 {
		b.fault(path+".prefixes", "there is none", "name what the domain owns: every target must lie in it, names too")
	}
	for i, p := range c.Prefixes {
		at := fmt.Sprintf("%s.prefixes[%d]", path, i)
		if !b.prefix(at, p) {
			continue
		}
		if other, q := overlapping(&b.owned, p, c.Name); other != "" {
			b.fault(at, fmt.Sprintf("%v overlaps %v of domain %q", p, q, other), "an address belongs to one domain: take it out of one")
			continue
		}
		b.owned.Insert(p, c.Name)
		d.prefixes.Insert(p)
	}
	d.prefixes.Aggregate()
}

// ownedNames checks and takes what the domain owns of names.
func (b *builder) ownedNames(path string, c Domain, d *domain) {
	for i, s := range c.Names {
		at := fmt.Sprintf("%s.names[%d]", path, i)
		name, ok := normalName(s)
		if !ok {
			b.fault(at, fmt.Sprintf("%q is no host name", s), "write it as example.com: subdomains are included")
			continue
		}
		if other, ok := b.names[name]; ok && other != c.Name {
			b.fault(at, fmt.Sprintf("%q belongs to domain %q", name, other), "a name belongs to one domain: take it out of one")
			continue
		}
		b.names[name] = c.Name
		d.names[name] = struct{}{}
	}
}

// ownedURIs checks and takes what the domain owns of URIs.
func (b *builder) ownedURIs(path string, c Domain, d *domain) {
	for i, s := range c.URIs {
		at := fmt.Sprintf("%s.uris[%d]", path, i)
		u, ok := parseURI(s)
		if !ok || u.query != "" {
			b.fault(at, fmt.Sprintf("%q is no URI prefix", s), "write scheme and host, port and path if wanted: https://www.example.com/shop")
			continue
		}
		if u.addr.IsValid() && !d.ownsAddress(u.addr) {
			b.fault(at, fmt.Sprintf("%v is not in the domain's prefixes", u.addr), "add its prefix, or take the URI out")
			continue
		}
		d.uris.add(u)
	}
}

// aliases checks and takes the domain's aliases. Addresses of their names are tested at each request.
func (b *builder) aliases(path string, c Domain, d *domain) {
	for _, name := range slices.Sorted(maps.Keys(c.Aliases)) {
		at, t := path+".aliases."+name, c.Aliases[name]
		switch {
		case name == "":
			b.fault(path+".aliases", "an alias has no name", "give it one")
			continue
		case len(t.Aliases) > 0:
			b.fault(at, "names other aliases", "write out what they stand for")
			continue
		case t.Empty():
			b.fault(at, "has no target", "give it a prefix, a name or a URI")
			continue
		}
		x := expansion{domain: d, target: dots.Target{
			Prefixes: masked(slices.Clone(t.Prefixes)), Ports: slices.Clone(t.Ports), Protocols: slices.Clone(t.Protocols),
			FQDNs: slices.Clone(t.FQDNs), URIs: slices.Clone(t.URIs),
		}}
		for _, step := range []func() *dots.Error{x.checkPrefixes, x.checkNames, x.checkURIs} {
			if err := step(); err != nil {
				b.fault(at, err.Text, "an alias names only what its domain owns and, where it has nat, what that maps")
			}
		}
		d.aliases[name] = x.target
	}
}
