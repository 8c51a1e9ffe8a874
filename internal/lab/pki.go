package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// PKIConfig says where a private PKI is made.
type PKIConfig struct {
	// Dir is where the files go; it is made where it does not exist. Required.
	Dir string
	// Force overwrites a PKI that is there. Zero means refuse.
	Force bool
	// Lifetime of the authority and its leaves; zero means 90 days.
	Lifetime time.Duration
}

// pkiLifetime is short: a lab's keys lie about.
const pkiLifetime = 90 * 24 * time.Hour

// ErrPKIExists says that there is a PKI already, whose keys somebody may be using.
var ErrPKIExists = errors.New("there is a PKI already (force overwrites it)")

// leafKind is one of the certificates of the lab.
type leafKind struct {
	name    string
	host    string
	local   bool // also for localhost, 127.0.0.1 and ::1
	expired bool
	foreign bool // by another authority
}

// leaves are the certificates that WritePKI makes.
func leaves() []leafKind {
	return []leafKind{
		{name: "upstream", host: "upstream.lab.example", local: true},
		{name: "gateway", host: "gateway.lab.example", local: true},
		{name: "client1", host: "client1.lab.example"},
		{name: "client2", host: "client2.lab.example"},
		{name: "client3", host: "client3.lab.example"},
		{name: "server1", host: "server1.lab.example", local: true},
		{name: "server2", host: "server2.lab.example", local: true},
		{name: "server3", host: "server3.lab.example", local: true},
		{name: "a", host: "a.lab.example", local: true},
		{name: "b", host: "b.lab.example", local: true},
		{name: "c", host: "c.lab.example", local: true},
		{name: "stranger", host: "client1.lab.example", foreign: true},
		{name: "expired", host: "client1.lab.example", expired: true},
	}
}

// WritePKI makes an authority and certificates for everybody in the lab: NAME.pem and NAME.key of upstream, gateway,
// client1 to client3, server1 to server3 (a farm), a, b and c (gateways that are neighbours), stranger (client1's name, but another
// authority's) and expired, and ca.pem. The authorities' own keys are not kept, so nothing can be added later. Keys are readable
// by their owner only.
func WritePKI(cfg PKIConfig) error {
	if cfg.Lifetime <= 0 {
		cfg.Lifetime = pkiLifetime
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("making the PKI's directory: %w", err)
	}
	ca := filepath.Join(cfg.Dir, "ca.pem")
	if _, err := os.Stat(ca); !cfg.Force && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("writing %s: %w", ca, ErrPKIExists)
	}
	own, err := newAuthority("DOTS lab", cfg.Lifetime)
	if err != nil {
		return err
	}
	other, err := newAuthority("DOTS lab's stranger", cfg.Lifetime)
	if err != nil {
		return err
	}
	for _, kind := range leaves() {
		by := own
		if kind.foreign {
			by = other
		}
		if err := by.issue(cfg, kind); err != nil {
			return fmt.Errorf("issuing %s: %w", kind.name, err)
		}
	}
	// The authority comes last: where it stands, the PKI is whole.
	return writeWhole(ca, pemOf("CERTIFICATE", own.cert.Raw), 0o644)
}

// authority signs while the PKI is made.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(name string, lifetime time.Duration) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	a := &authority{cert: template, key: key}
	der, err := a.sign(template, key)
	if err != nil {
		return nil, err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("reading our own authority: %w", err)
	}
	return a, nil
}

func (a *authority) sign(template *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return der, nil
}

func (a *authority) issue(cfg PKIConfig, kind leafKind) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: kind.host},
		DNSNames:    []string{kind.host},
		NotBefore:   time.Now().Add(-time.Hour),
		NotAfter:    time.Now().Add(cfg.Lifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if kind.local {
		template.DNSNames = append(template.DNSNames, "localhost")
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	if kind.expired {
		template.NotBefore, template.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	}
	der, err := a.sign(template, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding the key: %w", err)
	}
	base := filepath.Join(cfg.Dir, kind.name)
	if err := writeWhole(base+".key", pemOf("PRIVATE KEY", secret), 0o600); err != nil {
		return err
	}
	return writeWhole(base+".pem", pemOf("CERTIFICATE", der), 0o644)
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// writeWhole writes a file that is there whole or not at all, with exactly the given permissions.
func writeWhole(name string, data []byte, perm fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // of no effect once it is renamed
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(perm)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return fmt.Errorf("putting %s in its place: %w", name, err)
	}
	return nil
}
