package coap

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
)

// ErrKeyChanged says that the pre-shared key of an identity is another one now.
var ErrKeyChanged = errors.New("pre-shared key has changed")

// Mark names a certificate as a revocation list does: by its issuer and its number.
type Mark struct {
	Issuer [sha256.Size]byte // SHA-256 of the issuer's subject and key
	Serial string            // in base 62
}

// marksOf names the certificates of a chain, leaf first, but for the last: that is an authority, which nobody revokes.
func marksOf(chain []*x509.Certificate) []Mark {
	marks := make([]Mark, max(len(chain)-1, 0))
	for i := range marks {
		marks[i] = Mark{Issuer: issuerKey(chain[i+1]), Serial: serialKey(chain[i].SerialNumber)}
	}
	return marks
}

// believed is the first of a peer's chains that none of the lists revokes.
func (s *credentialSet) believed(chains [][]*x509.Certificate) (marks []Mark, ok bool) {
	for _, chain := range chains {
		if marks = marksOf(chain); !s.revoked.revokes(marks) {
			return marks, true
		}
	}
	return nil, false
}

// keyMark tells one pre-shared key of an identity from another.
func keyMark(identity string, key []byte) [sha256.Size]byte {
	h := sha256.New()
	_, _ = h.Write([]byte(identity + "\x00")) // it cannot fail
	_, _ = h.Write(key)
	return [sha256.Size]byte(h.Sum(nil))
}

// attest adds to a peer's identity what it was believed by.
func (s *credentialSet) attest(id *Identity, marks []Mark) {
	if id.PSKIdentity == "" {
		id.Chain = marks
		return
	}
	if key, err := pskFor(s.cfg, id.PSKIdentity); err == nil {
		id.Key = keyMark(id.PSKIdentity, key)
	}
}

// Still returns nil if what a peer has proven would be believed today: its certificate is not revoked, or the pre-shared key of its identity is
// the one that it has shown. Else it is ErrRevoked, ErrNoPSK, ErrKeyChanged, or ErrNoCertificate where certificates are of no use any more. That an
// authority or a validity has ended is no reason: sessions outlive the renewal of certificates.
func (c *Credentials) Still(id Identity) error {
	s := c.current.Load()
	switch {
	case id.PSKIdentity != "" && s.cfg.PSKs == nil:
		return ErrNoPSK
	case id.PSKIdentity != "":
		key, err := pskFor(s.cfg, id.PSKIdentity)
		if err != nil {
			return err
		}
		if mark := keyMark(id.PSKIdentity, key); subtle.ConstantTimeCompare(mark[:], id.Key[:]) == 0 {
			return ErrKeyChanged
		}
	case s.certificate == nil:
		return ErrNoCertificate
	case s.revoked.revokes(id.Chain):
		return ErrRevoked
	}
	return nil
}
