package testpki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// shake makes a TLS handshake in memory and returns what either side says of it.
func shake(t *testing.T, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	a, b := net.Pipe()
	deadline := time.Now().Add(time.Minute) // only for a handshake that never ends
	if err := errors.Join(a.SetDeadline(deadline), b.SetDeadline(deadline)); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		conn := tls.Server(a, server)
		err := conn.Handshake()
		if err == nil {
			_, err = conn.Write([]byte("x")) // the client learns here that its certificate was taken
		}
		served <- errors.Join(err, a.Close())
	}()
	conn := tls.Client(b, client)
	clientErr = conn.Handshake()
	if clientErr == nil {
		_, clientErr = io.ReadFull(conn, make([]byte, 1))
	}
	_ = b.Close() // ends the other side, whatever it waits for
	return <-served, clientErr
}

// TestHandshake puts the certificates to the use they are made for.
func TestHandshake(t *testing.T) {
	ca, other := New(t, "root"), New(t, "other root")
	sub := ca.Intermediate("sub")
	for _, tt := range []struct {
		name           string
		server, client *Leaf
		serverName     string
		good           bool
	}{
		{"mutual", ca.Server(), ca.Client("a.example"), "localhost", true},
		{"by address", ca.Server(), ca.Client("a.example"), "127.0.0.1", true},
		{"through an intermediate", sub.Server(), sub.Client("a.example"), "localhost", true},
		{"RSA", ca.Issue(Request{Names: []string{"localhost"}, RSA: true}), ca.Client("a.example"), "localhost", true},
		{"server under another name", ca.Server(), ca.Client("a.example"), "elsewhere.example", false},
		{"server of another authority", other.Server(), ca.Client("a.example"), "localhost", false},
		{"client of another authority", ca.Server(), other.Client("a.example"), "localhost", false},
		{"client that has expired", ca.Server(), ca.Issue(Request{NotAfter: time.Now().Add(-time.Minute)}), "localhost", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			serverErr, clientErr := shake(t, &tls.Config{
				Certificates: []tls.Certificate{tt.server.TLS()}, ClientCAs: ca.Pool(),
				ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
			}, &tls.Config{
				Certificates: []tls.Certificate{tt.client.TLS()}, RootCAs: ca.Pool(), ServerName: tt.serverName,
				MinVersion: tls.VersionTLS12,
			})
			if good := serverErr == nil && clientErr == nil; good != tt.good {
				t.Errorf("server: %v, client: %v; want good = %v", serverErr, clientErr, tt.good)
			}
		})
	}
}

// TestRequestDefaults: the zero Request is a certificate for both sides, an hour around now.
func TestRequestDefaults(t *testing.T) {
	before := time.Now()
	leaf := New(t, "root").Issue(Request{})
	after := time.Now()
	cert := leaf.Cert
	// A certificate's times are in whole seconds.
	if low, high := before.Add(-time.Hour).Truncate(time.Second), after.Add(-time.Hour); cert.NotBefore.Before(low) || cert.NotBefore.After(high) {
		t.Errorf("valid from %v, want %v to %v", cert.NotBefore, low, high)
	}
	if low, high := before.Add(time.Hour).Truncate(time.Second), after.Add(time.Hour); cert.NotAfter.Before(low) || cert.NotAfter.After(high) {
		t.Errorf("valid to %v, want %v to %v", cert.NotAfter, low, high)
	}
	if want := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}; !slices.Equal(cert.ExtKeyUsage, want) {
		t.Errorf("usages %v, want %v", cert.ExtKeyUsage, want)
	}
	if cert.IsCA || len(cert.DNSNames) != 0 || len(cert.IPAddresses) != 0 || cert.Subject.CommonName != "" {
		t.Errorf("not a plain leaf: %+v", cert.Subject)
	}
	key, ok := leaf.Key.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() || !key.PublicKey.Equal(cert.PublicKey) {
		t.Errorf("key %T does not belong to the certificate, or is not on P-256", leaf.Key)
	}
}

// TestRequestIsKept: what is asked for stands in the certificate.
func TestRequestIsKept(t *testing.T) {
	from, to := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2021, 1, 2, 3, 4, 5, 0, time.UTC)
	cert := New(t, "root").Issue(Request{
		CommonName: "edge", Names: []string{"a.example", "b.example"}, IPs: []net.IP{net.IPv4(192, 0, 2, 1)},
		NotBefore: from, NotAfter: to, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}).Cert
	if cert.Subject.CommonName != "edge" || !slices.Equal(cert.DNSNames, []string{"a.example", "b.example"}) {
		t.Errorf("named %s, %v", cert.Subject.CommonName, cert.DNSNames)
	}
	if len(cert.IPAddresses) != 1 || !cert.IPAddresses[0].Equal(net.IPv4(192, 0, 2, 1)) {
		t.Errorf("addresses %v", cert.IPAddresses)
	}
	if !cert.NotBefore.Equal(from) || !cert.NotAfter.Equal(to) {
		t.Errorf("valid from %v to %v", cert.NotBefore, cert.NotAfter)
	}
	if !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) {
		t.Errorf("usages %v", cert.ExtKeyUsage)
	}
}

// TestRenewal: a certificate issued again is another one, with another key.
func TestRenewal(t *testing.T) {
	ca := New(t, "root")
	dir := t.TempDir()
	old := ca.Client("a.example")
	_, cert, _ := Files(t, dir, ca, old)
	renewed := ca.Client("a.example")
	if old.Cert.SerialNumber.Cmp(renewed.Cert.SerialNumber) == 0 || bytes.Equal(old.Cert.RawSubjectPublicKeyInfo, renewed.Cert.RawSubjectPublicKeyInfo) {
		t.Error("the renewed certificate has the serial number or the key of the old one")
	}
	_, again, key := Files(t, dir, ca, renewed)
	if again != cert {
		t.Errorf("renewed into %s, not %s", again, cert)
	}
	pair, err := tls.LoadX509KeyPair(again, key)
	if err != nil || !bytes.Equal(pair.Certificate[0], renewed.Cert.Raw) {
		t.Errorf("the files do not hold the renewed certificate: %v", err)
	}
}

// TestFiles: three files that only their owner reads, the authority's among them.
func TestFiles(t *testing.T) {
	ca := New(t, "root")
	dir := t.TempDir()
	caFile, cert, key := Files(t, dir, ca, ca.Server())
	for name, file := range map[string]string{"ca.pem": caFile, "cert.pem": cert, "key.pem": key} {
		if file != filepath.Join(dir, name) {
			t.Errorf("%s is at %s", name, file)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	text, err := os.ReadFile(caFile)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) || !pool.Equal(ca.Pool()) {
		t.Errorf("ca.pem is not the authority: %v", err)
	}
}

// TestChain: a leaf carries the intermediate and never the root, which the peer has.
func TestChain(t *testing.T) {
	ca := New(t, "root")
	sub := ca.Intermediate("sub")
	for name, tt := range map[string]struct {
		leaf *Leaf
		want []*x509.Certificate
	}{
		"root":         {ca.Client("a.example"), nil},
		"intermediate": {sub.Client("a.example"), []*x509.Certificate{sub.Cert}},
	} {
		want := [][]byte{tt.leaf.Cert.Raw}
		for _, c := range tt.want {
			want = append(want, c.Raw)
		}
		var inPEM [][]byte
		for rest := tt.leaf.CertPEM(); len(rest) > 0; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
				t.Fatalf("%s: the PEM holds %v", name, block)
			}
			inPEM = append(inPEM, block.Bytes)
		}
		equal := func(got [][]byte) bool { return slices.EqualFunc(got, want, bytes.Equal) }
		if !equal(inPEM) || !equal(tt.leaf.TLS().Certificate) {
			t.Errorf("%s: %d certificates in PEM, %d for TLS, want the leaf and %d more", name, len(inPEM), len(tt.leaf.TLS().Certificate), len(tt.want))
		}
	}
}

// TestRevocation: a list names whom it is told to name, and is worth something only with its own authority.
func TestRevocation(t *testing.T) {
	ca, other := New(t, "root"), New(t, "other root")
	gone, also, stays := ca.Client("a.example"), ca.Client("b.example"), ca.Client("c.example")
	block, rest := pem.Decode(ca.CRL(gone, also))
	if block == nil || block.Type != "X509 CRL" || len(rest) != 0 {
		t.Fatalf("block %v, rest %q", block, rest)
	}
	list, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	named := func(l *Leaf) bool {
		return slices.ContainsFunc(list.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool {
			return e.SerialNumber.Cmp(l.Cert.SerialNumber) == 0
		})
	}
	if !named(gone) || !named(also) || named(stays) {
		t.Errorf("names %v %v %v, want the first two", named(gone), named(also), named(stays))
	}
	if list.CheckSignatureFrom(ca.Cert) != nil || list.CheckSignatureFrom(other.Cert) == nil {
		t.Error("the list is not signed by its authority alone")
	}
	if now := time.Now(); now.Before(list.ThisUpdate) || now.After(list.NextUpdate) {
		t.Errorf("good from %v to %v", list.ThisUpdate, list.NextUpdate)
	}
	block, _ = pem.Decode(ca.CRL())
	if list, err = x509.ParseRevocationList(block.Bytes); err != nil || len(list.RevokedCertificateEntries) != 0 {
		t.Errorf("an empty list: %v, %v", list, err)
	}
}
