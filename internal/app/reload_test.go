package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/lab"
	"github.com/dotsgate/dotsgate/internal/testpki"
)

// TestReload renews everybody's certificates under an authority of their own while sessions live.
func TestReload(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	gw := startGateway(t, writeGatewayFile(t, pki, up.address(), config.TransportDTLS, ""))
	gw.awaitUplink(t, true)
	var old []*testClient
	for _, a := range gw.Addrs() {
		old = append(old, connect(t, pki, "client1", a))
	}
	old[0].must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))

	if err := lab.WritePKI(lab.PKIConfig{Dir: pki, Force: true}); err != nil {
		t.Fatal(err)
	}
	reloaded(t, gw, "configuration reloaded")
	for _, c := range old {
		c.must(t, dots.CodeContent, get(1)) // a session that lives goes on
	}
	for _, a := range gw.Addrs() {
		connect(t, pki, "client1", a).must(t, dots.CodeContent, get(1)) // a client is its name, whatever its key
	}

	// Bad files change nothing.
	if err := os.WriteFile(filepath.Join(pki, "gateway.pem"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	reloaded(t, gw, "reloading failed")
	connect(t, pki, "client1", gw.Addrs()[0]).must(t, dots.CodeContent, get(1))
	if up.hangUp(); len(up.names()) != 1 {
		t.Errorf("upstream stands %v", up.names())
	}
}

// reloaded sends a signal, as SIGHUP does, and waits for what the log says of it.
func reloaded(t *testing.T, gw *testGateway, want string) {
	t.Helper()
	before := strings.Count(gw.log.String(), want)
	signals := make(chan os.Signal, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); gw.ReloadOn(ctx, signals) }()
	signals <- syscall.SIGHUP
	eventually(t, "reloading", func() error {
		if strings.Count(gw.log.String(), want) == before {
			return os.ErrNotExist
		}
		return nil
	})
	cancel()
	<-ended
}

// TestReloadKeys takes a pre-shared key away and gives another.
func TestReloadKeys(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	keys := filepath.Join(pki, "psk.txt")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(keys, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const first, second = "one:000102030405060708090a0b0c0d0e0f\n", "two:101112131415161718191a1b1c1d1e1f\n"
	write(first)
	file := writeGatewayFile(t, pki, freeAddress(t), config.TransportDTLS, "")
	change(t, file, "credentials: {cert:", "credentials: {psk_file: "+keys+", cert:")
	change(t, file, "cert_names: [client2.lab.example]", "psk_identities: [one, two]")
	gw := startGateway(t, file)
	dialPSK := func(identity, key string) (*testClient, error) {
		cred, err := coap.LoadCredentials(coap.CredentialsConfig{
			PSKIdentity: identity, PSKs: func(string) ([]byte, bool) { return unhex(key), true },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return dial(ctx, cred, gw.Addrs()[0])
	}
	try := func(identity, key string) error {
		c, err := dialPSK(identity, key)
		if err != nil {
			return err
		}
		defer c.close()
		c.cuid = "psk"
		c.must(t, dots.CodeNotFound, get(1))
		return nil
	}
	if err := try("one", "00"); err != nil {
		t.Errorf("with the first key: %v", err)
	}
	live, err := dialPSK("one", "00")
	if err != nil {
		t.Fatal(err)
	}
	defer live.close()
	write(second)
	if err := gw.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended(t, live)
	if err := try("two", "10"); err != nil {
		t.Errorf("with the second key: %v", err)
	}
	if err := try("one", "00"); err == nil {
		t.Error("a key that was taken away is still good")
	}
	write("two:00\n")
	if err := gw.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "line 1 is no identity") || !strings.Contains(err.Error(), "credentials.psk_file") {
		t.Errorf("reloading a bad file: %v", err)
	}
	if err := try("two", "10"); err != nil {
		t.Errorf("with the second key, after a bad file: %v", err)
	}
}

// ended waits until the gateway has closed a client's session.
func ended(t *testing.T, c *testClient) {
	t.Helper()
	select {
	case <-c.session.Done():
	case <-time.After(patience):
		t.Fatal("the session lives")
	}
}

// TestReloadRevoked ends the sessions, over UDP and TCP, of a client whose certificate is on a new revocation list, and nobody else's. What it asked for
// stands: it is the client's, and not the session's.
//
// RFC 9132, Section 8: only those are served who are authenticated.
func TestReloadRevoked(t *testing.T) {
	t.Parallel()
	pki, ca, leaves := revocablePKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	list := filepath.Join(pki, "revoked.pem")
	testpki.WriteFile(t, list, ca.CRL())
	file := writeGatewayFile(t, pki, up.address(), config.TransportDTLS, "")
	change(t, file, "ca: "+pki+"/ca.pem}\nuplinks:", "ca: "+pki+"/ca.pem, crl: "+list+"}\nuplinks:")
	gw := startGateway(t, file)
	gw.awaitUplink(t, true)
	var goes, stays []*testClient
	for _, at := range gw.Addrs() {
		goes, stays = append(goes, connect(t, pki, "client1", at)), append(stays, connect(t, pki, "client2", at))
	}
	goes[0].must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	if err := gw.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	goes[0].must(t, dots.CodeContent, get(1))
	testpki.WriteFile(t, list, ca.CRL(leaves["client1"]))
	if err := gw.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range goes {
		ended(t, goes[i])
		stays[i].must(t, dots.CodeNotFound, get(1))
	}
	if err := gw.log.has(`msg="credentials of a client are no longer believed, closing its session"`); err != nil {
		t.Error(err)
	}
	wantLines(t, gw.metrics, `dotsgate_sessions_disowned_total 2`, `dotsgate_sessions_lost_total{side="downstream"} 0`)
	if got := up.prefixes(); len(got) != 1 {
		t.Errorf("upstream stands %v", got)
	}
}

// revocablePKI is a folder with the lab's names, of an authority that can revoke.
func revocablePKI(t *testing.T) (dir string, ca *testpki.Authority, leaves map[string]*testpki.Leaf) {
	t.Helper()
	dir, ca, leaves = t.TempDir(), testpki.New(t, "revoking"), map[string]*testpki.Leaf{}
	testpki.WriteFile(t, filepath.Join(dir, "ca.pem"), ca.PEM())
	for _, name := range []string{"gateway", "upstream", "client1", "client2"} {
		leaves[name] = ca.Client(name + ".lab.example")
		testpki.WriteFile(t, filepath.Join(dir, name+".pem"), leaves[name].CertPEM())
		testpki.WriteFile(t, filepath.Join(dir, name+".key"), leaves[name].KeyPEM())
	}
	return dir, ca, leaves
}

// unhex makes the key whose first byte is given and whose others count on.
func unhex(first string) []byte {
	key := make([]byte, 16)
	for i := range key {
		key[i] = byte(i)
		if first == "10" {
			key[i] += 0x10
		}
	}
	return key
}
