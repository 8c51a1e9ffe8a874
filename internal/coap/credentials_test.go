package coap

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

func TestLoadCredentialsErrors(t *testing.T) {
	ca := testpki.New(t, "root")
	leaf := ca.Server()
	keys := func(string) ([]byte, bool) { return []byte("k"), true }
	write := func(name, text string) string {
		name = t.TempDir() + "/" + name
		testpki.WriteFile(t, name, []byte(text))
		return name
	}
	tests := []struct {
		name   string
		change func(*CredentialsConfig)
		want   string
	}{
		{"nothing", func(c *CredentialsConfig) { *c = CredentialsConfig{} }, "neither a certificate nor"},
		{"key without certificate", func(c *CredentialsConfig) { c.CertFile, c.PSKs = "", keys }, "without a certificate"},
		{"certificate without key", func(c *CredentialsConfig) { c.KeyFile = "" }, "needs its key"},
		{"certificate without authorities", func(c *CredentialsConfig) { c.CAFile = "" }, "peers' authorities"},
		{"identity without keys", func(c *CredentialsConfig) { c.PSKIdentity = "a" }, "without keys"},
		{"identity without its key", withKeys("a", map[string]string{"b": "k"}), "no pre-shared key"},
		{"TLS 1.1", func(c *CredentialsConfig) { c.MinVersion = tls.VersionTLS11 }, "1.2 or 1.3"},
		{"no such file", func(c *CredentialsConfig) { c.CertFile = "/nowhere" }, "no such file"},
		{"key of another certificate", func(c *CredentialsConfig) {
			c.KeyFile = write("key.pem", string(ca.Server().KeyPEM()))
		}, "pairing"},
		{"authorities not PEM", func(c *CredentialsConfig) { c.CAFile = write("ca.pem", "text") }, "no certificate in it"},
		{"authority broken", func(c *CredentialsConfig) {
			c.CAFile = write("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
		}, "reading"},
		{"file too large", func(c *CredentialsConfig) {
			c.CAFile = write("ca.pem", strings.Repeat(" ", maxCertificateFile+1))
		}, "more than"},
		{"list broken", func(c *CredentialsConfig) { c.CRLFile = write("crl.pem", "text") }, "parsing a revocation list"},
		{"list of a stranger", func(c *CredentialsConfig) {
			c.CRLFile = write("crl.pem", string(testpki.New(t, "root").CRL()))
		}, "not signed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := LoadCredentials(configOf(t, ca, leaf, tt.change))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("LoadCredentials() = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestCredentialsDates(t *testing.T) {
	ca := testpki.New(t, "root")
	leaf := ca.Server()
	plain := credentialsOf(t, ca, leaf)
	if got := plain.NotAfter(); !got.Equal(leaf.Cert.NotAfter) {
		t.Errorf("NotAfter() = %v, want %v", got, leaf.Cert.NotAfter)
	}
	if got := plain.NextCRLUpdate(); !got.IsZero() {
		t.Errorf("NextCRLUpdate() = %v without a list", got)
	}
	listed := credentialsOf(t, ca, leaf, withCRL(t, ca.CRL()))
	if until := time.Until(listed.NextCRLUpdate()); until <= 0 || until > time.Hour {
		t.Errorf("NextCRLUpdate() is in %v", until)
	}
	keys := keysOnly(t, "", nil)
	if got := keys.NotAfter(); !got.IsZero() {
		t.Errorf("NotAfter() = %v without a certificate", got)
	}
}

func TestReload(t *testing.T) {
	oldCA, newCA := testpki.New(t, "old"), testpki.New(t, "new")
	bothNetworks(t, func(t *testing.T, network string) {
		dir := t.TempDir()
		var cfg CredentialsConfig
		cfg.CAFile, cfg.CertFile, cfg.KeyFile = testpki.Files(t, dir, oldCA, oldCA.Server())
		creds, err := LoadCredentials(cfg)
		if err != nil {
			t.Fatal(err)
		}
		l := serve(t, ServerConfig{Network: network, Credentials: creds})
		old := dialer(t, DialConfig{
			Network: network, Address: l.Addr().String(), Credentials: credentialsOf(t, oldCA, oldCA.Client("a.example")),
		})
		live, err := old.Dial(t.Context())
		if err != nil {
			t.Fatalf("Dial() = %v", err)
		}
		liveServer := l.session(t)

		// Bad files change nothing.
		testpki.WriteFile(t, cfg.KeyFile, []byte("broken"))
		if err := creds.Reload(); err == nil {
			t.Error("Reload() = nil for a broken key")
		}
		if _, err := old.Dial(t.Context()); err != nil {
			t.Errorf("Dial() = %v after a refused reload", err)
		}
		l.session(t)

		// Good ones count for new sessions only: also for those that would resume an old one.
		testpki.Files(t, dir, newCA, newCA.Server())
		if err := creds.Reload(); err != nil {
			t.Fatalf("Reload() = %v", err)
		}
		if s, err := old.Dial(t.Context()); err == nil {
			wantEnd(t, s, nil)
		}
		_ = l.failure(t)
		mustDial(t, DialConfig{
			Network: network, Address: l.Addr().String(), Credentials: credentialsOf(t, newCA, newCA.Client("b.example")),
		})
		if got := l.session(t).Peer().Names; got[0] != "b.example" {
			t.Errorf("the new client is %q", got)
		}
		for _, s := range []*Session{live, liveServer} {
			if err := s.Err(); err != nil {
				t.Errorf("a live session ended with the reload: %v", err)
			}
		}
	})
}

func TestReloadOfMissingFile(t *testing.T) {
	ca := testpki.New(t, "root")
	cfg := configOf(t, ca, ca.Server())
	c, err := LoadCredentials(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(cfg.CAFile); err != nil {
		t.Fatal(err)
	}
	if err := c.Reload(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Reload() = %v", err)
	}
	if c.NotAfter().IsZero() {
		t.Error("the old credentials are gone")
	}
}

// RFC 5280, Section 5.2: a list with an unknown critical extension is not used.
func TestCRLWithCriticalExtension(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId: []byte{1},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	deltaIndicator := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}
	for _, extensions := range [][]pkix.Extension{nil, {deltaIndicator}} {
		raw, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number: big.NewInt(2), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour), ExtraExtensions: extensions,
		}, cert, key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseRevocations(raw, []*x509.Certificate{cert}); (err != nil) != (extensions != nil) {
			t.Errorf("%d critical extensions: parseRevocations() = %v", len(extensions), err)
		}
	}
}

func TestSeveralCRLs(t *testing.T) {
	one, two := testpki.New(t, "one"), testpki.New(t, "two")
	a, b := one.Client("a.example"), two.Client("b.example")
	lists := append(one.CRL(a), two.CRL(b)...)
	r, err := parseRevocations(lists, []*x509.Certificate{one.Cert, two.Cert})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		chain []*x509.Certificate
		want  bool
	}{
		{[]*x509.Certificate{a.Cert, one.Cert}, true},
		{[]*x509.Certificate{b.Cert, two.Cert}, true},
		{[]*x509.Certificate{a.Cert, two.Cert}, false}, // a serial number means something for its issuer only
		{[]*x509.Certificate{one.Client("c.example").Cert, one.Cert}, false},
	}
	for i, tt := range tests {
		if got := r.revokes(marksOf(tt.chain)); got != tt.want {
			t.Errorf("chain %d: revokes() = %v", i, got)
		}
	}
	set := &credentialSet{revoked: r}
	if err := set.checkChains([][]*x509.Certificate{tests[0].chain, tests[3].chain}, ""); err != nil {
		t.Errorf("one clean chain: checkChains() = %v", err)
	}
	if err := set.checkChains([][]*x509.Certificate{tests[0].chain}, ""); !errors.Is(err, ErrRevoked) {
		t.Errorf("revoked: checkChains() = %v", err)
	}
	if err := set.checkChains(nil, ""); err == nil {
		t.Error("no chain: checkChains() = nil")
	}
}

func TestCertificateIdentity(t *testing.T) {
	ca := testpki.New(t, "root")
	tests := []struct {
		name    string
		request testpki.Request
		want    []string
	}{
		{"none", testpki.Request{}, nil},
		{"common name only", testpki.Request{CommonName: "a"}, []string{"a"}},
		{"names first", testpki.Request{CommonName: "a", Names: []string{"b", "c"}}, []string{"b", "c", "a"}},
		{"common name repeated", testpki.Request{CommonName: "b", Names: []string{"b", "c"}}, []string{"b", "c"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			leaf := ca.Issue(tt.request)
			got := certificateIdentity(leaf.Cert)
			want := Identity{SPKI: leaf.Cert.RawSubjectPublicKeyInfo, Names: tt.want, NotAfter: leaf.Cert.NotAfter}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}
