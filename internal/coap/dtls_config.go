package coap

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/pion/dtls/v3"
)

// certificateSuites are offered and accepted with certificates, best first: AES-GCM has hardware help and is an
// order of magnitude cheaper here than CCM. CCM_8 is last, for small peers that have nothing else.
func certificateSuites() []dtls.CipherSuiteID {
	return []dtls.CipherSuiteID{
		dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		dtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		dtls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		dtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		dtls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM,
		// RFC 7252, Section 9.1.3.2: every CoAP endpoint with certificates has this one.
		dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8,
	}
}

// pskSuites are offered and accepted with pre-shared keys.
func pskSuites(allowPlain bool) []dtls.CipherSuiteID {
	// RFC 9132, Section 7.1: a pre-shared key with (EC)DHE, and authenticated encryption. This is the only such
	// suite that the library has.
	suites := []dtls.CipherSuiteID{dtls.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256}
	if allowPlain {
		suites = append(suites,
			dtls.TLS_PSK_WITH_AES_128_GCM_SHA256,
			dtls.TLS_PSK_WITH_CHACHA20_POLY1305_SHA256,
			dtls.TLS_PSK_WITH_AES_128_CCM,
			dtls.TLS_PSK_WITH_AES_128_CCM_8,
		)
	}
	return suites
}

// dtlsServerOptions are the options of one handshake as a server over a path, but for the connection ID; by is set to what the peer's certificate
// is believed by.
func (s *credentialSet) dtlsServerOptions(by *[]Mark, pathMTU int) []dtls.ServerOption {
	var suites []dtls.CipherSuiteID
	opts := []dtls.ServerOption{
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithMTU(flightSize(pathMTU)),
	}
	if s.cfg.PSKs != nil {
		suites = append(suites, pskSuites(s.cfg.AllowPlainPSK)...)
		opts = append(opts, dtls.WithPSK(func(identity []byte) ([]byte, error) {
			return pskFor(s.cfg, string(identity))
		}))
	}
	if s.certificate != nil {
		suites = append(suites, certificateSuites()...)
		opts = append(opts,
			dtls.WithCertificates(*s.certificate),
			// Any certificate for the library, since verifyClient verifies it. The library calls it once the client has
			// proven that it has the key, and goes on with no client that shows a certificate and does not.
			dtls.WithClientAuth(dtls.RequireAnyClientCert),
			dtls.WithClientCAs(s.authorities), // told to the client
			dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) (err error) {
				*by, err = s.verifyClient(raw, time.Now())
				return err
			}),
		)
	}
	return append(opts, dtls.WithCipherSuites(suites...))
}

// dtlsClientOptions are the options to dial a server of this name or address. The library sends the name in the
// SNI extension when it is a name.
func (s *credentialSet) dtlsClientOptions(serverName string, pathMTU int) ([]dtls.ClientOption, error) {
	opts := []dtls.ClientOption{
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithMTU(flightSize(pathMTU)),
		dtls.WithServerName(serverName),
		// The connection ID lets a session outlive a changed address of ours; we need none from the server.
		dtls.WithConnectionIDGenerator(dtls.OnlySendCIDGenerator()),
	}
	if id := s.cfg.PSKIdentity; id != "" {
		key, err := pskFor(s.cfg, id)
		if err != nil {
			return nil, fmt.Errorf("finding the pre-shared key: %w", err)
		}
		return append(opts,
			dtls.WithPSK(func([]byte) ([]byte, error) { return key, nil }),
			dtls.WithPSKIdentityHint([]byte(id)),
			dtls.WithCipherSuites(pskSuites(s.cfg.AllowPlainPSK)...),
		), nil
	}
	if s.certificate == nil {
		return nil, ErrNoCertificate
	}
	cert := s.certificate
	return append(opts,
		dtls.WithCipherSuites(certificateSuites()...),
		dtls.WithRootCAs(s.authorities),
		dtls.WithGetClientCertificate(func(*dtls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }),
		dtls.WithVerifyPeerCertificate(func(_ [][]byte, chains [][]*x509.Certificate) error {
			return s.checkChains(chains, serverName)
		}),
	), nil
}

// dtlsIdentity is what a finished DTLS handshake has proven. For a pre-shared key own is the identity that a
// dialer showed: it names the secret that both have.
func dtlsIdentity(state *dtls.State, own string) (Identity, error) {
	if own != "" {
		return Identity{PSKIdentity: own}, nil
	}
	// The suite decides, not what else the peer has sent.
	if slices.Contains(pskSuites(true), state.CipherSuiteID) {
		return Identity{PSKIdentity: string(state.IdentityHint)}, nil
	}
	leaf, err := parseLeaf(state.PeerCertificates)
	if err != nil {
		return Identity{}, fmt.Errorf("reading the peer's certificate: %w", err)
	}
	return certificateIdentity(leaf), nil
}
