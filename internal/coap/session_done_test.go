package coap

import (
	"crypto/x509"
	"errors"
	"testing"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// TestDone: the end is told to who waited for it and to who asks later, by each of the ways to ask.
func TestDone(t *testing.T) {
	s, err := NewSession(SessionConfig{Link: deadLink{newTape(false)}, Timers: NewTimers()})
	if err != nil {
		t.Fatal(err)
	}
	waited := s.Done()
	select {
	case <-waited:
		t.Fatal("it has not ended")
	default:
	}
	if s.Ended() || s.Err() != nil {
		t.Fatalf("ended: %v, %v", s.Ended(), s.Err())
	}
	s.InputClosed(errors.New("gone"))
	<-waited
	<-s.Done()
	if !s.Ended() || s.Err() == nil {
		t.Errorf("ended: %v, %v", s.Ended(), s.Err())
	}
}

// TestDoneLate: nobody has asked before the end.
func TestDoneLate(t *testing.T) {
	s, err := NewSession(SessionConfig{Link: deadLink{newTape(false)}, Timers: NewTimers()})
	if err != nil {
		t.Fatal(err)
	}
	s.InputClosed(errors.New("gone"))
	<-s.Done()
}

// TestIdentityKeepsNoCertificate: what is kept of a peer for as long as its session lives is not a part of its certificate's memory.
func TestIdentityKeepsNoCertificate(t *testing.T) {
	leaf, err := x509.ParseCertificate(testpki.New(t, "root").Client("a.example").TLS().Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	id, before := certificateIdentity(leaf), string(leaf.RawSubjectPublicKeyInfo)
	clear(leaf.Raw)
	if string(id.SPKI) != before {
		t.Error("the key is a part of the certificate")
	}
}
