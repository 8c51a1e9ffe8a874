package downstream

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
)

func current[T any](v T) dots.Bounds[T] { return dots.Bounds[T]{Current: dots.Some(v)} }

// defaults are the current values of DefaultSession's sets.
func defaults() dots.ConfigSet {
	return dots.ConfigSet{
		HeartbeatInterval: current[uint16](30), MissingHBAllowed: current[uint16](15), ProbingRate: current[uint16](5),
		MaxRetransmit: current[uint16](3), AckTimeout: current[dots.Decimal](200), AckRandomFactor: current[dots.Decimal](150),
	}
}

func sid(n uint64) dots.Maybe[uint64] { return dots.Some(n) }

func idle(change func(*dots.ConfigSet)) dots.SessionConfig {
	var c dots.SessionConfig
	change(&c.Idle)
	return c
}

func heartbeatOf(seconds uint16) dots.SessionConfig {
	return idle(func(s *dots.ConfigSet) { s.HeartbeatInterval = current(seconds) })
}

// RFC 9132, Section 4.5.2: which values are taken, and how each refusal is answered.
func TestSessionConfigPut(t *testing.T) {
	tests := []struct {
		name  string
		asked dots.SessionConfig
		code  dots.Code // of the refusal; 0: taken
		text  string
	}{
		{"heartbeat-interval least", heartbeatOf(15), 0, ""},
		{"heartbeat-interval greatest", heartbeatOf(240), 0, ""},
		{"heartbeat-interval off", heartbeatOf(0), 0, ""},
		{"heartbeat-interval below", heartbeatOf(14), dots.CodeUnprocessable, "heartbeat-interval out of range"},
		{"heartbeat-interval above", heartbeatOf(241), dots.CodeUnprocessable, "heartbeat-interval out of range"},
		{"missing-hb-allowed least", idle(func(s *dots.ConfigSet) { s.MissingHBAllowed = current[uint16](3) }), 0, ""},
		{
			"missing-hb-allowed below", idle(func(s *dots.ConfigSet) { s.MissingHBAllowed = current[uint16](2) }),
			dots.CodeUnprocessable, "missing-hb-allowed out of range",
		},
		{
			"probing-rate above", idle(func(s *dots.ConfigSet) { s.ProbingRate = current[uint16](21) }),
			dots.CodeUnprocessable, "probing-rate out of range",
		},
		{
			"max-retransmit below", idle(func(s *dots.ConfigSet) { s.MaxRetransmit = current[uint16](1) }),
			dots.CodeUnprocessable, "max-retransmit out of range",
		},
		{
			"ack-timeout above", idle(func(s *dots.ConfigSet) { s.AckTimeout = current[dots.Decimal](3001) }),
			dots.CodeUnprocessable, "ack-timeout out of range",
		},
		{
			"ack-random-factor below", idle(func(s *dots.ConfigSet) { s.AckRandomFactor = current[dots.Decimal](109) }),
			dots.CodeUnprocessable, "ack-random-factor out of range",
		},
		{
			"mitigating set out of range",
			dots.SessionConfig{Mitigating: dots.ConfigSet{HeartbeatInterval: current[uint16](1)}},
			dots.CodeUnprocessable, "heartbeat-interval out of range",
		},
		{"nothing", dots.SessionConfig{}, dots.CodeBadRequest, "no session parameter"},
		{
			"robust transfer only", idle(func(s *dots.ConfigSet) { s.Robust.MaxPayloads = current[uint16](10) }),
			dots.CodeBadRequest, "no session parameter",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newSessionConfig(newOffer(DefaultSession()))
			before := c
			code, err := c.put(sid(1), tt.asked)
			if tt.code == 0 {
				if err != nil || code != dots.CodeCreated {
					t.Fatalf("put = %v, %v; want 2.01", code, err)
				}
				return
			}
			refused := dots.AsError(err)
			if refused == nil || refused.Code != tt.code || refused.Text != tt.text {
				t.Fatalf("put = %v, %v; want %v %q", code, err, tt.code, tt.text)
			}
			if diff := cmp.Diff(before.current, c.current); diff != "" || c.sid.Set {
				t.Errorf("a refused PUT changed the configuration: %s", diff)
			}
		})
	}
}

// RFC 9132, Section 4.5.2: sids increase, a higher one replaces the lower, the same one updates.
func TestSessionConfigSIDs(t *testing.T) {
	c := newSessionConfig(newOffer(DefaultSession()))
	steps := []struct {
		name string
		sid  dots.Maybe[uint64]
		put  dots.SessionConfig
		code dots.Code
		hb   uint16 // in force afterwards
	}{
		{"first", sid(7), heartbeatOf(60), dots.CodeCreated, 60},
		{"same", sid(7), heartbeatOf(90), dots.CodeChanged, 90},
		{"lower", sid(6), heartbeatOf(120), dots.CodeBadRequest, 90},
		{"higher", sid(8), heartbeatOf(100), dots.CodeCreated, 100},
		{"without sid", dots.Maybe[uint64]{}, heartbeatOf(110), dots.CodeBadRequest, 100},
		{"the old one again", sid(7), heartbeatOf(60), dots.CodeBadRequest, 100},
		{
			"other parameters: the rest goes back to defaults", sid(9),
			idle(func(s *dots.ConfigSet) { s.ProbingRate = current[uint16](10) }), dots.CodeCreated, 30,
		},
	}
	for _, s := range steps {
		code, err := c.put(s.sid, s.put)
		if err != nil {
			code = dots.AsError(err).Code
		}
		if code != s.code {
			t.Fatalf("%s: %v; want %v", s.name, code, s.code)
		}
		if got := c.inForce(false).HeartbeatInterval.Current.Value; got != s.hb {
			t.Fatalf("%s: heartbeat-interval %d in force; want %d", s.name, got, s.hb)
		}
	}
}

// RFC 9132, Section 4.5.1 and Section 4.5.3: with ranges without a sid, the negotiated values with it, 4.04 for another.
func TestSessionConfigGet(t *testing.T) {
	c := newSessionConfig(newOffer(DefaultSession()))
	got, err := c.get(dots.Maybe[uint64]{})
	if diff := cmp.Diff(DefaultSession(), got); err != nil || diff != "" {
		t.Fatalf("without sid: %v %s", err, diff)
	}
	if _, err := c.get(sid(0)); dots.AsError(err) == nil || dots.AsError(err).Code != dots.CodeNotFound {
		t.Fatalf("sid 0 while none is installed: %v; want 4.04", err)
	}
	if _, err := c.put(sid(3), heartbeatOf(45)); err != nil {
		t.Fatal(err)
	}
	want := dots.SessionConfig{Mitigating: defaults(), Idle: defaults()}
	want.Idle.HeartbeatInterval = current[uint16](45)
	got, err = c.get(sid(3))
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("with sid: %v %s", err, diff)
	}
	if _, err := c.get(sid(2)); dots.AsError(err) == nil || dots.AsError(err).Code != dots.CodeNotFound {
		t.Errorf("another sid: %v; want 4.04", err)
	}
	full, err := c.get(dots.Maybe[uint64]{})
	if err != nil || full.Idle.HeartbeatInterval != bounds[uint16](45, 15, 240) {
		t.Errorf("without sid after a PUT: %+v, %v", full.Idle.HeartbeatInterval, err)
	}
}

// RFC 9132, Section 4.5.4: a DELETE goes back to the defaults; one for another sid changes nothing.
func TestSessionConfigRemove(t *testing.T) {
	for _, tt := range []struct {
		name    string
		sid     dots.Maybe[uint64]
		changed bool
		hb      uint16
	}{
		{"its sid", sid(3), true, 30},
		{"without sid", dots.Maybe[uint64]{}, true, 30},
		{"an older sid", sid(2), false, 45},
		{"a newer sid", sid(4), false, 45},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newSessionConfig(newOffer(DefaultSession()))
			if _, err := c.put(sid(3), heartbeatOf(45)); err != nil {
				t.Fatal(err)
			}
			if got := c.remove(tt.sid); got != tt.changed {
				t.Errorf("changed = %v; want %v", got, tt.changed)
			}
			if got := c.inForce(false).HeartbeatInterval.Current.Value; got != tt.hb {
				t.Errorf("heartbeat-interval %d in force; want %d", got, tt.hb)
			}
			if c.remove(sid(9)) && !tt.changed {
				t.Error("a DELETE of an unknown sid changed something")
			}
		})
	}
	c := newSessionConfig(newOffer(DefaultSession()))
	if c.remove(dots.Maybe[uint64]{}) {
		t.Error("a DELETE without anything installed changed something")
	}
}

// A session-wide trigger-mitigation of false arms what is asked in the session.
func TestSessionConfigArmed(t *testing.T) {
	c := newSessionConfig(newOffer(DefaultSession()))
	if c.armed() {
		t.Error("armed by default")
	}
	asked := heartbeatOf(30)
	asked.TriggerMitigation = dots.Some(false)
	if _, err := c.put(sid(1), asked); err != nil || !c.armed() {
		t.Errorf("armed = %v after false, %v", c.armed(), err)
	}
	asked.TriggerMitigation = dots.Some(true)
	if _, err := c.put(sid(2), asked); err != nil || c.armed() {
		t.Errorf("armed = %v after true, %v", c.armed(), err)
	}
}

func TestTransmission(t *testing.T) {
	set := defaults()
	want := coap.Parameters{
		AckTimeout: 2 * time.Second, AckRandomFactor: 1.5, MaxRetransmit: 3, ProbingRate: 5, RepeatInterval: neverRepeat,
	}
	if diff := cmp.Diff(want, transmission(set)); diff != "" {
		t.Error(diff)
	}
	set.AckTimeout, set.MaxRetransmit = current[dots.Decimal](125), current[uint16](0)
	want.AckTimeout, want.MaxRetransmit = 1250*time.Millisecond, -1
	if diff := cmp.Diff(want, transmission(set)); diff != "" {
		t.Error(diff)
	}
}
