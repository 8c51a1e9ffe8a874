package lab

import (
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// TestHeartbeatFollowsTheConfiguration: RFC 9132, Section 4.5.4: a DELETE goes back to the default.
func TestHeartbeatFollowsTheConfiguration(t *testing.T) {
	c := newSessionConfig(ServerConfig{Heartbeat: 30 * time.Second})
	asked := dots.SessionConfig{Mitigating: dots.ConfigSet{HeartbeatInterval: dots.Bounds[uint16]{Current: dots.Some[uint16](60)}}}
	steps := []struct {
		name string
		do   func() dots.Code
		code dots.Code
		want time.Duration
	}{
		{"at first", func() dots.Code { return 0 }, 0, 30 * time.Second},
		{"PUT", func() dots.Code { return c.put(1, asked).Code }, dots.CodeCreated, time.Minute},
		{"DELETE of another sid", func() dots.Code { return c.remove(dots.Some[uint64](9)).Code }, dots.CodeDeleted, time.Minute},
		{"DELETE", func() dots.Code { return c.remove(dots.Some[uint64](1)).Code }, dots.CodeDeleted, 30 * time.Second},
		{"PUT of another parameter", func() dots.Code {
			return c.put(2, dots.SessionConfig{Idle: dots.ConfigSet{MaxRetransmit: dots.Bounds[uint16]{Current: dots.Some[uint16](3)}}}).Code
		}, dots.CodeCreated, 30 * time.Second},
		{"PUT of zero", func() dots.Code {
			return c.put(3, dots.SessionConfig{Idle: dots.ConfigSet{HeartbeatInterval: dots.Bounds[uint16]{Current: dots.Some[uint16](0)}}}).Code
		}, dots.CodeCreated, 0},
	}
	for _, s := range steps {
		if code := s.do(); code != s.code || c.heartbeat != s.want {
			t.Errorf("%s: %v, interval %v, want %v, %v", s.name, code, c.heartbeat, s.code, s.want)
		}
	}
}

// TestRanges: RFC 9132, Section 4.5.2: each parameter is held to its range.
func TestRanges(t *testing.T) {
	number := func(v uint16) dots.Bounds[uint16] { return dots.Bounds[uint16]{Current: dots.Some(v)} }
	decimal := func(v dots.Decimal) dots.Bounds[dots.Decimal] {
		return dots.Bounds[dots.Decimal]{Current: dots.Some(v)}
	}
	tests := []struct {
		set  dots.ConfigSet
		want bool
	}{
		{dots.ConfigSet{}, true},
		{offer(), true},
		{dots.ConfigSet{HeartbeatInterval: number(240)}, true},
		{dots.ConfigSet{HeartbeatInterval: number(241)}, false},
		{dots.ConfigSet{MissingHBAllowed: number(2)}, false},
		{dots.ConfigSet{ProbingRate: number(21)}, false},
		{dots.ConfigSet{MaxRetransmit: number(1)}, false},
		{dots.ConfigSet{AckTimeout: decimal(99)}, false},
		{dots.ConfigSet{AckRandomFactor: decimal(401)}, false},
		{dots.ConfigSet{AckRandomFactor: decimal(110)}, true},
	}
	for _, tt := range tests {
		if got := within(tt.set, offer()); got != tt.want {
			t.Errorf("within(%+v) = %v", tt.set, got)
		}
	}
	var c sessionConfig
	if c.armed() {
		t.Error("armed without being told")
	}
	c.put(1, dots.SessionConfig{TriggerMitigation: dots.Some(false)})
	if !c.armed() {
		t.Error("not armed by trigger-mitigation=false")
	}
}
