package lab

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pki makes a PKI for one test and returns its directory.
func pki(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	if err := WritePKI(PKIConfig{Dir: dir}); err != nil {
		t.Fatalf("WritePKI() = %v", err)
	}
	return dir
}

func leafOf(t *testing.T, dir, name string) *x509.Certificate {
	t.Helper()
	base := filepath.Join(dir, name)
	pair, err := tls.LoadX509KeyPair(base+".pem", base+".key")
	if err != nil {
		t.Fatalf("loading %s: %v", name, err)
	}
	return pair.Leaf
}

func authorityOf(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(raw) {
		t.Fatal("no certificate in ca.pem")
	}
	return pool
}

func TestPKIVerifies(t *testing.T) {
	dir := pki(t)
	roots := authorityOf(t, dir)
	tests := []struct {
		leaf  string
		names []string
		ok    bool
	}{
		{"upstream", []string{"upstream.lab.example", "localhost", "127.0.0.1", "::1"}, true},
		{"gateway", []string{"gateway.lab.example", "localhost", "127.0.0.1", "::1"}, true},
		{"client1", []string{"client1.lab.example"}, true},
		{"client2", []string{"client2.lab.example"}, true},
		{"stranger", []string{"client1.lab.example"}, false},
		{"expired", []string{"client1.lab.example"}, false},
		{"client1", []string{"localhost"}, false},
	}
	for _, tt := range tests {
		leaf := leafOf(t, dir, tt.leaf)
		for _, name := range tt.names {
			for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
				_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, KeyUsages: []x509.ExtKeyUsage{usage}})
				if (err == nil) != tt.ok {
					t.Errorf("%s as %s: %v, want ok %v", tt.leaf, name, err, tt.ok)
				}
			}
		}
	}
	if left := time.Until(leafOf(t, dir, "client1").NotAfter); left > pkiLifetime || left < pkiLifetime-time.Hour {
		t.Errorf("client1 is good for %v", left)
	}
	if until := leafOf(t, dir, "expired").NotAfter; !until.Before(time.Now()) {
		t.Errorf("expired is good until %v", until)
	}
}

func TestPKIPermissions(t *testing.T) {
	dir := pki(t)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2*len(leaves())+1 {
		t.Errorf("%d files, want two for each of %d leaves and ca.pem", len(entries), len(leaves()))
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		want := os.FileMode(0o644)
		if filepath.Ext(e.Name()) == ".key" {
			want = 0o600
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has %v, want %v", e.Name(), info.Mode().Perm(), want)
		}
	}
}

func TestPKIIsNotOverwritten(t *testing.T) {
	dir := pki(t)
	before, err := os.ReadFile(filepath.Join(dir, "client1.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := WritePKI(PKIConfig{Dir: dir}); !errors.Is(err, ErrPKIExists) {
		t.Errorf("a second WritePKI() = %v, want ErrPKIExists", err)
	}
	same, err := os.ReadFile(filepath.Join(dir, "client1.key"))
	if err != nil || !bytes.Equal(before, same) {
		t.Errorf("the key changed, %v", err)
	}
	if err := WritePKI(PKIConfig{Dir: dir, Force: true}); err != nil {
		t.Fatalf("by force: %v", err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "client1.key")); err != nil || bytes.Equal(before, after) {
		t.Errorf("the key did not change, %v", err)
	}
	if _, err := leafOf(t, dir, "client1").Verify(x509.VerifyOptions{
		Roots: authorityOf(t, dir), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}); err != nil {
		t.Errorf("after force: %v", err)
	}
}

func TestPKINeedsADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WritePKI(PKIConfig{Dir: filepath.Join(file, "pki")}); err == nil {
		t.Error("WritePKI() below a file succeeded")
	}
}
