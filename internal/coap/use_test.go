package coap

import (
	"testing"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// TestUse holds that credentials from other files are in force for new handshakes, and stay so over a Reload.
func TestUse(t *testing.T) {
	oldCA, newCA := testpki.New(t, "old"), testpki.New(t, "new")
	bothNetworks(t, func(t *testing.T, network string) {
		creds, next := credentialsOf(t, oldCA, oldCA.Server()), credentialsOf(t, newCA, newCA.Server())
		l := serve(t, ServerConfig{Network: network, Credentials: creds})
		dial := func(ca *testpki.Authority) (*Session, error) {
			return dialer(t, DialConfig{
				Network: network, Address: l.Addr().String(), Credentials: credentialsOf(t, ca, ca.Client("a.example")),
			}).Dial(t.Context())
		}
		live, err := dial(oldCA)
		if err != nil {
			t.Fatal(err)
		}
		l.session(t)
		creds.Use(next)
		for range 2 {
			if _, err := dial(newCA); err != nil {
				t.Fatalf("with what is in force: %v", err)
			}
			l.session(t)
			if _, err := dial(oldCA); err == nil {
				t.Error("with what was in force before: accepted")
			}
			_ = l.failure(t)
			if err := creds.Reload(); err != nil {
				t.Fatal(err)
			}
		}
		if live.Err() != nil {
			t.Errorf("a live session ended: %v", live.Err())
		}
	})
}

// TestFitsDatagram holds that the limit is that of what is sent as it is.
//
// RFC 7252, Section 4.6: 1152 bytes for a message.
func TestFitsDatagram(t *testing.T) {
	m := &Message{Code: PUT}
	m.Options.SetPath("a", "b")
	for ; FitsDatagram(m); m.Payload = append(m.Payload, 0) {
		if len(m.Payload) > DefaultMaxDatagram {
			t.Fatal("everything fits")
		}
	}
	if size := sizeOf(m); size != DefaultMaxDatagram+1 {
		t.Errorf("the first that does not fit has %d bytes", size)
	}
}
