package rfc9132

import (
	"bytes"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/fxamacker/cbor/v2"
)

// dec is a decimal fraction.
func dec(exponent, mantissa int) any {
	return cbor.Tag{Number: 4, Content: []int{exponent, mantissa}}
}

func current[T any](v T) dots.Bounds[T] { return dots.Bounds[T]{Current: dots.Some(v)} }

func bounds[T any](v, low, high T) dots.Bounds[T] {
	return dots.Bounds[T]{Current: dots.Some(v), Min: dots.Some(low), Max: dots.Some(high)}
}

func fullConfig() dots.SessionConfig {
	return dots.SessionConfig{
		Mitigating: dots.ConfigSet{
			HeartbeatInterval: current[uint16](30), MissingHBAllowed: current[uint16](15), ProbingRate: current[uint16](5),
			MaxRetransmit: current[uint16](3), AckTimeout: current[dots.Decimal](200), AckRandomFactor: current[dots.Decimal](150),
			Robust: dots.RobustSet{
				MaxPayloads: current[uint16](10), NonMaxRetransmit: current[uint16](3), NonTimeout: current[dots.Decimal](200),
				NonReceiveTimeout: current[dots.Decimal](400), NonProbingWait: current[dots.Decimal](24700),
				NonPartialWait: current[dots.Decimal](24700),
			},
		},
		Idle: dots.ConfigSet{HeartbeatInterval: current[uint16](0)},
	}
}

func TestConfigPut(t *testing.T) {
	// RFC 9132, Section 4.5.2: the example, with decimals of two digits.
	set := m{33: m{36: 91}, 37: m{36: 3}, 38: m{36: 3}, 39: m{43: dec(-2, 200)}, 40: m{43: dec(-2, 150)}, 50: m{36: 10}}
	want := body(t, m{30: m{32: set, 44: m{33: m{36: 0}}}})
	req := accepted(t, putConfig(want))
	equal(t, req, wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](7), Config: dots.SessionConfig{
		Mitigating: dots.ConfigSet{
			HeartbeatInterval: current[uint16](91), MissingHBAllowed: current[uint16](3), MaxRetransmit: current[uint16](3),
			AckTimeout: current[dots.Decimal](200), AckRandomFactor: current[dots.Decimal](150), ProbingRate: current[uint16](10),
		},
		Idle: dots.ConfigSet{HeartbeatInterval: current[uint16](0)},
	}})
	equal(t, encoded(t, req).Payload, want)

	full := wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](4294967295), Config: fullConfig()}
	got := encoded(t, full)
	equal(t, accepted(t, got), full)
	equal(t, got.Payload, body(t, decodeAny(t, got.Payload)))
}

func TestConfigDecimals(t *testing.T) {
	for _, tt := range []struct {
		value any
		want  dots.Decimal
		text  string
	}{
		{dec(-2, 2050), 2050, ""},
		{dec(-1, 205), 2050, ""}, // a known client
		{dec(0, 20), 2000, ""},
		{dec(-3, 20500), 0, "not a decimal"},
		{dec(1, 2), 0, "not a decimal"},
		{dec(-2, -100), 0, "negative"},
		{cbor.Tag{Number: 5, Content: []int{-2, 1}}, 0, "not a decimal"},
		{cbor.Tag{Number: 4, Content: []int{-2}}, 0, "not a decimal"},
		{cbor.Tag{Number: 4, Content: []any{-2, uint64(1) << 40}}, 0, "not a decimal"},
		{2, 0, "not a decimal"},
		{2.5, 0, "not a decimal"},
		{"2.50", 0, "not a decimal"},
	} {
		r := putConfig(body(t, m{30: m{32: m{39: m{43: tt.value}}}}))
		if tt.text != "" {
			isRefused(t, r, dots.CodeBadRequest, "current-value-decimal: "+tt.text)
			continue
		}
		equal(t, accepted(t, r).Config.Mitigating.AckTimeout, current(tt.want))
	}
}

func TestConfigRefused(t *testing.T) {
	one := m{33: m{36: 30}}
	for _, tt := range []struct {
		name string
		body any
		text string
	}{
		// RFC 9132, Section 4.5.2: at least one parameter, current values only, no sid in the body.
		{"no set", m{30: m{}}, "signal-config: no parameter"},
		{"empty set", m{30: m{32: one, 44: m{}}}, "idle-config: no parameter"},
		{"empty parameter", m{30: m{32: m{33: m{}}}}, "heartbeat-interval: empty"},
		{"max from a client", m{30: m{32: m{33: m{34: 1, 36: 30}}}}, "max-value: only a server"},
		{"min from a client", m{30: m{32: m{40: m{42: dec(-2, 100)}}}}, "min-value-decimal: only a server"},
		{"sid in the body", m{30: m{31: 7, 32: one}}, "sid: not allowed in the body"},
		{"beyond 16 bits", m{30: m{32: m{33: m{36: 65536}}}}, "current-value: out of range"},
		{"negative", m{30: m{32: m{33: m{36: -1}}}}, "current-value: not an unsigned"},
		{"bare value", m{30: m{32: m{33: 30}}}, "heartbeat-interval: not a map"},
		{"decimal key for an integer", m{30: m{32: m{33: m{43: dec(-2, 1)}}}}, "current-value-decimal: not allowed here"},
		{"factor below 1", m{30: m{32: m{40: m{43: dec(-2, 99)}}}}, "ack-random-factor: below 1.00"},
		{"set no map", m{30: m{32: 1}}, "mitigating-config: not a map"},
		{"trigger", m{30: m{32: one, 45: false}}, "trigger-mitigation: not allowed here"},
		{"unknown parameter", m{30: m{32: m{61: m{36: 1}}}}, "unknown keys: 61"},
		{"unknown value", m{30: m{32: m{33: m{62: 1}}}}, "unknown keys: 62"},
		{"other body", scope(m{14: 60}), "mitigation-scope: not allowed here"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			isRefused(t, putConfig(body(t, tt.body)), dots.CodeBadRequest, tt.text)
		})
	}
}

func TestConfigGet(t *testing.T) {
	// RFC 9132, Section 4.5.1: a server tells current, least and greatest values.
	req := wire.Request{Op: wire.GetConfig}
	resp := wire.Response{Code: dots.CodeContent, MaxAge: dots.Some[uint32](45), Config: fullConfig()}
	set := &resp.Config.Idle
	set.HeartbeatInterval = bounds[uint16](0, 0, 240)
	set.MissingHBAllowed = dots.Bounds[uint16]{Min: dots.Some[uint16](3)}
	set.AckTimeout = bounds[dots.Decimal](200, 100, 3000)
	got := answered(t, req, resp)
	equal(t, got.Payload, body(t, decodeAny(t, got.Payload)))
	equal(t, understood(t, req, got), resp)
	if sent := encoded(t, wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](1), Config: resp.Config}); len(sent.Payload) >= len(got.Payload) {
		t.Error("a client sends ranges")
	}
}

func TestConfigReadLeniently(t *testing.T) {
	got := understood(t, wire.Request{Op: wire.GetConfig}, wire.CoAPResponse{
		Code: dots.CodeContent, Payload: body(t, m{30: m{31: 5, 32: m{33: m{36: 91, 34: nil}, 39: m{43: 2}, 77: m{}}, 44: nil, 45: true}}),
	})
	equal(t, got.Config, dots.SessionConfig{Mitigating: dots.ConfigSet{
		HeartbeatInterval: current[uint16](91), AckTimeout: current[dots.Decimal](200),
	}})
}

// RFC 9132, Section 4.5.2: a client sends current values; what it knows of ranges stays with it.
func TestClientSendsNoRanges(t *testing.T) {
	for name, p := range everyParameter() {
		for _, key := range []string{"both", "min", "max"} {
			with := wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](1)}
			p.set(&with.Config.Idle, false)
			want := encoded(t, with)
			p.set(&with.Config.Idle, true)
			if p.integer != nil {
				b := p.integer(&with.Config.Idle)
				b.Min.Set, b.Max.Set = key != "max", key != "min"
			} else {
				b := p.decimal(&with.Config.Idle)
				b.Min.Set, b.Max.Set = key != "max", key != "min"
			}
			if got := encoded(t, with); !bytes.Equal(got.Payload, want.Payload) {
				t.Errorf("%s with %s: sends %x", name, key, got.Payload)
			}
		}
	}
	// A range alone is nothing to send.
	set := dots.ConfigSet{HeartbeatInterval: dots.Bounds[uint16]{Min: dots.Some[uint16](1), Max: dots.Some[uint16](2)}}
	alone := wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](1), Config: dots.SessionConfig{Mitigating: set, Idle: set}}
	if got, err := New().EncodeRequest(alone); err == nil {
		t.Errorf("a range alone is sent as %+v", got)
	}
}
