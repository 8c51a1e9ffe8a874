package coap

import (
	"crypto/tls"
	"errors"
	"testing"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// tlsStateOf is what the handshake of a session over TCP has come to.
func tlsStateOf(t *testing.T, s *Session) tls.ConnectionState {
	t.Helper()
	l, ok := s.link.(*tlsLink)
	if !ok {
		t.Fatalf("the session is over a %T", s.link)
	}
	return l.conn.ConnectionState()
}

// RFC 9132, Section 7.1: a dialer resumes its TLS sessions, with its certificate; the server knows again who it is.
func TestTLSResumes(t *testing.T) {
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			ca := testpki.New(t, "root")
			l := serve(t, ServerConfig{Network: NetworkTCP, Credentials: credentialsOf(t, ca, ca.Server())})
			clients := credentialsOf(t, ca, ca.Client("a.example"))
			clients.current.Load().tlsClient.MaxVersion = version
			d := dialer(t, DialConfig{Network: NetworkTCP, Address: l.Addr().String(), ServerName: "localhost", Credentials: clients})
			for i, want := range []bool{false, true, true} {
				ours, err := d.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				theirs := l.session(t)
				if err := ours.Ping(t.Context()); err != nil { // what comes with the answer has the ticket
					t.Fatal(err)
				}
				for _, s := range []*Session{ours, theirs} {
					if state := tlsStateOf(t, s); state.DidResume != want || state.Version != version {
						t.Errorf("session %d: resumed %v over %x, want %v over %x", i, state.DidResume, state.Version, want, version)
					}
				}
				if got := theirs.Peer().Names; len(got) != 1 || got[0] != "a.example" || len(theirs.Peer().Chain) == 0 {
					t.Errorf("session %d: the client is %q, believed by %v", i, got, theirs.Peer().Chain)
				}
				_ = ours.Close()
				<-theirs.Done()
			}
		})
	}
}

// Whoever resumes a session is checked as anybody else: here the server has learnt meanwhile that the certificate is revoked.
func TestTLSRevokedClientDoesNotResume(t *testing.T) {
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			ca := testpki.New(t, "root")
			server, leaf := ca.Server(), ca.Client("a.example")
			client, err := credentialsOf(t, ca, leaf).current.Load().tlsClientFor("localhost")
			if err != nil {
				t.Fatal(err)
			}
			client.MaxVersion = version
			trusting := credentialsOf(t, ca, server).current.Load().tlsServer
			knowing := credentialsOf(t, ca, server, withCRL(t, ca.CRL(leaf))).current.Load().tlsServer
			for _, c := range []*tls.Config{trusting, knowing} {
				c.SetSessionTicketKeys([][32]byte{{1}}) // as of one server
			}
			if resumed, err := connectTLS(t, client, trusting); resumed || err != nil {
				t.Fatalf("first: resumed %v, %v", resumed, err)
			}
			if resumed, err := connectTLS(t, client, trusting); !resumed || err != nil {
				t.Fatalf("again: resumed %v, %v", resumed, err)
			}
			if resumed, err := connectTLS(t, client, knowing); !resumed || !errors.Is(err, ErrRevoked) {
				t.Errorf("after the revocation: resumed %v, %v", resumed, err)
			}
		})
	}
}

// connectTLS shakes hands and passes a byte. It tells what the server says of it.
func connectTLS(t *testing.T, client, server *tls.Config) (resumed bool, err error) {
	t.Helper()
	near, far := tcpPair(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c := tls.Client(far, client)
		defer c.Close()
		_, _ = c.Read(make([]byte, 1)) // the ticket comes before it
	}()
	s := tls.Server(near, server)
	err = s.HandshakeContext(t.Context())
	if err == nil {
		_, err = s.Write([]byte{1})
	}
	_ = near.Close()
	<-done
	return s.ConnectionState().DidResume, err
}
