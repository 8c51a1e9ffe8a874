package rfc9132

import (
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// parameter is one session parameter with its key and where it is kept.
type parameter struct {
	key     int
	integer func(s *dots.ConfigSet) *dots.Bounds[uint16]
	decimal func(s *dots.ConfigSet) *dots.Bounds[dots.Decimal]
}

// RFC 9132, Section 6, and RFC 9362, Section 5: the keys of the session parameters.
func everyParameter() map[string]parameter {
	type set = dots.ConfigSet
	integer := func(key int, f func(s *set) *dots.Bounds[uint16]) parameter { return parameter{key: key, integer: f} }
	decimal := func(key int, f func(s *set) *dots.Bounds[dots.Decimal]) parameter {
		return parameter{key: key, decimal: f}
	}
	return map[string]parameter{
		"heartbeat-interval":  integer(33, func(s *set) *dots.Bounds[uint16] { return &s.HeartbeatInterval }),
		"missing-hb-allowed":  integer(37, func(s *set) *dots.Bounds[uint16] { return &s.MissingHBAllowed }),
		"max-retransmit":      integer(38, func(s *set) *dots.Bounds[uint16] { return &s.MaxRetransmit }),
		"ack-timeout":         decimal(39, func(s *set) *dots.Bounds[dots.Decimal] { return &s.AckTimeout }),
		"ack-random-factor":   decimal(40, func(s *set) *dots.Bounds[dots.Decimal] { return &s.AckRandomFactor }),
		"probing-rate":        integer(50, func(s *set) *dots.Bounds[uint16] { return &s.ProbingRate }),
		"max-payloads":        integer(32776, func(s *set) *dots.Bounds[uint16] { return &s.Robust.MaxPayloads }),
		"non-max-retransmit":  integer(32777, func(s *set) *dots.Bounds[uint16] { return &s.Robust.NonMaxRetransmit }),
		"non-timeout":         decimal(32778, func(s *set) *dots.Bounds[dots.Decimal] { return &s.Robust.NonTimeout }),
		"non-receive-timeout": decimal(32779, func(s *set) *dots.Bounds[dots.Decimal] { return &s.Robust.NonReceiveTimeout }),
		"non-probing-wait":    decimal(32780, func(s *set) *dots.Bounds[dots.Decimal] { return &s.Robust.NonProbingWait }),
		"non-partial-wait":    decimal(32781, func(s *set) *dots.Bounds[dots.Decimal] { return &s.Robust.NonPartialWait }),
	}
}

// encodedValues are the current, least and greatest value of the parameter, as they are on the wire.
func (p parameter) encodedValues() m {
	if p.integer != nil {
		return m{36: 200, 35: 0, 34: 65535}
	}
	return m{43: dec(-2, 200), 42: dec(-2, 100), 41: dec(-2, 3000)}
}

// set puts the values of encodedValues where they belong; current only, or the range too.
func (p parameter) set(s *dots.ConfigSet, ranges bool) {
	if p.integer != nil {
		*p.integer(s) = bounds[uint16](200, 0, 65535)
		if !ranges {
			*p.integer(s) = current[uint16](200)
		}
		return
	}
	*p.decimal(s) = bounds[dots.Decimal](200, 100, 3000)
	if !ranges {
		*p.decimal(s) = current[dots.Decimal](200)
	}
}

func TestEveryParameterFromAClient(t *testing.T) {
	for name, p := range everyParameter() {
		t.Run(name, func(t *testing.T) {
			values := p.encodedValues()
			for _, key := range []int{34, 35, 41, 42} {
				if values[key] != nil {
					isRefused(t, putConfig(body(t, m{30: m{44: m{p.key: m{key: values[key]}}}})), dots.CodeBadRequest, "only a server sends it")
					delete(values, key)
				}
			}
			for _, key := range []int{32, 44} {
				want := wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](7)}
				if key == 32 {
					p.set(&want.Config.Mitigating, false)
				} else {
					p.set(&want.Config.Idle, false)
				}
				payload := body(t, m{30: m{key: m{p.key: values}}})
				equal(t, accepted(t, putConfig(payload)), want)
				equal(t, encoded(t, want).Payload, payload)
			}
			isRefused(t, putConfig(body(t, m{30: m{44: m{p.key: m{}}}})), dots.CodeBadRequest, name+": empty")
			isRefused(t, putConfig(body(t, m{30: m{44: m{p.key: 1}}})), dots.CodeBadRequest, name+": not a map")
		})
	}
}

func TestEveryParameterFromAServer(t *testing.T) {
	for name, p := range everyParameter() {
		t.Run(name, func(t *testing.T) {
			req, want := wire.Request{Op: wire.GetConfig}, wire.Response{Code: dots.CodeContent}
			p.set(&want.Config.Mitigating, true)
			p.set(&want.Config.Idle, true)
			payload := body(t, m{30: m{32: m{p.key: p.encodedValues()}, 44: m{p.key: p.encodedValues()}}})
			equal(t, understood(t, req, wire.CoAPResponse{Code: dots.CodeContent, Payload: payload}), want)
			equal(t, answered(t, req, want).Payload, payload)

			empty := body(t, m{30: m{32: m{p.key: m{}}, 44: m{p.key: nil}}})
			equal(t, understood(t, req, wire.CoAPResponse{Code: dots.CodeContent, Payload: empty}), wire.Response{Code: dots.CodeContent})
			_, err := New().DecodeResponse(req, wire.CoAPResponse{Code: dots.CodeContent, Payload: body(t, m{30: m{32: m{p.key: "x"}}})})
			isResponseError(t, name, err)
		})
	}
}
