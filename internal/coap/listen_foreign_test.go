package coap

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// rawTLS dials the listener with crypto/tls alone and waits for the first byte after the handshake, which is of the
// server's CSM, so that a refusal of TLS 1.3 is seen.
//
// RFC 8323, Section 5.3: each side sends a CSM as its first message.
func rawTLS(t *testing.T, l *listener, cfg *tls.Config) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	_, err = conn.Read(make([]byte, 1))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("neither an alert nor a CSM: %v", err)
	}
	return err
}

// rawDTLS dials the listener with the DTLS library alone.
func rawDTLS(t *testing.T, l *listener, opts ...dtls.ClientOption) error {
	t.Helper()
	conn, err := dtls.DialWithOptions("udp", l.Addr().(*net.UDPAddr), opts...)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return conn.HandshakeContext(ctx)
}

// RFC 9132, Section 7.1: a client proves itself with a certificate or a pre-shared key, always.
func TestNoClientCertificate(t *testing.T) {
	ca := testpki.New(t, "root")
	t.Run("tcp", func(t *testing.T) {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(tls.VersionName(version), func(t *testing.T) {
				l := serve(t, ServerConfig{Network: NetworkTCP, Credentials: credentialsOf(t, ca, ca.Server())})
				err := rawTLS(t, l, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version})
				if err == nil || errors.Is(err, io.EOF) {
					t.Errorf("got %v, want an alert", err)
				}
				_ = l.failure(t)
			})
		}
	})
	t.Run("udp", func(t *testing.T) {
		l := serve(t, ServerConfig{Network: NetworkUDP, Credentials: credentialsOf(t, ca, ca.Server())})
		if err := rawDTLS(t, l, dtls.WithRootCAs(ca.Pool()), dtls.WithServerName("localhost")); err == nil {
			t.Error("the handshake succeeded")
		}
		_ = l.failure(t)
	})
}

// RFC 8323, Section 8.2: the protocol is "coap".
func TestALPNOfClients(t *testing.T) {
	ca := testpki.New(t, "root")
	tests := []struct {
		name    string
		offers  []string
		require bool
		good    bool
	}{
		{"absent", nil, false, true},
		{"absent where required", nil, true, false},
		{"coap", []string{"coap"}, false, true},
		{"coap among others", []string{"h2", "coap"}, true, true},
		{"others only", []string{"h2"}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := serve(t, ServerConfig{
				Network: NetworkTCP, Credentials: credentialsOf(t, ca, ca.Server()), RequireALPN: tt.require,
			})
			cfg := &tls.Config{
				RootCAs: ca.Pool(), ServerName: "localhost", NextProtos: tt.offers,
				Certificates: []tls.Certificate{ca.Client("a.example").TLS()},
			}
			dialled := make(chan error, 1)
			go func() { dialled <- rawTLS(t, l, cfg) }()
			if tt.good {
				l.session(t)
			} else if err := l.failure(t); tt.offers == nil && !errors.Is(err, ErrNoALPN) {
				t.Errorf("the server's error is %v", err)
			}
			<-dialled
		})
	}
}

func TestALPNOfServers(t *testing.T) {
	ca := testpki.New(t, "root")
	for _, protocols := range [][]string{nil, {"coap"}} {
		listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
			Certificates: []tls.Certificate{ca.Server().TLS()}, NextProtos: protocols, MaxVersion: tls.VersionTLS12,
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(),
		})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				go func() {
					_, _ = io.Copy(io.Discard, c)
					_ = c.Close()
				}()
			}
		}()
		for _, require := range []bool{false, true} {
			_, err := dialOnce(t, DialConfig{
				Network: NetworkTCP, Address: listener.Addr().String(), ServerName: "localhost", RequireALPN: require,
				Credentials: credentialsOf(t, ca, ca.Client("a.example")),
			})
			if refused := errors.Is(err, ErrNoALPN); refused != (require && protocols == nil) {
				t.Errorf("server with %q, required = %v: Dial() = %v", protocols, require, err)
			}
		}
		_ = listener.Close()
	}
}

// RFC 9132, Section 7.1: TLS 1.2 or later, with authenticated encryption.
func TestTLSVersionsAndSuites(t *testing.T) {
	ca := testpki.New(t, "root")
	tests := []struct {
		name   string
		lowest uint16
		client *tls.Config
		good   bool
	}{
		{"1.1", 0, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		{"1.2", 0, &tls.Config{MaxVersion: tls.VersionTLS12}, true},
		{"1.3", 0, &tls.Config{MinVersion: tls.VersionTLS13}, true},
		{"1.2 below the configured", tls.VersionTLS13, &tls.Config{MaxVersion: tls.VersionTLS12}, false},
		{"1.2 without authenticated encryption", 0, &tls.Config{
			MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA},
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lowest := func(c *CredentialsConfig) { c.MinVersion = tt.lowest }
			l := serve(t, ServerConfig{Network: NetworkTCP, Credentials: credentialsOf(t, ca, ca.Server(), lowest)})
			cfg := tt.client.Clone()
			cfg.RootCAs, cfg.ServerName = ca.Pool(), "localhost"
			cfg.Certificates = []tls.Certificate{ca.Client("a.example").TLS()}
			if err := rawTLS(t, l, cfg); (err == nil) != tt.good {
				t.Errorf("handshake: %v, want good = %v", err, tt.good)
			}
		})
	}
}

// RFC 9132, Section 7.1: DTLS suites are those with authenticated encryption; the handshake is bound to the session
// (RFC 7627).
func TestDTLSSuites(t *testing.T) {
	ca := testpki.New(t, "root")
	tests := []struct {
		name string
		opts []dtls.ClientOption
		good bool
	}{
		{"GCM", []dtls.ClientOption{dtls.WithCipherSuites(dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)}, true},
		{"CCM_8", []dtls.ClientOption{dtls.WithCipherSuites(dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8)}, true},
		{"CBC", []dtls.ClientOption{dtls.WithCipherSuites(dtls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA)}, false},
		{"no extended master secret", []dtls.ClientOption{
			dtls.WithExtendedMasterSecret(dtls.DisableExtendedMasterSecret),
		}, false},
		{"connection IDs both ways", []dtls.ClientOption{
			dtls.WithConnectionIDGenerator(dtls.RandomCIDGenerator(4)),
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := serve(t, ServerConfig{Network: NetworkUDP, Credentials: credentialsOf(t, ca, ca.Server())})
			opts := append([]dtls.ClientOption{
				dtls.WithRootCAs(ca.Pool()), dtls.WithServerName("localhost"), dtls.WithCertificates(ca.Client("a.example").TLS()),
			}, tt.opts...)
			if err := rawDTLS(t, l, opts...); (err == nil) != tt.good {
				t.Errorf("handshake: %v, want good = %v", err, tt.good)
			}
		})
	}
}
