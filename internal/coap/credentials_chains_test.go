package coap

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// shown is what a client with this leaf sends.
func shown(l *testpki.Leaf, more ...*x509.Certificate) [][]byte {
	raw := l.TLS().Certificate
	for _, c := range more {
		raw = append(raw, c.Raw)
	}
	return raw
}

func TestVerifyClient(t *testing.T) {
	root, other := testpki.New(t, "root"), testpki.New(t, "other")
	sub := root.Intermediate("sub")
	good, below, revoked := root.Client("a.example"), sub.Client("b.example"), root.Client("c.example")
	now := time.Now()
	damaged := shown(root.Client("d.example"))
	damaged[0] = append([]byte(nil), damaged[0]...)
	damaged[0][len(damaged[0])-5] ^= 1 // in the signature
	tests := []struct {
		name string
		raw  [][]byte
		ok   bool
	}{
		{"a client", shown(good), true},
		{"a client below an authority it shows", shown(below), true},
		{"one with the root besides", shown(good, root.Cert), true},
		{"one with something useless besides", shown(good, other.Cert), true},
		{"nothing", nil, false},
		{"no certificate", [][]byte{[]byte("hello")}, false},
		{"no certificate behind a good one", append(shown(good), []byte("hello")), false},
		{"a client below an authority it does not show", shown(below)[:1], false},
		// Without a usage in it a certificate is good for all; its owner must still prove that it has the authority's key.
		{"an authority", [][]byte{root.Cert.Raw}, true},
		{"an authority, with a client's behind it", [][]byte{shown(below)[1], shown(below)[0]}, true},
		{"a client of another authority", shown(other.Client("a.example")), false},
		{"one with our root besides", shown(other.Client("a.example"), root.Cert), false},
		{"a server", shown(root.Issue(testpki.Request{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})), false},
		{"expired", shown(root.Issue(testpki.Request{NotAfter: now.Add(-time.Minute)})), false},
		{"not valid yet", shown(root.Issue(testpki.Request{NotBefore: now.Add(time.Minute)})), false},
		{"revoked", shown(revoked), false},
		{"a damaged signature", damaged, false},
		{"too many", shown(good, root.Cert, root.Cert, root.Cert, root.Cert, root.Cert, root.Cert, root.Cert, root.Cert, root.Cert, root.Cert), false},
	}
	set := credentialsOf(t, root, root.Server(), withCRL(t, root.CRL(revoked))).current.Load()
	proven := 0
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // the second time from memory, where there is one
				if _, err := set.verifyClient(tt.raw, now); (err == nil) != tt.ok {
					t.Errorf("verifyClient() = %v, want ok: %v", err, tt.ok)
				}
			}
		})
		if tt.ok {
			proven++
		}
	}
	if got := set.proven.lru.Len(); got != proven {
		t.Errorf("%d chains are remembered, %d were good", got, proven)
	}
}

// longKey is a certificate with an RSA key of so many bits, to which nobody has the other half.
func longKey(t *testing.T, bits int) *x509.Certificate {
	t.Helper()
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	_, signer, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "long"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, &x509.Certificate{}, &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 1<<31 - 1}, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// Whoever shows us an authority of its own may not choose how long we compute with that.
func TestVerifyClientWithLongKeys(t *testing.T) {
	root := testpki.New(t, "root")
	set := credentialsOf(t, root, root.Server()).current.Load()
	client := shown(root.Client("a.example"))
	for bits, want := range map[int]error{maxPeerRSA: nil, maxPeerRSA + 1: errLongKey, 100000: errLongKey} {
		raw := append(slices.Clip(client), longKey(t, bits).Raw)
		if _, err := set.verifyClient(raw, time.Now()); !errors.Is(err, want) {
			t.Errorf("a key of %d bits: %v, want %v", bits, err, want)
		}
	}
	if _, err := set.verifyClient([][]byte{longKey(t, maxPeerRSA+1).Raw}, time.Now()); !errors.Is(err, errLongKey) {
		t.Errorf("the client's own long key: %v", err)
	}
}

// Without roots of ours the library would take those of the system.
func TestVerifyClientWithoutAuthorities(t *testing.T) {
	root := testpki.New(t, "root")
	set := credentialsOf(t, root, root.Server()).current.Load()
	bare := &credentialSet{proven: set.proven}
	if _, err := bare.verifyClient(shown(root.Client("a.example")), time.Now()); err == nil {
		t.Error("the system's authorities were asked")
	}
}

func TestProvenChainsExpire(t *testing.T) {
	root := testpki.New(t, "root")
	now := time.Now()
	leaf := root.Issue(testpki.Request{NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Minute)})
	set := credentialsOf(t, root, root.Server()).current.Load()
	for _, step := range []struct {
		at time.Duration
		ok bool
	}{{0, true}, {50 * time.Second, true}, {2 * time.Minute, false}, {-2 * time.Minute, false}, {0, true}} {
		if _, err := set.verifyClient(shown(leaf), now.Add(step.at)); (err == nil) != step.ok {
			t.Errorf("at %v: %v, want ok: %v", step.at, err, step.ok)
		}
	}
}

func TestValidityOfAChain(t *testing.T) {
	at := func(from, until int) *x509.Certificate {
		return &x509.Certificate{NotBefore: time.Unix(int64(from), 0), NotAfter: time.Unix(int64(until), 0)}
	}
	got := validityOf([]*x509.Certificate{at(10, 100), at(5, 90), at(20, 200)})
	if want := (validity{time.Unix(20, 0), time.Unix(90, 0)}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// What was proven is forgotten with the lists that were in force.
func TestProvenChainsAndRevocation(t *testing.T) {
	root := testpki.New(t, "root")
	leaf := root.Client("a.example")
	list := t.TempDir() + "/crl.pem"
	testpki.WriteFile(t, list, root.CRL())
	creds := credentialsOf(t, root, root.Server(), func(c *CredentialsConfig) { c.CRLFile = list })
	for range 2 {
		if _, err := creds.current.Load().verifyClient(shown(leaf), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	testpki.WriteFile(t, list, root.CRL(leaf))
	if err := creds.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := creds.current.Load().verifyClient(shown(leaf), time.Now()); !errors.Is(err, ErrRevoked) {
		t.Errorf("after the reload: %v", err)
	}
}

// Two lists of certificates never have the same key because they are cut differently.
func TestKeysOfChainsDiffer(t *testing.T) {
	lists := [][][]byte{{}, {{}}, {{}, {}}, {[]byte("ab")}, {[]byte("a"), []byte("b")}, {[]byte("b"), []byte("a")}, {{}, []byte("ab")}}
	seen := map[chainKey]int{}
	for i, raw := range lists {
		key := keyOfChain(raw)
		if j, ok := seen[key]; ok {
			t.Errorf("lists %d and %d have one key", i, j)
		}
		seen[key] = i
	}
}

func BenchmarkVerifyClient(b *testing.B) {
	root := testpki.New(b, "root")
	s := &credentialSet{authorities: root.Pool()}
	var err error
	if s.proven, err = newProvenChains(); err != nil {
		b.Fatal(err)
	}
	raw, now := shown(root.Client("a.example")), time.Now()
	for b.Loop() {
		if _, err := s.verifyClient(raw, now); err != nil {
			b.Fatal(err)
		}
	}
}
