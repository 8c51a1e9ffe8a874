package coap

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// alpnCoAP is the application protocol of CoAP over TLS (RFC 8323, Section 8.2).
const alpnCoAP = "coap"

// tlsSessionCache bounds the sessions that a dialer remembers for resumption.
const tlsSessionCache = 64

// tlsServerConfig makes a listener's configuration. Each credentialSet has its own, and with it its own session
// tickets: after a reload nobody resumes what the old credentials allowed.
func tlsServerConfig(s *credentialSet) *tls.Config {
	c := tlsBaseConfig(s)
	// Any certificate for the library, since verifyClient verifies it, on every connection: on those that resume a session as well.
	c.ClientAuth = tls.RequireAnyClientCert
	c.ClientCAs = s.authorities // told to the client
	c.VerifyConnection = func(state tls.ConnectionState) error {
		_, err := s.tlsBelievedBy(state)
		return err
	}
	return c
}

// tlsClientConfig makes a dialer's template; tlsClientFor adds the server's name.
func tlsClientConfig(s *credentialSet) *tls.Config {
	c := tlsBaseConfig(s)
	c.RootCAs = s.authorities
	c.ClientSessionCache = tls.NewLRUClientSessionCache(tlsSessionCache)
	return c
}

func tlsBaseConfig(s *credentialSet) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{*s.certificate},
		// RFC 9132, Section 7.1: TLS 1.2 or later.
		MinVersion: cmp.Or(s.cfg.MinVersion, tls.VersionTLS12),
		// RFC 9132, Section 7.1: suites with authenticated encryption; every suite of TLS 1.3 is one.
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		NextProtos: []string{alpnCoAP},
	}
}

// tlsClientFor is the configuration to dial a server of this name or address. crypto/tls sends the name in the
// SNI extension when it is a name.
func (s *credentialSet) tlsClientFor(serverName string) (*tls.Config, error) {
	if s.certificate == nil {
		return nil, ErrNoCertificate
	}
	c := s.tlsClient.Clone()
	c.ServerName = serverName
	c.VerifyConnection = func(state tls.ConnectionState) error {
		return s.checkChains(state.VerifiedChains, serverName)
	}
	// Whatever the server accepts as an issuer, it gets the one certificate there is: it may trust it without
	// naming its authority, and a missing certificate would be the worse diagnosis.
	cert := s.certificate
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	return c, nil
}

// tlsIdentity is what a finished TLS handshake has proven.
func tlsIdentity(state tls.ConnectionState) (Identity, error) {
	if len(state.PeerCertificates) == 0 {
		return Identity{}, errors.New("peer has shown no certificate")
	}
	return certificateIdentity(state.PeerCertificates[0]), nil
}

// parseLeaf parses the first certificate of a chain in DER.
func parseLeaf(raw [][]byte) (*x509.Certificate, error) {
	if len(raw) == 0 {
		return nil, errors.New("peer has shown no certificate")
	}
	return x509.ParseCertificate(raw[0])
}
