package policy

import (
	"errors"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
)

// Policy is a checked Config. It is immutable and safe for concurrent use.
type Policy struct {
	clients map[string]client
	domains map[string]*domain
	uplinks map[string]uplink
	byKey   map[[32]byte]string // client entries by the SHA-256 of a public key
	byPSK   map[string]string   // by PSK identity
	byName  map[string]string   // by a certificate's name in lower case
	byCUID  map[string]string   // by the cuid that a configured public key or PSK identity gives: nobody else may have it
}

// client is a ClientEntry made ready.
type client struct {
	domain  *domain
	guest   bool
	gateway bool
}

// New checks a Config. Its error joins one *FieldError for each fault found.
func New(c Config) (*Policy, error) {
	b := newBuilder()
	b.defaults(c.Defaults)
	b.uplinks(c.Uplinks)
	for i := range c.Domains {
		b.domain(i, c.Domains[i], c.Defaults)
	}
	if len(b.faults) > 0 {
		return nil, errors.Join(b.faults...)
	}
	return b.policy, nil
}

// Identify returns the client entry that a credential belongs to: by public key, then by PSK identity, then by the first
// of the certificate's names that is known.
//
// RFC 9132, Section 7.2: peers are known by their credentials and never by an address.
func (p *Policy) Identify(c dots.Credential) (client string, ok bool) {
	if len(c.SPKI) > 0 && len(p.byKey) > 0 { // each request asks, and a fingerprint takes a while
		if client, ok = p.byKey[c.Fingerprint()]; ok {
			return client, true
		}
	}
	if c.PSKIdentity != "" {
		if client, ok = p.byPSK[c.PSKIdentity]; ok {
			return client, true
		}
	}
	for _, n := range c.Names {
		if client, ok = p.byName[certName(n)]; ok {
			return client, true
		}
	}
	return "", false
}

// certName returns a certificate's name as it is compared.
func certName(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

// Domain returns the domain of a client entry; empty: there is no such client.
func (p *Policy) Domain(client string) string {
	c, ok := p.clients[client]
	if !ok {
		return ""
	}
	return c.domain.name
}

// DomainOf returns the domain of a client entry; empty: there is no such entry.
func (p *Policy) DomainOf(client string) string {
	if c, ok := p.clients[client]; ok {
		return c.domain.name
	}
	return ""
}

// MayMitigate reports whether a client entry is known and no guest.
func (p *Policy) MayMitigate(client string) bool {
	c, ok := p.clients[client]
	return ok && !c.guest
}

// TrustsCDID reports whether a client entry is a gateway that may supply cdid. From any other it is to be dropped.
//
// RFC 9132, Section 4.4.1.2: a cdid that comes from a client is ignored.
func (p *Policy) TrustsCDID(client string) bool { return p.clients[client].gateway }

// Recheck tests again, after a refresh of names or a change of policy, that a granted target is its domain's. A name that is
// not or could not be resolved is given the benefit: an outage of DNS ends no mitigation.
//
// RFC 9132, Section 4.4.1: the check is made again at each new resolution.
func (p *Policy) Recheck(v View, g Grant) *dots.Error {
	d, err := p.entitled(g.Client.Name)
	if err != nil {
		return err
	}
	_, err = d.expand(v, g.Request.Target, lenient)
	return err
}

// Reexpand returns the granted target with the addresses that its names have now. While one of them cannot be resolved, the
// addresses of before stay in.
func (p *Policy) Reexpand(v View, g Grant) Expanded {
	d, err := p.entitled(g.Client.Name)
	if err != nil {
		return g.Expanded
	}
	x, err := d.expand(v, g.Request.Target, lenient)
	switch {
	case err != nil:
		return g.Expanded
	case x.partial:
		return x.exp.with(g.Expanded)
	}
	x.exp.Aliases = g.Expanded.Aliases
	return x.exp
}

// Renew tests again, after a refresh of names or a change of policy, that a grant is its domain's, and returns it as it is now: domain, addresses of
// names, translation. While a name cannot be resolved the addresses of before stay in: an outage of DNS ends no mitigation.
//
// RFC 9132, Section 4.4.1: the check is made again at each new resolution.
func (p *Policy) Renew(v View, g Grant) (Grant, *dots.Error) {
	g = p.Today(g)
	if err := p.Recheck(v, g); err != nil {
		return g, err
	}
	g.Expanded = p.Reexpand(v, g)
	g.Outside = Footprint{Target: g.Request.Target, Expanded: g.Expanded}
	return g, nil
}

// Places says where a mitigation is to go now, in an order that depends on its arguments alone; empty: nowhere. It is asked again whenever one
// of them changed.
func (p *Policy) Places(v Links, c Course) []Place {
	_ = v
	var places []Place
	for _, at := range p.Route(c.Grant) {
		places = append(places, Place{Placement: at, Part: c.Grant.Outside})
	}
	return places
}

// Route says where a grant's legs go: one placement now. An unknown uplink gives none.
func (p *Policy) Route(g Grant) []Placement {
	u, ok := p.uplinks[g.Uplink]
	if !ok {
		return nil
	}
	place := Placement{Uplink: g.Uplink}
	switch u.mode {
	case CUIDPerDomain:
		place.Scope = "domain:" + g.Domain
	case CUIDPerClient:
		place.Scope = "client:" + g.Client.Name + ":" + g.Client.CUID
		if g.Client.CDID != "" {
			place.Scope += ":" + g.Client.CDID
		}
	}
	return []Placement{place}
}
