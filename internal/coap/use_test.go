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
// RFC 9132, Section 7.3: 1280 bytes for a packet, less what is around the message; 576 where that is said.
func TestFitsDatagram(t *testing.T) {
	for path, most := range map[int]int{0: 1186, 1280: 1186, 576: 482, 1: 482, 1500: 1406} {
		m := &Message{Code: PUT}
		m.Options.SetPath("a", "b")
		for ; FitsDatagram(m, path); m.Payload = append(m.Payload, 0) {
			if len(m.Payload) > most {
				t.Fatal("everything fits")
			}
		}
		if size := sizeOf(m); size != most+1 || MaxDatagram(path) != most {
			t.Errorf("on a path of %d bytes the first that does not fit has %d bytes", path, size)
		}
	}
	if DefaultMaxDatagram != 1186 {
		t.Errorf("the default is %d", DefaultMaxDatagram)
	}
}
