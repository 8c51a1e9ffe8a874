package policy

import (
	"net/netip"
	"slices"

	"github.com/dotsgate/dotsgate/dots"
)

// Renew tests again, after a refresh of names or a change of policy, that a grant is its domain's, and returns it as it is now: domain, addresses of
// names, translation. A name that is not or could not be resolved is given the benefit, and the addresses of before stay in as far as they are
// the domain's: an outage of DNS ends no mitigation. The AAA server is not asked again.
//
// RFC 9132, Section 4.4.1: the check is made again at each new resolution.
func (p *Policy) Renew(v View, g Grant) (Grant, *dots.Error) {
	c, err := p.entitled(g.Client.Name)
	if err != nil {
		return g, err
	}
	g.Domain = c.domain.name
	x, err := c.domain.expand(v, g.Request.Target, lenient, nil)
	if err != nil {
		return g, err
	}
	x.exp.Aliases = g.Expanded.Aliases
	if x.partial {
		x.exp = x.exp.with(Expanded{Prefixes: c.domain.still(g)})
	}
	outside := c.domain.outside(x)
	if err := p.checkUplinks(c.domain, outside, nil); err != nil {
		return g, err
	}
	g.Expanded, g.Outside = x.exp, outside
	return g, nil
}

// still lists the addresses of a grant that are the domain's today, and known outside.
func (d *domain) still(g Grant) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(g.Expanded.Prefixes), func(q netip.Prefix) bool {
		return !d.ownsPrefix(q) || d.known(q, g.Request.Target.Ports) == 0
	})
}

// Today returns a grant of an earlier configuration with what today's says of its client: its domain. That of a client that may
// ask for nothing any more stays as it is: Renew refuses it.
func (p *Policy) Today(g Grant) Grant {
	if c, err := p.entitled(g.Client.Name); err == nil {
		g.Domain = c.domain.name
	}
	return g
}
