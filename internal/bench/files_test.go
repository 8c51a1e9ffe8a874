package bench

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/testpki"
)

// pki is a private authority with one certificate for servers and one for clients, as files.
type pki struct{ dir string }

// clientName is the name in the certificate of every client.
const clientName = "client.bench.example"

func newPKI(t *testing.T) pki {
	t.Helper()
	p := pki{t.TempDir()}
	ca := testpki.New(t, "bench")
	p.write(t, "ca.pem", ca.PEM())
	for name, leaf := range map[string]*testpki.Leaf{"server": ca.Server(), "client": ca.Client(clientName)} {
		p.write(t, name+".pem", leaf.CertPEM())
		p.write(t, name+".key", leaf.KeyPEM())
	}
	return p
}

func (p pki) write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(p.path(name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p pki) path(name string) string { return filepath.Join(p.dir, name) }

// credentials are those of "server" or "client".
func (p pki) credentials(t *testing.T, who string) *coap.Credentials {
	t.Helper()
	c, err := coap.LoadCredentials(coap.CredentialsConfig{
		CertFile: p.path(who + ".pem"), KeyFile: p.path(who + ".key"), CAFile: p.path("ca.pem"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// client is what the DTLS library needs for a client's handshake.
func (p pki) client(t *testing.T) []dtls.ClientOption {
	t.Helper()
	_, roots, err := relayCredentials(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	own, err := tls.LoadX509KeyPair(p.path("client.pem"), p.path("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	return []dtls.ClientOption{
		dtls.WithRootCAs(roots), dtls.WithServerName("localhost"), dtls.WithCertificates(own),
		dtls.WithCipherSuites(dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
	}
}
