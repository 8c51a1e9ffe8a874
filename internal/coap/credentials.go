package coap

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of the files that LoadCredentials reads, in bytes. A larger file is refused.
const (
	maxCertificateFile = 1 << 20
	maxCRLFile         = 16 << 20
)

var (
	// ErrNoCertificate says that a certificate is needed where the credentials hold only a pre-shared key.
	ErrNoCertificate = errors.New("no certificate configured")
	// ErrNoPSK says that the pre-shared key of the configured identity does not exist.
	ErrNoPSK = errors.New("no pre-shared key for this identity")
)

// CredentialsConfig names what an endpoint proves itself with and whom it believes.
// Either CertFile, KeyFile and CAFile are set, or PSKs, or all of them.
type CredentialsConfig struct {
	// CertFile is a PEM file: the leaf certificate, then its intermediates. Required unless PSKs is set.
	CertFile string
	// KeyFile is the PEM file of the leaf's private key (ECDSA, RSA). Required with CertFile.
	KeyFile string
	// CAFile is a PEM file of the authorities that peers' certificates must lead to. Required with CertFile.
	// The host's own authorities are never used.
	CAFile string
	// CRLFile holds revocation lists, PEM or one in DER, each signed by an authority of CAFile. Optional; empty
	// means no revocation check. Certificates of an authority without a list are not checked, and a list past its
	// nextUpdate goes on being applied: NextCRLUpdate tells.
	CRLFile string
	// PSKs finds the pre-shared key of an identity; ok is false for an unknown one. It is called during
	// handshakes, from any goroutine, and must not block. Optional; nil means no pre-shared keys. DTLS only.
	PSKs func(identity string) (key []byte, ok bool)
	// PSKIdentity is the identity that a dialer shows. Optional; when set, DTLS dialling uses the pre-shared key
	// and no certificate. A listener does not use it.
	PSKIdentity string
	// AllowPlainPSK also accepts pre-shared key suites without Diffie-Hellman, for peers that have no other: what
	// is recorded today can then be read by whoever gets the key later (no forward secrecy), and RFC 9132,
	// Section 7.1 is not met. Zero means refuse.
	AllowPlainPSK bool
	// MinVersion is the lowest TLS version over TCP, tls.VersionTLS12 or tls.VersionTLS13; zero means 1.2.
	// DTLS is always 1.2.
	MinVersion uint16
}

// Credentials are an endpoint's credentials, which can be renewed while sessions live. Safe for concurrent use.
type Credentials struct {
	cfg     CredentialsConfig
	reload  sync.Mutex
	current atomic.Pointer[credentialSet]
}

// credentialSet is one consistent state of the credentials. It is immutable; each handshake takes one and keeps it.
type credentialSet struct {
	cfg         CredentialsConfig
	certificate *tls.Certificate // nil without CertFile
	authorities *x509.CertPool
	revoked     *revocations
	proven      *provenChains
	tlsServer   *tls.Config // nil without a certificate
	tlsClient   *tls.Config // template without ServerName; nil without a certificate
}

// LoadCredentials reads the files and checks that they fit together.
func LoadCredentials(cfg CredentialsConfig) (*Credentials, error) {
	c := &Credentials{cfg: cfg}
	if err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// Reload reads the files again. New handshakes use the new credentials; live sessions stay as they are. When
// anything is wrong the old credentials stay in force and the error says what it was.
func (c *Credentials) Reload() error {
	c.reload.Lock()
	defer c.reload.Unlock()
	next, err := loadCredentialSet(c.cfg)
	if err != nil {
		return fmt.Errorf("loading credentials: %w", err)
	}
	c.current.Store(next)
	return nil
}

// Use puts in force what other has loaded, files and keys alike: new handshakes use it, live sessions stay as they are. A later Reload reads
// other's files.
func (c *Credentials) Use(other *Credentials) {
	c.reload.Lock()
	defer c.reload.Unlock()
	c.cfg = other.cfg
	c.current.Store(other.current.Load())
}

// NotAfter is the end of validity of the endpoint's own certificate; zero without one.
func (c *Credentials) NotAfter() time.Time {
	if cert := c.current.Load().certificate; cert != nil {
		return cert.Leaf.NotAfter
	}
	return time.Time{}
}

// NextCRLUpdate is the earliest nextUpdate of the revocation lists; zero without one.
func (c *Credentials) NextCRLUpdate() time.Time { return c.current.Load().revoked.next() }

func loadCredentialSet(cfg CredentialsConfig) (*credentialSet, error) {
	if err := checkCredentials(cfg); err != nil {
		return nil, err
	}
	s := &credentialSet{cfg: cfg}
	if cfg.CertFile == "" {
		return s, nil
	}
	cert, err := loadKeyPair(cfg.CertFile, cfg.KeyFile)
	if err != nil {
		return nil, err
	}
	authorities, err := loadAuthorities(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	if s.proven, err = newProvenChains(); err != nil {
		return nil, err
	}
	s.certificate, s.authorities = cert, x509.NewCertPool()
	for _, a := range authorities {
		s.authorities.AddCert(a)
	}
	if cfg.CRLFile != "" {
		raw, err := readBounded(cfg.CRLFile, maxCRLFile)
		if err != nil {
			return nil, err
		}
		if s.revoked, err = parseRevocations(raw, authorities); err != nil {
			return nil, fmt.Errorf("reading %s: %w", cfg.CRLFile, err)
		}
	}
	s.tlsServer, s.tlsClient = tlsServerConfig(s), tlsClientConfig(s)
	return s, nil
}

func checkCredentials(cfg CredentialsConfig) error {
	if err := checkFileNames(cfg); err != nil {
		return err
	}
	switch cfg.MinVersion {
	case 0, tls.VersionTLS12, tls.VersionTLS13:
	default:
		return errors.New("the lowest TLS version must be 1.2 or 1.3")
	}
	if cfg.PSKIdentity == "" {
		return nil
	}
	if cfg.PSKs == nil {
		return errors.New("a pre-shared key identity without keys")
	}
	_, err := pskFor(cfg, cfg.PSKIdentity)
	return err
}

func checkFileNames(cfg CredentialsConfig) error {
	switch {
	case cfg.CertFile != "" && (cfg.KeyFile == "" || cfg.CAFile == ""):
		return errors.New("a certificate needs its key and the peers' authorities")
	case cfg.CertFile != "":
		return nil
	case cfg.KeyFile+cfg.CAFile+cfg.CRLFile != "":
		return errors.New("a key, authorities or a revocation list without a certificate")
	case cfg.PSKs == nil:
		return errors.New("neither a certificate nor pre-shared keys")
	}
	return nil
}

// pskFor is the key of an identity. An empty key would be no secret at all, so it counts as none.
func pskFor(cfg CredentialsConfig, identity string) ([]byte, error) {
	key, ok := cfg.PSKs(identity)
	if !ok || len(key) == 0 {
		return nil, ErrNoPSK
	}
	return key, nil
}

func loadKeyPair(certFile, keyFile string) (*tls.Certificate, error) {
	certPEM, err := readBounded(certFile, maxCertificateFile)
	if err != nil {
		return nil, err
	}
	keyPEM, err := readBounded(keyFile, maxCertificateFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("pairing %s with %s: %w", certFile, keyFile, err)
	}
	return &pair, nil
}

func loadAuthorities(name string) ([]*x509.Certificate, error) {
	raw, err := readBounded(name, maxCertificateFile)
	if err != nil {
		return nil, err
	}
	var out []*x509.Certificate
	for _, der := range pemBlocks(raw, "CERTIFICATE") {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		out = append(out, cert)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("reading %s: no certificate in it", name)
	}
	return out, nil
}

// readBounded reads a whole file of at most limit bytes.
func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("reading %s: more than %d bytes", name, limit)
	}
	return raw, nil
}
