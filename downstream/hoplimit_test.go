package downstream

import (
	"math"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// RFC 8768, Section 3: 1 to 255 are valid, absent means the initial value, and one hop is taken off.
func TestHopLimit(t *testing.T) {
	absent := dots.Maybe[uint32]{}
	tests := []struct {
		name     string
		received dots.Maybe[uint32]
		valid    bool
		forward  uint8
	}{
		{"absent", absent, true, 15},
		{"zero", dots.Some[uint32](0), false, 0},
		{"one", dots.Some[uint32](1), true, 0},
		{"two", dots.Some[uint32](2), true, 1},
		{"greatest", dots.Some[uint32](255), true, 254},
		{"above", dots.Some[uint32](256), false, 0},
		{"no number", dots.Some[uint32](math.MaxUint32), false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := hopLimitValid(tt.received); got != tt.valid {
				t.Fatalf("valid = %v; want %v", got, tt.valid)
			}
			if !tt.valid {
				return
			}
			if got := forwardedHopLimit(tt.received, 16); got != tt.forward {
				t.Errorf("forwarded = %d; want %d", got, tt.forward)
			}
		})
	}
	if got := forwardedHopLimit(absent, 1); got != 0 {
		t.Errorf("absent with an initial value of 1: forwarded = %d; want 0", got)
	}
}
