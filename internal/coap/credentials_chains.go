package coap

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// provenClients is how many clients' chains a set of credentials remembers: about 400 bytes each. When there are more, the one that was not
	// seen for longest is verified anew.
	provenClients = 8192
	// maxPeerChain is how many certificates a client may show. One that shows more is refused unread.
	maxPeerChain = 10
	// maxPeerRSA is the longest RSA key in a peer's chain, in bits, as in crypto/tls. A stranger chooses the keys of what it shows as its
	// authorities, and with one that fills a handshake it would make us compute for a second.
	maxPeerRSA = 8192
)

var errLongKey = errors.New("RSA key of more than 8192 bits in the client's chain")

// provenChains remembers which chains of client certificates were verified, so that a client that comes back costs one signature less to check. It
// belongs to one credentialSet, which never changes: with other authorities or revocation lists comes another set, which has proven nothing
// yet. Only what was verified is remembered, so strangers take no room. Safe for concurrent use.
type provenChains struct {
	lru *lru.Cache[chainKey, provenChain]
}

// provenChain is by what a leaf was believed, and when that is valid.
type provenChain struct {
	marks []Mark
	valid validity
}

// chainKey stands for certificates just as a peer has sent them.
type chainKey [sha256.Size]byte

// validity is when all certificates of a chain are valid, both ends included.
type validity struct{ from, until time.Time }

func newProvenChains() (*provenChains, error) {
	cache, err := lru.New[chainKey, provenChain](provenClients)
	if err != nil {
		return nil, fmt.Errorf("making room for proven chains: %w", err)
	}
	return &provenChains{cache}, nil
}

func keyOfChain(raw [][]byte) chainKey {
	h := sha256.New()
	var length [4]byte
	for _, der := range raw {
		binary.BigEndian.PutUint32(length[:], uint32(len(der)))
		_, _ = h.Write(length[:]) // a hash takes everything
		_, _ = h.Write(der)
	}
	return chainKey(h.Sum(nil))
}

// holds returns by what the chain was believed, if that is so at this time.
func (p *provenChains) holds(key chainKey, now time.Time) ([]Mark, bool) {
	c, ok := p.lru.Get(key)
	return c.marks, ok && !now.Before(c.valid.from) && !now.After(c.valid.until)
}

// validityOf is when the whole chain is valid.
func validityOf(chain []*x509.Certificate) validity {
	v := validity{chain[0].NotBefore, chain[0].NotAfter}
	for _, c := range chain[1:] {
		if c.NotBefore.After(v.from) {
			v.from = c.NotBefore
		}
		if c.NotAfter.Before(v.until) {
			v.until = c.NotAfter
		}
	}
	return v
}

// verifyClient verifies a client's certificates, in DER as it has sent them, the leaf first: a chain to one of the authorities, the times, the
// extended key usage, and that none is revoked. It returns what the leaf is believed by. It is all the verification there is: the libraries are told to take
// any certificate, and prove only that the client has the leaf's key.
func (s *credentialSet) verifyClient(raw [][]byte, now time.Time) ([]Mark, error) {
	if len(raw) == 0 || len(raw) > maxPeerChain {
		return nil, fmt.Errorf("%d certificates shown, 1 to %d are taken", len(raw), maxPeerChain)
	}
	key := keyOfChain(raw)
	if marks, ok := s.proven.holds(key, now); ok && !s.revoked.revokes(marks) {
		return marks, nil
	}
	leaf, options, err := s.clientOptions(raw)
	if err != nil {
		return nil, err
	}
	options.CurrentTime = now
	chains, err := leaf.Verify(options)
	if err != nil {
		return nil, fmt.Errorf("verifying the client's certificate: %w", err)
	}
	for _, chain := range chains {
		if marks := marksOf(chain); !s.revoked.revokes(marks) {
			s.proven.lru.Add(key, provenChain{marks, validityOf(chain)})
			return marks, nil
		}
	}
	return nil, ErrRevoked
}

// tlsBelievedBy is by what the peer of a finished TLS handshake was believed.
func (s *credentialSet) tlsBelievedBy(state tls.ConnectionState) ([]Mark, error) {
	if len(state.VerifiedChains) > 0 { // a server
		marks, _ := s.believed(state.VerifiedChains)
		return marks, nil
	}
	raw := make([][]byte, 0, len(state.PeerCertificates))
	for _, cert := range state.PeerCertificates {
		raw = append(raw, cert.Raw)
	}
	return s.verifyClient(raw, time.Now())
}

func (s *credentialSet) clientOptions(raw [][]byte) (*x509.Certificate, x509.VerifyOptions, error) {
	options := x509.VerifyOptions{
		Roots: s.authorities, Intermediates: x509.NewCertPool(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if s.authorities == nil {
		return nil, options, errors.New("no authorities configured") // without roots the library would take the system's
	}
	var leaf *x509.Certificate
	for i, der := range raw {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, options, fmt.Errorf("reading the client's certificate: %w", err)
		}
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxPeerRSA {
			return nil, options, errLongKey
		}
		if i == 0 {
			leaf = c
		} else {
			options.Intermediates.AddCert(c)
		}
	}
	return leaf, options, nil
}
