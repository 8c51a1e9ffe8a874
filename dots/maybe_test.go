package dots_test

import (
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

func TestMaybe(t *testing.T) {
	for _, tt := range []struct {
		name  string
		maybe dots.Maybe[int]
		set   bool
		or    int // with 7 for an absent one
	}{
		{"zero Maybe", dots.Maybe[int]{}, false, 7},
		{"some", dots.Some(3), true, 3},
		{"a zero that is present", dots.Some(0), true, 0},
		{"a value that is not set", dots.Maybe[int]{Value: 3}, false, 7},
	} {
		if got := tt.maybe.Or(7); got != tt.or || tt.maybe.Set != tt.set {
			t.Errorf("%s: Or is %d, Set %v; want %d, %v", tt.name, got, tt.maybe.Set, tt.or, tt.set)
		}
	}
}

// TestMaybeIsComparable: records and wants are compared by ==, so presence must count.
func TestMaybeIsComparable(t *testing.T) {
	if dots.Some(0) == (dots.Maybe[int]{}) {
		t.Error("a present zero equals an absent one")
	}
	a, again := dots.Some("a"), dots.Some("a")
	if a != again || a == dots.Some("b") {
		t.Error("present values are not compared by value")
	}
}

// TestBoundsSet: a parameter is there when any of its three parts is.
func TestBoundsSet(t *testing.T) {
	some := dots.Some[uint16](0) // 0 seconds turns heartbeats off, which is a value
	for _, tt := range []struct {
		name   string
		bounds dots.Bounds[uint16]
		want   bool
	}{
		{"nothing", dots.Bounds[uint16]{}, false},
		{"current", dots.Bounds[uint16]{Current: some}, true},
		{"least", dots.Bounds[uint16]{Min: some}, true},
		{"greatest", dots.Bounds[uint16]{Max: some}, true},
		{"all", dots.Bounds[uint16]{Current: some, Min: some, Max: some}, true},
		{"a number that is not set", dots.Bounds[uint16]{Current: dots.Maybe[uint16]{Value: 9}}, false},
	} {
		if got := tt.bounds.Set(); got != tt.want {
			t.Errorf("%s: Set is %v, want %v", tt.name, got, tt.want)
		}
	}
}
