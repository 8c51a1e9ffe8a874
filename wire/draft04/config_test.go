package draft04

import (
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

func current[T any](v T) dots.Bounds[T] { return dots.Bounds[T]{Current: dots.Some(v)} }

// flat is a configuration as this dialect has it: the same set twice.
func flat(s dots.ConfigSet) dots.SessionConfig { return dots.SessionConfig{Mitigating: s, Idle: s} }

func TestConfigPut(t *testing.T) {
	// draft-ietf-dots-signal-channel-04, Section 5.4.2, Figure 17.
	payload := body(t, m{14: m{26: 1234534333242, 15: 91, 28: 3, 16: 7, 17: 5, 18: 1.5, 27: false}})
	want := flat(dots.ConfigSet{
		HeartbeatInterval: current[uint16](91), MissingHBAllowed: current[uint16](3), MaxRetransmit: current[uint16](7),
		AckTimeout: current[dots.Decimal](500), AckRandomFactor: current[dots.Decimal](150),
	})
	want.TriggerMitigation = dots.Some(false)
	req := accepted(t, putConfig(payload))
	equal(t, req, wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](1234534333242), Config: want})
	req.SID.Value = 7
	equal(t, accepted(t, encoded(t, req)), req)
}

func TestConfigRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		body any
		code dots.Code
		text string
	}{
		{"no session-id", m{14: m{15: 91}}, dots.CodeBadRequest, "session-id: missing"},
		{"no parameter", m{14: m{26: 1}}, dots.CodeBadRequest, "no parameter"},
		{"no wrapper", m{15: 91, 26: 1}, dots.CodeBadOption, "heartbeat-interval: not allowed here"},
		{"beyond int16", m{14: m{26: 1, 15: 32768}}, dots.CodeBadOption, "heartbeat-interval: out of range"},
		{"negative", m{14: m{26: 1, 28: -1}}, dots.CodeBadOption, "missing-hb-allowed: not an unsigned"},
		{"timeout float", m{14: m{26: 1, 17: 2.5}}, dots.CodeBadOption, "ack-timeout: not a number"},
		{"factor text", m{14: m{26: 1, 18: "1.5"}}, dots.CodeBadOption, "ack-random-factor: not a number"},
		{"factor negative", m{14: m{26: 1, 18: -1.5}}, dots.CodeBadOption, "ack-random-factor: not a number"},
		{"factor below 1", m{14: m{26: 1, 18: 0.5}}, dots.CodeBadOption, "ack-random-factor: below"},
		{"factor too large", m{14: m{26: 1, 18: 1e30}}, dots.CodeBadOption, "ack-random-factor: not a number"},
		{"trigger number", m{14: m{26: 1, 27: 0}}, dots.CodeBadOption, "trigger-mitigation: not a boolean"},
		{"range from a client", m{14: m{26: 1, 15: 91, 19: 1}}, dots.CodeBadOption, "MinValue: not allowed here"},
		{"unknown", m{14: m{26: 1, 15: 91, 33: 1}}, dots.CodeBadOption, "unknown keys: 33"},
	} {
		t.Run(tt.name, func(t *testing.T) { isRefused(t, putConfig(body(t, tt.body)), tt.code, tt.text) })
	}
	r := putConfig(body(t, m{14: m{}}))
	r.Method = wire.DELETE
	isRefused(t, r, dots.CodeBadRequest, "session-id: missing")
}

func TestConfigAnswer(t *testing.T) {
	// draft-ietf-dots-signal-channel-04, Section 5.4.1, Figure 15.
	got := understood(t, getConfig(), wire.CoAPResponse{Code: dots.CodeContent, Payload: body(t, m{
		15: m{29: 91, 19: 60, 20: 240}, 28: m{29: 3, 19: 1, 20: 7}, 16: m{29: 4, 19: 3, 20: 15}, 17: m{29: 2, 19: 1, 20: 30},
		18: m{29: 1.5, 19: 1.0, 20: 4.0},
	})})
	integer := func(v, low, high uint16) dots.Bounds[uint16] {
		return dots.Bounds[uint16]{Current: dots.Some(v), Min: dots.Some(low), Max: dots.Some(high)}
	}
	decimal := func(v, low, high dots.Decimal) dots.Bounds[dots.Decimal] {
		return dots.Bounds[dots.Decimal]{Current: dots.Some(v), Min: dots.Some(low), Max: dots.Some(high)}
	}
	want := wire.Response{Code: dots.CodeContent, MaxAge: noAge(), Config: flat(dots.ConfigSet{
		HeartbeatInterval: integer(91, 60, 240), MissingHBAllowed: integer(3, 1, 7), MaxRetransmit: integer(4, 3, 15),
		AckTimeout: decimal(200, 100, 3000), AckRandomFactor: decimal(150, 100, 400),
	})}
	equal(t, got, want)
	want.Config.TriggerMitigation = dots.Some(true)
	equal(t, understood(t, getConfig(), answered(t, getConfig(), want)), want)
	for _, broken := range []any{m{15: m{29: 1.5}}, m{15: "x"}, 1, m{27: 1}, m{17: m{19: -1}}} {
		_, err := New().DecodeResponse(getConfig(), wire.CoAPResponse{Code: dots.CodeContent, Payload: body(t, broken)})
		isResponseError(t, "config", err)
	}
}

func TestConfigOfTheOtherDialect(t *testing.T) {
	// The idle set is said where the other has nothing; what is not of this dialect is left out, and ack-timeout rounded up.
	c := dots.SessionConfig{Idle: dots.ConfigSet{
		AckTimeout: current[dots.Decimal](250), ProbingRate: current[uint16](5), HeartbeatInterval: current[uint16](65535),
	}}
	equal(t, answered(t, getConfig(), wire.Response{Code: dots.CodeContent, Config: c}).Payload, body(t, m{15: m{29: 32767}, 17: m{29: 3}}))
	for name, s := range map[string]dots.ConfigSet{
		"half a second":  {AckTimeout: current[dots.Decimal](250)},
		"too large":      {HeartbeatInterval: current[uint16](32768)},
		"negative":       {AckRandomFactor: current[dots.Decimal](-1)},
		"another's only": {ProbingRate: current[uint16](5)},
		"nothing":        {},
	} {
		req := wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](1), Config: flat(s)}
		if got, err := New().EncodeRequest(req); err == nil {
			t.Errorf("%s: encoded as %+v", name, got)
		}
	}
}
