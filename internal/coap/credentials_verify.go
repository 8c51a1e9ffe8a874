package coap

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"time"
)

var (
	// ErrRevoked says that the peer's certificate, or one of its chain, is on a revocation list.
	ErrRevoked = errors.New("certificate is revoked")
	// ErrWildcard says that only a wildcard name of the server's certificate matches.
	ErrWildcard = errors.New("certificate matches by a wildcard only")
)

// revocations are the revoked serial numbers of each issuer. The nil value revokes nothing.
type revocations struct {
	issuers map[[sha256.Size]byte]map[string]struct{} // as in a Mark
	update  time.Time
}

// parseRevocations reads PEM lists, or one DER list, and refuses any that no authority has signed.
func parseRevocations(raw []byte, authorities []*x509.Certificate) (*revocations, error) {
	lists := pemBlocks(raw, "X509 CRL")
	if len(lists) == 0 {
		lists = [][]byte{raw}
	}
	r := &revocations{issuers: make(map[[sha256.Size]byte]map[string]struct{})}
	for _, der := range lists {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, fmt.Errorf("parsing a revocation list: %w", err)
		}
		if err := r.add(list, authorities); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *revocations) add(list *x509.RevocationList, authorities []*x509.Certificate) error {
	// RFC 5280, Section 5.2: a list with a critical extension that is not understood (a delta list, a list for
	// some reasons only, an indirect list) cannot tell what is not revoked.
	for _, ext := range list.Extensions {
		if ext.Critical {
			return fmt.Errorf("revocation list has the critical extension %v", ext.Id)
		}
	}
	for _, a := range authorities {
		if list.CheckSignatureFrom(a) != nil {
			continue
		}
		serials := r.issuers[issuerKey(a)]
		if serials == nil {
			serials = make(map[string]struct{}, len(list.RevokedCertificateEntries))
			r.issuers[issuerKey(a)] = serials
		}
		for _, e := range list.RevokedCertificateEntries {
			serials[serialKey(e.SerialNumber)] = struct{}{}
		}
		if r.update.IsZero() || list.NextUpdate.Before(r.update) {
			r.update = list.NextUpdate
		}
		return nil
	}
	return fmt.Errorf("revocation list of %q is not signed by a configured authority", list.Issuer)
}

func (r *revocations) next() time.Time {
	if r == nil {
		return time.Time{}
	}
	return r.update
}

// revokes tells whether a certificate of a chain is revoked by the one above it.
func (r *revocations) revokes(chain []Mark) bool {
	if r == nil {
		return false
	}
	for _, m := range chain {
		if _, ok := r.issuers[m.Issuer][m.Serial]; ok {
			return true
		}
	}
	return false
}

// checkChains is the part of a server's verification that the libraries lack. They have built the chains by
// RFC 5280 with the right extended key usage; at least one must be free of revoked certificates.
// An empty serverName is not checked.
func (s *credentialSet) checkChains(chains [][]*x509.Certificate, serverName string) error {
	if len(chains) == 0 {
		return errors.New("certificate is not verified")
	}
	if serverName != "" {
		if err := checkServerName(chains[0][0], serverName); err != nil {
			return err
		}
	}
	if _, ok := s.believed(chains); !ok {
		return ErrRevoked
	}
	return nil
}

// checkServerName checks the server's certificate against the configured name or address.
func checkServerName(leaf *x509.Certificate, name string) error {
	if err := leaf.VerifyHostname(name); err != nil {
		return fmt.Errorf("checking the server's name: %w", err)
	}
	if net.ParseIP(strings.Trim(name, "[]")) != nil {
		return nil
	}
	// RFC 9132, Section 7.1: the name is checked by RFC 6125 without wildcards.
	for _, n := range leaf.DNSNames {
		if strings.EqualFold(strings.TrimSuffix(n, "."), strings.TrimSuffix(name, ".")) {
			return nil
		}
	}
	return ErrWildcard
}

func issuerKey(a *x509.Certificate) [sha256.Size]byte {
	return sha256.Sum256(slices.Concat(a.RawSubject, a.RawSubjectPublicKeyInfo))
}

func serialKey(n *big.Int) string { return n.Text(62) }

// pemBlocks are the contents of the PEM blocks of one type.
func pemBlocks(raw []byte, kind string) [][]byte {
	var out [][]byte
	for {
		var block *pem.Block
		if block, raw = pem.Decode(raw); block == nil {
			return out
		}
		if block.Type == kind {
			out = append(out, block.Bytes)
		}
	}
}
