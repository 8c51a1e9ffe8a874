package record

import (
	"strings"
	"testing"
)

// TestLongConnectionID: a connection ID may have up to 255 bytes (RFC 9146, Section 3), more than what is kept for the additional data, which
// must be whole all the same: each end opens what the other has sealed, and nothing that was changed.
func TestLongConnectionID(t *testing.T) {
	for _, n := range []int{14, 15, 16, 40, 255} {
		server, client := layers(t, strings.Repeat("x", n))
		for range 3 {
			for _, ends := range [][2]*Layer{{server, client}, {client, server}} {
				b := ends[0].seal(t, "text")
				if _, plain, _, err := ends[1].Open(b); err != nil || string(plain) != "text" {
					t.Fatalf("connection ID of %d bytes: Open() = %q, %v", n, plain, err)
				}
			}
		}
		b := client.seal(t, "text")
		b[4]++ // the epoch and number are authenticated
		if _, _, _, err := server.Open(b); err == nil {
			t.Errorf("connection ID of %d bytes: a changed number was accepted", n)
		}
	}
}

// TestInit: a session in its owner's memory is what one of its own is.
func TestInit(t *testing.T) {
	var s Session
	o, peer := new(silent), newLayer(t, mirror(someState("")))
	s.Init(SessionConfig{Layer: newLayer(t, someState("")), Owner: o, Buffers: new(Buffers), Drops: new(Drops)})
	s.Receive(peer.seal(t, "text"), nil)
	if err := s.Write([]byte("answer")); err != nil || o.inputs != 1 || o.sent != 1 {
		t.Errorf("Write() = %v; %d in and %d out", err, o.inputs, o.sent)
	}
}
