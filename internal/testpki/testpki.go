// Package testpki makes small certificate authorities in memory for tests.
package testpki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a certificate authority. It belongs to the test that made it and is not safe for concurrent use.
type Authority struct {
	// Cert is the authority's own certificate.
	Cert *x509.Certificate
	key  crypto.Signer
	t    testing.TB
}

// Leaf is a certificate with its key and the chain up to, and without, the root.
type Leaf struct {
	// Cert is the leaf certificate.
	Cert *x509.Certificate
	// Key is its private key.
	Key   crypto.Signer
	chain []*x509.Certificate
	t     testing.TB
}

// Request says what a leaf certificate shall be. The zero value is a P-256 certificate without names that is
// good for clients and servers for an hour around now.
type Request struct {
	// CommonName is the subject's common name. Optional.
	CommonName string
	// Names are the dNSNames of the subject alternative name. Optional.
	Names []string
	// IPs are the iPAddresses of the subject alternative name. Optional.
	IPs []net.IP
	// NotBefore is the start of validity; zero means one hour ago.
	NotBefore time.Time
	// NotAfter is the end of validity; zero means in one hour.
	NotAfter time.Time
	// Usages are the extended key usages; nil means client and server authentication.
	Usages []x509.ExtKeyUsage
	// RSA asks for a 2048-bit RSA key in place of ECDSA P-256.
	RSA bool
}

// New makes a root authority with the given common name.
func New(t testing.TB, name string) *Authority {
	t.Helper()
	key := newKey(t, false)
	template := authorityTemplate(t, name)
	return &Authority{Cert: sign(t, template, template, key.Public(), key), key: key, t: t}
}

// Intermediate makes an authority below a. Leaves it issues carry its certificate in their chain.
func (a *Authority) Intermediate(name string) *Authority {
	a.t.Helper()
	key := newKey(a.t, false)
	return &Authority{Cert: sign(a.t, authorityTemplate(a.t, name), a.Cert, key.Public(), a.key), key: key, t: a.t}
}

// Issue makes a leaf certificate.
func (a *Authority) Issue(r Request) *Leaf {
	a.t.Helper()
	key := newKey(a.t, r.RSA)
	template := &x509.Certificate{
		SerialNumber: serial(a.t),
		Subject:      pkix.Name{CommonName: r.CommonName},
		DNSNames:     r.Names,
		IPAddresses:  r.IPs,
		NotBefore:    orTime(r.NotBefore, -time.Hour),
		NotAfter:     orTime(r.NotAfter, time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  r.Usages,
	}
	if r.Usages == nil {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	}
	leaf := &Leaf{Cert: sign(a.t, template, a.Cert, key.Public(), a.key), Key: key, t: a.t}
	if a.Cert.Issuer.String() != a.Cert.Subject.String() {
		leaf.chain = append(leaf.chain, a.Cert)
	}
	return leaf
}

// Server issues a certificate for "localhost", 127.0.0.1 and ::1.
func (a *Authority) Server() *Leaf {
	a.t.Helper()
	return a.Issue(Request{
		CommonName: "server", Names: []string{"localhost"},
		IPs: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	})
}

// Client issues a certificate whose only dNSName is name.
func (a *Authority) Client(name string) *Leaf {
	a.t.Helper()
	return a.Issue(Request{CommonName: name, Names: []string{name}})
}

// CRL makes a PEM revocation list, good for an hour, that names the given leaves.
func (a *Authority) CRL(revoked ...*Leaf) []byte {
	a.t.Helper()
	list := &x509.RevocationList{
		Number:     serial(a.t),
		ThisUpdate: time.Now().Add(-time.Minute),
		NextUpdate: time.Now().Add(time.Hour),
	}
	for _, l := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: l.Cert.SerialNumber, RevocationTime: time.Now().Add(-time.Minute),
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.Cert, a.key)
	if err != nil {
		a.t.Fatalf("creating a revocation list: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// PEM is the authority's certificate in PEM.
func (a *Authority) PEM() []byte { return certPEM(a.Cert) }

// Pool is a pool that holds only this authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Cert)
	return pool
}

// CertPEM is the leaf followed by its intermediates, in PEM.
func (l *Leaf) CertPEM() []byte {
	out := certPEM(l.Cert)
	for _, c := range l.chain {
		out = append(out, certPEM(c)...)
	}
	return out
}

// KeyPEM is the private key in PKCS #8 PEM.
func (l *Leaf) KeyPEM() []byte {
	l.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(l.Key)
	if err != nil {
		l.t.Fatalf("marshalling a key: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// TLS is the leaf as crypto/tls and pion/dtls want it.
func (l *Leaf) TLS() tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{l.Cert.Raw}, PrivateKey: l.Key, Leaf: l.Cert}
	for _, i := range l.chain {
		c.Certificate = append(c.Certificate, i.Raw)
	}
	return c
}

// Files writes ca.pem, cert.pem and key.pem into dir, which must exist, and returns their names.
// It overwrites older files of these names, as a renewal does.
func Files(t testing.TB, dir string, a *Authority, l *Leaf) (ca, cert, key string) {
	t.Helper()
	ca, cert, key = filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	WriteFile(t, ca, a.PEM())
	WriteFile(t, cert, l.CertPEM())
	WriteFile(t, key, l.KeyPEM())
	return ca, cert, key
}

// WriteFile writes one file that only its owner can read and ends the test when that fails.
func WriteFile(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatalf("writing %s: %v", name, err)
	}
}

func authorityTemplate(t testing.TB, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          serial(t),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-24 * time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

func sign(t testing.TB, template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		t.Fatalf("creating a certificate: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("parsing a certificate: %v", err)
	}
	return cert
}

func newKey(t testing.TB, useRSA bool) crypto.Signer {
	t.Helper()
	if useRSA {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatalf("making an RSA key: %v", err)
		}
		return key
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("making an ECDSA key: %v", err)
	}
	return key
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatalf("making a serial number: %v", err)
	}
	return n
}

func orTime(t time.Time, fromNow time.Duration) time.Time {
	if t.IsZero() {
		return time.Now().Add(fromNow)
	}
	return t
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
