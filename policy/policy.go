package policy

import (
	"errors"
	"strings"

	"github.com/gaissmai/bart"

	"github.com/dotsgate/dotsgate/dots"
)

// Policy is a checked Config. It is immutable and safe for concurrent use.
type Policy struct {
	clients map[string]client
	domains map[string]*domain
	uplinks map[string]uplink
	members map[string][]string // the servers that a name stands for: a farm's members, or the uplink itself
	farmOf  map[string]string   // farms by member
	byKey   map[[32]byte]string // client entries by the SHA-256 of a public key
	byPSK   map[string]string   // by PSK identity
	byName  map[string]string   // by a certificate's name in lower case
	byCUID  map[string]string   // by the cuid that a configured public key or PSK identity gives: nobody else may have it
	// assigned holds the prefixes that providers assigned, by uplink or farm.
	assigned bart.Table[string]
}

// client is a ClientEntry made ready.
type client struct {
	domain  *domain
	class   string // empty: none
	limits  limits
	guest   bool
	gateway bool
}

// New checks a Config. Its error joins one *FieldError for each fault found.
func New(c Config) (*Policy, error) {
	b := newBuilder()
	b.defaults(c.Defaults)
	b.defs = c.Defaults
	b.uplinks(c.Uplinks)
	b.farms(c.Farms)
	b.providers(c.Uplinks)
	b.classes(c.Classes)
	for i := range c.Domains {
		b.domain(i, c.Domains[i])
	}
	b.sharedAddresses(c.Domains)
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

// HasDomain reports whether there is a domain of this name.
func (p *Policy) HasDomain(name string) bool { return p.domains[name] != nil }

// MayMitigate reports whether a client entry is known and no guest.
func (p *Policy) MayMitigate(client string) bool {
	c, ok := p.clients[client]
	return ok && !c.guest
}

// TrustsCDID reports whether a client entry is a gateway that may supply cdid. From any other it is to be dropped.
//
// RFC 9132, Section 4.4.1.2: a cdid that comes from a client is ignored.
func (p *Policy) TrustsCDID(client string) bool { return p.clients[client].gateway }
