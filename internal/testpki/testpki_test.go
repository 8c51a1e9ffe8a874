package testpki

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"
)

func verify(l *Leaf, roots *x509.CertPool, usage x509.ExtKeyUsage) error {
	inter := x509.NewCertPool()
	for _, c := range l.chain {
		inter.AddCert(c)
	}
	_, err := l.Cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: inter, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

func TestIssue(t *testing.T) {
	ca := New(t, "root")
	tests := []struct {
		name  string
		leaf  *Leaf
		roots *x509.CertPool
		usage x509.ExtKeyUsage
		good  bool
	}{
		{"server", ca.Server(), ca.Pool(), x509.ExtKeyUsageServerAuth, true},
		{"client", ca.Client("a.example"), ca.Pool(), x509.ExtKeyUsageClientAuth, true},
		{"through an intermediate", ca.Intermediate("sub").Client("a.example"), ca.Pool(), x509.ExtKeyUsageClientAuth, true},
		{"other authority", New(t, "root").Client("a.example"), ca.Pool(), x509.ExtKeyUsageClientAuth, false},
		{"expired", ca.Issue(Request{NotAfter: time.Now().Add(-time.Minute)}), ca.Pool(), x509.ExtKeyUsageClientAuth, false},
		{"not yet valid", ca.Issue(Request{NotBefore: time.Now().Add(time.Minute)}), ca.Pool(), x509.ExtKeyUsageClientAuth, false},
		{
			"wrong usage", ca.Issue(Request{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), ca.Pool(),
			x509.ExtKeyUsageClientAuth, false,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := verify(tt.leaf, tt.roots, tt.usage); (err == nil) != tt.good {
				t.Errorf("Verify() = %v, want good = %v", err, tt.good)
			}
		})
	}
}

func TestServerNames(t *testing.T) {
	leaf := New(t, "root").Server()
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		if err := leaf.Cert.VerifyHostname(name); err != nil {
			t.Errorf("VerifyHostname(%q) = %v", name, err)
		}
	}
}

func TestRSA(t *testing.T) {
	if _, ok := New(t, "root").Issue(Request{RSA: true}).Key.(*rsa.PrivateKey); !ok {
		t.Error("Issue with RSA made another kind of key")
	}
}

func TestFilesLoad(t *testing.T) {
	ca := New(t, "root")
	leaf := ca.Intermediate("sub").Client("a.example")
	_, cert, key := Files(t, t.TempDir(), ca, leaf)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatalf("LoadX509KeyPair() = %v", err)
	}
	if got, want := len(pair.Certificate), len(leaf.TLS().Certificate); got != want || got != 2 {
		t.Errorf("the file holds %d certificates, TLS() %d, want 2 and 2", got, want)
	}
}

func TestCRL(t *testing.T) {
	ca := New(t, "root")
	leaf := ca.Client("a.example")
	block, _ := pem.Decode(ca.CRL(leaf))
	list, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		t.Fatalf("ParseRevocationList() = %v", err)
	}
	if err := list.CheckSignatureFrom(ca.Cert); err != nil {
		t.Errorf("CheckSignatureFrom() = %v", err)
	}
	if n := len(list.RevokedCertificateEntries); n != 1 {
		t.Fatalf("%d entries, want 1", n)
	}
	if list.RevokedCertificateEntries[0].SerialNumber.Cmp(leaf.Cert.SerialNumber) != 0 {
		t.Error("the entry names another serial number")
	}
}
