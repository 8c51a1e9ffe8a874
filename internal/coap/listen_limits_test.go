package coap

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// silentPeers are peers that begin with the listener and then say nothing.
func silentPeers(t *testing.T, l *listener, n int) {
	t.Helper()
	for range n {
		if l.Addr().Network() == "udp" {
			c, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			falterAt(t, c, l.Addr())
			continue
		}
		c, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
}

func TestSilentPeersHoldUpNobody(t *testing.T) {
	ca := testpki.New(t, "root")
	bothNetworks(t, func(t *testing.T, network string) {
		l := serve(t, ServerConfig{Network: network, Credentials: credentialsOf(t, ca, ca.Server()), MaxHandshakes: 3})
		silentPeers(t, l, 8)
		s := mustDial(t, DialConfig{
			Network: network, Address: l.Addr().String(), Credentials: credentialsOf(t, ca, ca.Client("a.example")),
		})
		var failures int
		for failures < 5 { // the oldest have given way, three handshakes are under way or were
			select {
			case <-l.failures:
				failures++
			case <-time.After(patience):
				t.Fatalf("%d handshakes gave way, want at least 5", failures)
			}
		}
		if err := s.Err(); err != nil {
			t.Errorf("Err() = %v", err)
		}
	})
}

// What a TLS session ticket says is checked against the credentials of the day.
func TestResumedSessionsAreChecked(t *testing.T) {
	ca := testpki.New(t, "root")
	client := ca.Client("a.example")
	list := t.TempDir() + "/crl.pem"
	testpki.WriteFile(t, list, ca.CRL())
	creds := credentialsOf(t, ca, ca.Server(), func(c *CredentialsConfig) { c.CRLFile = list })
	l := serve(t, ServerConfig{Network: NetworkTCP, Credentials: creds})
	cfg := &tls.Config{
		RootCAs: ca.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{client.TLS()},
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	dial := func() (resumed bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", l.Addr().String())
		if err != nil {
			t.Fatalf("dialling: %v", err)
		}
		defer c.Close()
		_, _ = c.Read(make([]byte, 64)) // the session ticket comes before the first bytes of CoAP
		return c.(*tls.Conn).ConnectionState().DidResume
	}
	if dial() {
		t.Error("the first session is a resumed one")
	}
	if got := l.session(t).Peer().Names[0]; got != "a.example" {
		t.Errorf("the client is %q", got)
	}
	if !dial() {
		t.Error("the second session is not a resumed one")
	}
	if got := l.session(t).Peer().Names[0]; got != "a.example" {
		t.Errorf("the resumed client is %q", got)
	}
	testpki.WriteFile(t, list, ca.CRL(client))
	if err := creds.Reload(); err != nil {
		t.Fatalf("Reload() = %v", err)
	}
	if err := rawTLS(t, l, cfg); err == nil {
		t.Error("a revoked client resumed its session")
	}
	_ = l.failure(t)
}

func TestAddresses(t *testing.T) {
	ca := testpki.New(t, "root")
	bothNetworks(t, func(t *testing.T, network string) {
		l := serve(t, ServerConfig{Network: network, Credentials: credentialsOf(t, ca, ca.Server())})
		client := mustDial(t, DialConfig{
			Network: network, Address: l.Addr().String(), Credentials: credentialsOf(t, ca, ca.Client("a.example")),
		})
		server := l.session(t)
		if got := server.LocalAddr().String(); got != l.Addr().String() {
			t.Errorf("the server's address is %s, want %v", got, l.Addr())
		}
		if got := client.RemoteAddr().String(); got != l.Addr().String() {
			t.Errorf("the client's peer is at %s, want %v", got, l.Addr())
		}
		_, want, _ := net.SplitHostPort(client.LocalAddr().String())
		if _, got, _ := net.SplitHostPort(server.RemoteAddr().String()); got != want {
			t.Errorf("the server's peer is at port %s, want %s", got, want)
		}
	})
}
