package policy

import "fmt"

// client checks and takes one client entry.
func (b *builder) client(path string, e ClientEntry, d *domain) {
	if e.Name == "" {
		b.fault(path+".name", "is missing", "give the client a name")
	}
	if c, ok := b.policy.clients[e.Name]; ok {
		b.fault(path+".name", fmt.Sprintf("%q is used in domain %q already", e.Name, c.domain.name), "give each client its own name")
	}
	b.policy.clients[e.Name] = client{domain: d, guest: e.Guest, gateway: e.TrustedGateway}
	if len(e.CertNames)+len(e.SPKIs)+len(e.PSKIdentities) == 0 {
		b.fault(path+".credentials", "there is none", "give a certificate's name, a public key's SHA-256 or a PSK identity")
	}
	for i, s := range e.CertNames {
		at, name := fmt.Sprintf("%s.credentials.cert_names[%d]", path, i), certName(s)
		if name != "" && b.credential(at, "certificate name", name) {
			b.policy.byName[name] = e.Name
		} else if name == "" {
			b.fault(at, "is empty", "give a name of the client's certificate")
		}
	}
	for i, key := range e.SPKIs {
		at := fmt.Sprintf("%s.credentials.spki[%d]", path, i)
		if b.credential(at, "public key", fmt.Sprintf("%x", key)) {
			b.policy.byKey[key] = e.Name
		}
	}
	for i, id := range e.PSKIdentities {
		at := fmt.Sprintf("%s.credentials.psk_identities[%d]", path, i)
		if id != "" && b.credential(at, "PSK identity", id) {
			b.policy.byPSK[id] = e.Name
		} else if id == "" {
			b.fault(at, "is empty", "give the identity of the client's pre-shared key")
		}
	}
}

// credential notes a credential and reports whether it is new: two entries that share one could not be told apart.
func (b *builder) credential(path, kind, value string) bool {
	key := [2]string{kind, value}
	if b.spoken[key] {
		b.fault(path, fmt.Sprintf("%s %q is given twice", kind, value), "a credential belongs to one client: take it out of one")
		return false
	}
	b.spoken[key] = true
	return true
}
