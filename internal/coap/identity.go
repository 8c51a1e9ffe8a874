package coap

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"time"
)

// Identity is what the handshake has proven of a peer. Peers are known by their credentials, never by their
// transport address. The slices are read-only.
type Identity struct {
	// SPKI is the DER SubjectPublicKeyInfo of the peer's leaf certificate; nil for a pre-shared key.
	SPKI []byte
	// Names are the leaf's dNSNames in their order, then its subject common name if that is none of them.
	Names []string
	// PSKIdentity is the identity of the pre-shared key; empty for a certificate.
	PSKIdentity string
	// NotAfter is the end of the leaf's validity; zero for a pre-shared key.
	NotAfter time.Time
	// Chain names the certificates by which the leaf was believed, itself first, and Key tells the pre-shared key from another one of the same
	// identity: both are for Credentials.Still alone.
	Chain []Mark
	Key   [sha256.Size]byte
}

// certificateIdentity makes the identity of a verified leaf certificate.
func certificateIdentity(leaf *x509.Certificate) Identity {
	names := slices.Clone(leaf.DNSNames)
	if cn := leaf.Subject.CommonName; cn != "" && !slices.Contains(names, cn) {
		names = append(names, cn)
	}
	// The leaf's own would keep the whole certificate for as long as the session lives.
	return Identity{SPKI: bytes.Clone(leaf.RawSubjectPublicKeyInfo), Names: names, NotAfter: leaf.NotAfter}
}
