package coap

import (
	"crypto/x509"
	"errors"
	"testing"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// TestStillCertificate asks of a live session's certificate whether it is believed today, over both transports: not once a list names it, whatever else
// was renewed.
func TestStillCertificate(t *testing.T) {
	bothNetworks(t, func(t *testing.T, network string) {
		ca, other := testpki.New(t, "root"), testpki.New(t, "other")
		mine, another := ca.Client("a.example"), ca.Client("b.example")
		creds := credentialsOf(t, ca, ca.Server())
		l := serve(t, ServerConfig{Network: network, Credentials: creds})
		mustDial(t, DialConfig{Network: network, Address: l.Addr().String(), Credentials: credentialsOf(t, ca, mine)})
		id := l.session(t).Peer()
		for _, tt := range []struct {
			name string
			use  *Credentials
			want error
		}{
			{"as it was", creds, nil},
			{"another is revoked", credentialsOf(t, ca, ca.Server(), withCRL(t, ca.CRL(another))), nil},
			{"it is revoked", credentialsOf(t, ca, ca.Server(), withCRL(t, ca.CRL(another, mine))), ErrRevoked},
			{"and no longer", credentialsOf(t, ca, ca.Server(), withCRL(t, ca.CRL())), nil},
			{"another authority's list", credentialsOf(t, other, other.Server(), withCRL(t, other.CRL(mine))), nil},
			{"no certificates any more", keysOnly(t, "", map[string]string{"a": "secret"}), ErrNoCertificate},
		} {
			creds.Use(tt.use)
			if err := creds.Still(id); !errors.Is(err, tt.want) {
				t.Errorf("%s: Still() = %v, want %v", tt.name, err, tt.want)
			}
		}
	})
}

// TestStillKey asks the same of a pre-shared key.
func TestStillKey(t *testing.T) {
	ca := testpki.New(t, "root")
	creds := keysOnly(t, "", map[string]string{"one": "secret one", "two": "secret two"})
	l := serve(t, ServerConfig{Network: NetworkUDP, Credentials: creds})
	mustDial(t, DialConfig{Network: NetworkUDP, Address: l.Addr().String(), Credentials: keysOnly(t, "one", map[string]string{"one": "secret one"})})
	id := l.session(t).Peer()
	for _, tt := range []struct {
		name string
		use  *Credentials
		want error
	}{
		{"as it was", creds, nil},
		{"another has gone", keysOnly(t, "", map[string]string{"one": "secret one"}), nil},
		{"it has changed", keysOnly(t, "", map[string]string{"one": "secret two"}), ErrKeyChanged},
		{"it has gone", keysOnly(t, "", map[string]string{"two": "secret one"}), ErrNoPSK},
		{"it is empty", keysOnly(t, "", map[string]string{"one": ""}), ErrNoPSK},
		{"no keys any more", credentialsOf(t, ca, ca.Server()), ErrNoPSK},
	} {
		creds.Use(tt.use)
		if err := creds.Still(id); !errors.Is(err, tt.want) {
			t.Errorf("%s: Still() = %v, want %v", tt.name, err, tt.want)
		}
	}
}

// TestBelieved keeps of several chains the first that no list revokes, and in it every certificate but the authority's.
func TestBelieved(t *testing.T) {
	root, second := testpki.New(t, "root"), testpki.New(t, "second")
	between := root.Intermediate("between")
	leaf := between.Client("a.example")
	r, err := parseRevocations(root.CRL(&testpki.Leaf{Cert: between.Cert}), []*x509.Certificate{root.Cert})
	if err != nil {
		t.Fatal(err)
	}
	long, short := []*x509.Certificate{leaf.Cert, between.Cert, root.Cert}, []*x509.Certificate{leaf.Cert, second.Cert}
	if got, ok := (&credentialSet{}).believed([][]*x509.Certificate{long, short}); !ok || len(got) != 2 || got[1].Serial != serialKey(between.Cert.SerialNumber) {
		t.Errorf("without a list: %v %v", got, ok)
	}
	set := &credentialSet{revoked: r}
	if got, ok := set.believed([][]*x509.Certificate{long, short}); !ok || len(got) != 1 || got[0].Issuer != issuerKey(second.Cert) {
		t.Errorf("with the one between revoked: %v %v", got, ok)
	}
	if _, ok := set.believed([][]*x509.Certificate{long}); ok {
		t.Error("a revoked chain is believed")
	}
}
