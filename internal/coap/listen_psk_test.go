package coap

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

func keysOnly(t *testing.T, identity string, keys map[string]string) *Credentials {
	t.Helper()
	var cfg CredentialsConfig
	withKeys(identity, keys)(&cfg)
	c, err := LoadCredentials(cfg)
	if err != nil {
		t.Fatalf("LoadCredentials() = %v", err)
	}
	return c
}

// RFC 9132, Section 7.1: a pre-shared key with ephemeral Diffie-Hellman.
func TestPSK(t *testing.T) {
	ca := testpki.New(t, "root")
	keys := map[string]string{"client1": "secret one", "client2": "secret two"}
	servers := map[string]*Credentials{
		"keys only":             keysOnly(t, "", keys),
		"keys and certificates": credentialsOf(t, ca, ca.Server(), withKeys("", keys)),
	}
	for name, creds := range servers {
		t.Run(name, func(t *testing.T) {
			l := serve(t, ServerConfig{Network: NetworkUDP, Credentials: creds})
			s := mustDial(t, DialConfig{
				Network: NetworkUDP, Address: l.Addr().String(), Credentials: keysOnly(t, "client2", keys),
			})
			if got := l.session(t).Peer(); got.PSKIdentity != "client2" || got.SPKI != nil {
				t.Errorf("the server sees %+v", got)
			}
			if got := s.Peer(); got.PSKIdentity != "client2" || got.SPKI != nil {
				t.Errorf("the client sees %+v", got)
			}
		})
	}
	t.Run("certificate at a server that has both", func(t *testing.T) {
		l := serve(t, ServerConfig{Network: NetworkUDP, Credentials: servers["keys and certificates"]})
		mustDial(t, DialConfig{
			Network: NetworkUDP, Address: l.Addr().String(), Credentials: credentialsOf(t, ca, ca.Client("a.example")),
		})
		if got := l.session(t).Peer(); got.PSKIdentity != "" || got.Names[0] != "a.example" {
			t.Errorf("the server sees %+v", got)
		}
	})
}

func TestPSKRefused(t *testing.T) {
	keys := map[string]string{"client1": "secret one", "empty": ""}
	t.Run("unknown identity", func(t *testing.T) {
		l := serve(t, ServerConfig{Network: NetworkUDP, Credentials: keysOnly(t, "", keys)})
		_, err := dialOnce(t, DialConfig{
			Network: NetworkUDP, Address: l.Addr().String(),
			Credentials: keysOnly(t, "stranger", map[string]string{"stranger": "secret one"}),
		})
		if err == nil {
			t.Error("Dial() succeeded")
		}
		if err := l.failure(t); !errors.Is(err, ErrNoPSK) {
			t.Errorf("the server's error is %v", err)
		}
	})
	t.Run("identity with an empty key", func(t *testing.T) {
		l := serve(t, ServerConfig{Network: NetworkUDP, Credentials: keysOnly(t, "", keys)})
		err := rawDTLS(t, l,
			dtls.WithPSK(func([]byte) ([]byte, error) { return nil, nil }), dtls.WithPSKIdentityHint([]byte("empty")),
			dtls.WithCipherSuites(dtls.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256),
		)
		if err == nil {
			t.Error("the handshake succeeded")
		}
		_ = l.failure(t)
	})
	t.Run("wrong key", func(t *testing.T) {
		l := serve(t, ServerConfig{
			Network: NetworkUDP, Credentials: keysOnly(t, "", keys), HandshakeTimeout: 300 * time.Millisecond,
		})
		ctx, giveUp := context.WithCancel(t.Context())
		defer giveUp()
		d := dialer(t, DialConfig{
			Network: NetworkUDP, Address: l.Addr().String(),
			Credentials: keysOnly(t, "client1", map[string]string{"client1": "secret two"}),
		})
		dialled := make(chan error, 1)
		go func() {
			_, err := d.Dial(ctx)
			dialled <- err
		}()
		_ = l.failure(t) // neither side says what is wrong, so that each waits for the other until it gives up
		giveUp()
		if err := <-dialled; err == nil {
			t.Error("Dial() succeeded")
		}
	})
	t.Run("over TCP", func(t *testing.T) {
		_, err := dialOnce(t, DialConfig{
			Network: NetworkTCP, Address: "127.0.0.1:1", Credentials: keysOnly(t, "client1", keys),
		})
		if !errors.Is(err, ErrNoCertificate) {
			t.Errorf("Dial() = %v", err)
		}
		l := serve(t, ServerConfig{Network: NetworkTCP, Credentials: keysOnly(t, "", keys)})
		ca := testpki.New(t, "root")
		if _, err := dialOnce(t, DialConfig{
			Network: NetworkTCP, Address: l.Addr().String(), Credentials: credentialsOf(t, ca, ca.Client("a.example")),
		}); err == nil {
			t.Error("Dial() to a server without a certificate succeeded")
		}
		if err := l.failure(t); !errors.Is(err, ErrNoCertificate) {
			t.Errorf("the server's error is %v", err)
		}
	})
}

// RFC 9132, Section 7.1: without Diffie-Hellman there is no forward secrecy, so it takes an explicit decision.
func TestPlainPSK(t *testing.T) {
	keys := map[string]string{"client1": "secret one"}
	suites := []dtls.CipherSuiteID{
		dtls.TLS_PSK_WITH_AES_128_GCM_SHA256, dtls.TLS_PSK_WITH_AES_128_CCM_8, dtls.TLS_PSK_WITH_AES_128_CBC_SHA256,
		dtls.TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256,
	}
	for _, suite := range suites {
		for _, allow := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, allowed = %v", dtls.CipherSuiteName(suite), allow), func(t *testing.T) {
				aead := suite == dtls.TLS_PSK_WITH_AES_128_GCM_SHA256 || suite == dtls.TLS_PSK_WITH_AES_128_CCM_8
				cfg := CredentialsConfig{AllowPlainPSK: allow}
				withKeys("", keys)(&cfg)
				c, err := LoadCredentials(cfg)
				if err != nil {
					t.Fatal(err)
				}
				l := serve(t, ServerConfig{Network: NetworkUDP, Credentials: c})
				err = rawDTLS(t, l,
					dtls.WithPSK(func([]byte) ([]byte, error) { return []byte("secret one"), nil }),
					dtls.WithPSKIdentityHint([]byte("client1")), dtls.WithCipherSuites(suite),
				)
				if (err == nil) != (allow && aead) {
					t.Errorf("handshake: %v", err)
				}
			})
		}
	}
}
