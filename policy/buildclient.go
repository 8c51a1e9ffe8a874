package policy

import (
	"fmt"

	"github.com/dotsgate/dotsgate/dots"
)

// classes checks and takes the kinds of clients.
func (b *builder) classes(list []Class) {
	for i, c := range list {
		path := fmt.Sprintf("classes[%d]", i)
		if c.Name == "" {
			b.fault(path+".name", "is missing", "give the class a name")
		}
		if _, ok := b.class[c.Name]; ok {
			b.fault(path+".name", fmt.Sprintf("%q is used twice", c.Name), "give each class its own name")
		}
		b.limits(path+".limits", c.Limits)
		b.class[c.Name] = c
	}
}

// client checks and takes one client entry.
func (b *builder) client(path string, e ClientEntry, d *domain, own Limits) {
	if e.Name == "" {
		b.fault(path+".name", "is missing", "give the client a name")
	}
	if c, ok := b.policy.clients[e.Name]; ok {
		b.fault(path+".name", fmt.Sprintf("%q is used in domain %q already", e.Name, c.domain.name), "give each client its own name")
	}
	class, ok := b.class[e.Class]
	if e.Class != "" && !ok {
		b.fault(path+".class", fmt.Sprintf("%q is not known", e.Class), "name one of the classes, or leave it out")
	}
	b.policy.clients[e.Name] = client{
		domain: d, class: e.Class, limits: newLimits(b.defs, class.Limits.over(own)), guest: e.Guest || class.Guest, gateway: e.TrustedGateway,
	}
	if len(e.CertNames)+len(e.SPKIs)+len(e.PSKIdentities) == 0 {
		b.fault(path+".credentials", "there is none", "give a certificate's name, a public key's SHA-256 or a PSK identity")
	}
	b.credentials(path+".credentials", e)
}

// credentials checks and takes what an entry may be known by.
func (b *builder) credentials(path string, e ClientEntry) {
	for i, s := range e.CertNames {
		name := certName(s)
		if b.credential(fmt.Sprintf("%s.cert_names[%d]", path, i), "certificate name", name) {
			b.policy.byName[name] = e.Name
		}
	}
	for i, key := range e.SPKIs {
		if b.credential(fmt.Sprintf("%s.spki_sha256[%d]", path, i), "public key", fmt.Sprintf("%x", key)) {
			b.policy.byKey[key] = e.Name
			b.policy.byCUID[dots.EncodeCUID(key)] = e.Name
		}
	}
	for i, id := range e.PSKIdentities {
		if b.credential(fmt.Sprintf("%s.psk_identities[%d]", path, i), "PSK identity", id) {
			b.policy.byPSK[id] = e.Name
			b.policy.byCUID[dots.Credential{PSKIdentity: id}.CUID()] = e.Name
		}
	}
}

// credential notes a credential and reports whether it is good: two entries that share one could not be told apart.
func (b *builder) credential(path, kind, value string) bool {
	if value == "" {
		b.fault(path, "is empty", "give a "+kind+", or take the line out")
		return false
	}
	key := [2]string{kind, value}
	if b.spoken[key] {
		b.fault(path, fmt.Sprintf("%s %q is given twice", kind, value), "a credential belongs to one client: take it out of one")
		return false
	}
	b.spoken[key] = true
	return true
}
