package coap

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

func TestMutualAuthentication(t *testing.T) {
	ca := testpki.New(t, "root")
	kinds := map[string]*testpki.Leaf{
		"ECDSA":        ca.Client("client.example"),
		"RSA":          ca.Issue(testpki.Request{CommonName: "client", Names: []string{"client.example"}, RSA: true}),
		"intermediate": ca.Intermediate("sub").Client("client.example"),
	}
	for kind, leaf := range kinds {
		t.Run(kind, func(t *testing.T) {
			bothNetworks(t, func(t *testing.T, network string) {
				serverLeaf := ca.Issue(testpki.Request{CommonName: "server", Names: []string{"localhost"}, RSA: kind == "RSA"})
				l := serve(t, ServerConfig{Network: network, Credentials: credentialsOf(t, ca, serverLeaf)})
				client := mustDial(t, DialConfig{
					Network: network, Address: l.Addr().String(), ServerName: "localhost", Credentials: credentialsOf(t, ca, leaf),
				})
				server := l.session(t)
				if !slices.Equal(server.Peer().SPKI, leaf.Cert.RawSubjectPublicKeyInfo) {
					t.Error("the server does not know the client's key")
				}
				if got := server.Peer().Names; got[0] != "client.example" {
					t.Errorf("the client's names are %q", got)
				}
				if got := client.Peer(); !slices.Equal(got.SPKI, serverLeaf.Cert.RawSubjectPublicKeyInfo) ||
					!got.NotAfter.Equal(serverLeaf.Cert.NotAfter) {
					t.Errorf("the client sees the server as %+v", got)
				}
				if client.Reliable() != (network == NetworkTCP) || server.Reliable() != client.Reliable() {
					t.Error("Reliable() is wrong")
				}
				if network == NetworkTCP && client.LocalAddr().String() != server.RemoteAddr().String() {
					t.Errorf("the client is %v, the server sees %v", client.LocalAddr(), server.RemoteAddr())
				}
			})
		})
	}
}

func TestEndsOfSession(t *testing.T) {
	ca := testpki.New(t, "root")
	bothNetworks(t, func(t *testing.T, network string) {
		setup := func(t *testing.T) (l *listener, server, client *Session) {
			l = serve(t, ServerConfig{Network: network, Credentials: credentialsOf(t, ca, ca.Server())})
			client = mustDial(t, DialConfig{
				Network: network, Address: l.Addr().String(), Credentials: credentialsOf(t, ca, ca.Client("a.example")),
			})
			return l, l.session(t), client
		}
		t.Run("client closes", func(t *testing.T) {
			_, server, client := setup(t)
			if err := client.Close(); err != nil {
				t.Errorf("Close() = %v", err)
			}
			wantEnd(t, client, ErrClosed)
			wantEnd(t, server, ErrClosedByPeer)
		})
		t.Run("server closes", func(t *testing.T) {
			_, server, client := setup(t)
			if err := server.Close(); err != nil {
				t.Errorf("Close() = %v", err)
			}
			wantEnd(t, server, ErrClosed)
			wantEnd(t, client, ErrClosedByPeer)
		})
		t.Run("server stops", func(t *testing.T) {
			l, server, client := setup(t)
			l.stop()
			wantEnd(t, server, ErrClosed)
			wantEnd(t, client, ErrClosedByPeer)
		})
	})
}

// refusal is a pair of credentials that must not come together. Zero fields are good ones.
type refusal struct {
	name                 string
	server, client       *testpki.Leaf
	serverCRL, clientCRL []byte
	serverName           string
}

// RFC 9132, Section 7.1: both sides are authenticated, the path by RFC 5280, the name by RFC 6125.
func TestRefusedCertificates(t *testing.T) {
	ca, other := testpki.New(t, "root"), testpki.New(t, "other")
	sub := ca.Intermediate("sub")
	past := time.Now().Add(-time.Minute)
	localhost := []string{"localhost"}
	server, client := ca.Server(), ca.Client("a.example")
	tests := []refusal{
		{name: "client of another authority", client: other.Client("a.example")},
		{name: "client that is expired", client: ca.Issue(testpki.Request{NotAfter: past})},
		{name: "client that is not valid yet", client: ca.Issue(testpki.Request{NotBefore: time.Now().Add(time.Minute)})},
		{name: "client with a server's usage", client: ca.Issue(testpki.Request{
			Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})},
		{name: "client that is revoked", serverCRL: ca.CRL(client)},
		{name: "client below a revoked authority", client: sub.Client("a"), serverCRL: ca.CRL(&testpki.Leaf{Cert: sub.Cert})},
		{name: "server of another authority", server: other.Server()},
		{name: "server that is expired", server: ca.Issue(testpki.Request{Names: localhost, NotAfter: past})},
		{name: "server with a client's usage", server: ca.Issue(testpki.Request{
			Names: localhost, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})},
		{name: "server with another name", serverName: "else.example"},
		{name: "server with another address", serverName: "192.0.2.1"},
		{name: "server with a wildcard", serverName: "a.example", server: ca.Issue(testpki.Request{Names: []string{"*.example"}})},
		{name: "server whose common name matches", server: ca.Issue(testpki.Request{CommonName: "localhost"})},
		{name: "server that is revoked", clientCRL: ca.CRL(server)},
	}
	for _, tt := range tests {
		tt.server, tt.client = cmp.Or(tt.server, server), cmp.Or(tt.client, client)
		tt.serverName = cmp.Or(tt.serverName, "localhost")
		t.Run(tt.name, func(t *testing.T) {
			bothNetworks(t, func(t *testing.T, network string) { tt.check(t, network, ca) })
		})
	}
}

func (r refusal) check(t *testing.T, network string, ca *testpki.Authority) {
	var serverChange, clientChange []func(*CredentialsConfig)
	if r.serverCRL != nil {
		serverChange = append(serverChange, withCRL(t, r.serverCRL))
	}
	if r.clientCRL != nil {
		clientChange = append(clientChange, withCRL(t, r.clientCRL))
	}
	l := serve(t, ServerConfig{Network: network, Credentials: credentialsOf(t, ca, r.server, serverChange...)})
	s, err := dialOnce(t, DialConfig{
		Network: network, Address: l.Addr().String(), ServerName: r.serverName,
		Credentials: credentialsOf(t, ca, r.client, clientChange...),
	})
	if err == nil {
		wantEnd(t, s, nil) // TLS 1.3: the server refuses after the client is done
	}
	if err := l.failure(t); err == nil {
		t.Error("the server saw no failure")
	}
}

func TestCRLOfOthersAccepted(t *testing.T) {
	ca := testpki.New(t, "root")
	list := ca.CRL(ca.Client("b.example"))
	bothNetworks(t, func(t *testing.T, network string) {
		l := serve(t, ServerConfig{Network: network, Credentials: credentialsOf(t, ca, ca.Server(), withCRL(t, list))})
		mustDial(t, DialConfig{
			Network: network, Address: l.Addr().String(),
			Credentials: credentialsOf(t, ca, ca.Client("a.example"), withCRL(t, list)),
		})
		l.session(t)
	})
}

func TestOnSessionRefuses(t *testing.T) {
	ca := testpki.New(t, "root")
	refusal := errors.New("unknown client")
	bothNetworks(t, func(t *testing.T, network string) {
		creds := credentialsOf(t, ca, ca.Server())
		cfg := DialConfig{Network: network, Credentials: credentialsOf(t, ca, ca.Client("a.example"))}
		t.Run("server", func(t *testing.T) {
			refusing := serve(t, ServerConfig{
				Network: network, Credentials: creds, OnSession: func(*Session) error { return refusal },
			})
			cfg.Address = refusing.Addr().String()
			// The server's close_notify may arrive with its last flight, and Dial fails.
			if s, err := dialOnce(t, cfg); err == nil {
				wantEnd(t, s, ErrClosedByPeer)
			}
		})
		t.Run("client", func(t *testing.T) {
			accepting := serve(t, ServerConfig{Network: network, Credentials: creds})
			cfg.Address = accepting.Addr().String()
			cfg.OnSession = func(*Session) error { return refusal }
			if _, err := dialOnce(t, cfg); !errors.Is(err, refusal) {
				t.Errorf("Dial() = %v, want the refusal", err)
			}
			wantEnd(t, accepting.session(t), ErrClosedByPeer)
		})
	})
}

func TestMaxSessions(t *testing.T) {
	ca := testpki.New(t, "root")
	bothNetworks(t, func(t *testing.T, network string) {
		var counters Counters
		l := serve(t, ServerConfig{
			Network: network, Credentials: credentialsOf(t, ca, ca.Server()), MaxSessions: 1,
			Session: SessionConfig{Counters: &counters},
		})
		d := dialer(t, DialConfig{
			Network: network, Address: l.Addr().String(), Credentials: credentialsOf(t, ca, ca.Client("a.example")),
		})
		first, err := d.Dial(t.Context())
		if err != nil {
			t.Fatalf("Dial() = %v", err)
		}
		server := l.session(t)
		ctx, giveUp := context.WithCancel(t.Context())
		defer giveUp()
		dialled := make(chan error, 1)
		go func() {
			_, err := d.Dial(ctx)
			dialled <- err
		}()
		within(t, "the refusal", func() { // nothing but the counter tells of it: over UDP, the peer gets no answer
			again := time.NewTicker(time.Millisecond)
			defer again.Stop()
			for counters.SessionsRefused.Load() == 0 {
				<-again.C
			}
		})
		giveUp()
		if err := <-dialled; err == nil {
			t.Error("Dial() = nil beyond the limit")
		}
		select {
		case <-first.Done():
			t.Fatalf("the first session ended: %v", first.Err())
		default:
		}
		_ = first.Close()
		wantEnd(t, server, ErrClosedByPeer)
		again, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		for { // the place is free a moment after the session's end
			if _, err := d.Dial(again); err == nil {
				break
			} else if again.Err() != nil {
				t.Fatalf("Dial() = %v when there is room again", err)
			}
		}
		l.session(t)
	})
}

func TestListenErrors(t *testing.T) {
	ca := testpki.New(t, "root")
	good := credentialsOf(t, ca, ca.Server())
	tests := map[string]ServerConfig{
		"no credentials":  {Network: NetworkUDP, Address: "127.0.0.1:0"},
		"unknown network": {Network: "sctp", Address: "127.0.0.1:0", Credentials: good},
		"bad UDP address": {Network: NetworkUDP, Address: "127.0.0.1:-1", Credentials: good},
		"bad TCP address": {Network: NetworkTCP, Address: "127.0.0.1:-1", Credentials: good},
	}
	for name, cfg := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Listen(cfg); err == nil {
				t.Error("Listen() = nil")
			}
		})
	}
}
