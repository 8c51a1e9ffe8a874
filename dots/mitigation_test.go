package dots_test

import (
	"math"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// RFC 9132, Section 4.4.1: a lifetime is 1 to 2^32-1 seconds, or -1 for an indefinite one; 0 is refused.
func TestLifetimeValid(t *testing.T) {
	for _, tt := range []struct {
		lifetime dots.Lifetime
		want     bool
	}{
		{math.MinInt64, false},
		{-2, false},
		{dots.Indefinite, true},
		{0, false},
		{1, true},
		{dots.DefaultLifetime, true},
		{math.MaxUint32, true},
		{math.MaxUint32 + 1, false},
		{math.MaxInt64, false},
	} {
		if got := tt.lifetime.Valid(); got != tt.want {
			t.Errorf("%d: Valid is %v, want %v", tt.lifetime, got, tt.want)
		}
	}
}

func TestLifetimeConstants(t *testing.T) {
	if dots.Indefinite != -1 {
		t.Errorf("indefinite is %d; the wire says -1", dots.Indefinite)
	}
	if dots.DefaultLifetime != 60*60 {
		t.Errorf("the default is %d seconds, want an hour", dots.DefaultLifetime)
	}
}

// TestLifetimeLonger compares each pair of a list in ascending order.
func TestLifetimeLonger(t *testing.T) {
	ascending := []dots.Lifetime{1, 2, 3599, dots.DefaultLifetime, math.MaxUint32, dots.Indefinite}
	for i, a := range ascending {
		for j, b := range ascending {
			if got, want := a.Longer(b), i > j; got != want {
				t.Errorf("%d.Longer(%d) is %v, want %v", a, b, got, want)
			}
		}
	}
}

// RFC 9132, Section 4.4.1.1: the counter rolls over at three quarters of 2^32-1.
func TestMIDRollover(t *testing.T) {
	if got, want := uint64(dots.MIDRollover), uint64(math.MaxUint32)*3/4; got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}
