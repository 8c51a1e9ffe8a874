package app

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/downstream"
	"github.com/dotsgate/dotsgate/internal/config"
)

// TestSessionConfig holds that the operator's heartbeats are in force, and that what he wants is within what is accepted.
//
// RFC 9132, Section 4.5.2: 30 s and 15 missing ones are recommended.
func TestSessionConfig(t *testing.T) {
	if diff := cmp.Diff(downstream.DefaultSession(), sessionConfig(config.Session{HeartbeatInterval: 30 * time.Second, MissingHBAllowed: 15})); diff != "" {
		t.Errorf("the defaults differ (-want +got):\n%s", diff)
	}
	for _, tt := range []struct {
		c                 config.Session
		interval, missing dots.Bounds[uint16]
	}{
		{config.Session{HeartbeatInterval: time.Second, MissingHBAllowed: 1}, bounds(1, 1, 240), bounds(1, 1, 20)},
		{config.Session{HeartbeatInterval: 240 * time.Second, MissingHBAllowed: 1000}, bounds(240, 15, 240), bounds(1000, 3, 1000)},
	} {
		s := sessionConfig(tt.c)
		for _, set := range []dots.ConfigSet{s.Mitigating, s.Idle} {
			if diff := cmp.Diff(tt.interval, set.HeartbeatInterval); diff != "" {
				t.Errorf("%+v: interval (-want +got):\n%s", tt.c, diff)
			}
			if diff := cmp.Diff(tt.missing, set.MissingHBAllowed); diff != "" {
				t.Errorf("%+v: missing (-want +got):\n%s", tt.c, diff)
			}
		}
	}
}

// What the operator says of a parameter is what is begun with and accepted, in that set alone; the longest silence of both counts.
func TestSessionRanges(t *testing.T) {
	c := config.Session{HeartbeatInterval: 30 * time.Second, MissingHBAllowed: 15}
	c.Mitigating.HeartbeatInterval, c.Idle.MaxRetransmit = bounds(60, 20, 90), bounds(4, 1, 5)
	want := downstream.DefaultSession()
	want.Mitigating.HeartbeatInterval, want.Idle.MaxRetransmit = bounds(60, 20, 90), bounds(4, 1, 5)
	got := sessionConfig(c)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if d := silence(got); d != 15*time.Minute {
		t.Errorf("a client may be silent for %v; want 15 minutes", d)
	}
}

func bounds(current, low, high uint16) dots.Bounds[uint16] {
	return dots.Bounds[uint16]{Current: dots.Some(current), Min: dots.Some(low), Max: dots.Some(high)}
}

// TestNewCUID holds that cuids made after a collision look like others, and differ (RFC 9132, Section 4.4.1.1: 22 characters).
func TestNewCUID(t *testing.T) {
	a, b := newCUID(), newCUID()
	if len(a) != 22 || len(b) != 22 || a == b {
		t.Errorf("cuids %q and %q", a, b)
	}
}

// Only the older dialect cannot arm a single request.
func TestUnmirrored(t *testing.T) {
	got := unmirrored([]config.Uplink{{Name: "new", Profile: config.ProfileRFC9132}, {Name: "old", Profile: config.ProfileDraft04}})
	if diff := cmp.Diff(map[string]bool{"new": false, "old": true}, got); diff != "" {
		t.Error(diff)
	}
}
