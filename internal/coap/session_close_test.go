package coap

import (
	"errors"
	"net"
	"testing"
)

// deadLink takes nothing.
type deadLink struct{ *tape }

func (deadLink) WriteRecord([]byte) error { return net.ErrClosed }

// A session whose link has gone is closed once, and its farewell fails.
func TestCloseOverADeadLink(t *testing.T) {
	s, err := NewSession(SessionConfig{Link: deadLink{newTape(true)}, Timers: NewTimers()})
	if err != nil {
		t.Fatal(err)
	}
	s.stream.started = true
	if err := s.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
	if err := s.Err(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Err() = %v", err)
	}
}
