package rfc9132

import (
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

func TestGrantedReadLeniently(t *testing.T) {
	for _, tt := range []struct {
		name    string
		payload []byte
		want    wire.Response
	}{
		{"null", []byte{0xf6}, wire.Response{}},
		{"tagged", unhex(t, "D9 010F A1 01 A1 02 81 A2 05 01 0E 02"), wire.Response{Granted: dots.Some(wire.Granted{MID: 1, Lifetime: 2})}},
		{"no lifetime", body(t, scope(m{5: 1})), wire.Response{}},
		{"no mid", body(t, scope(m{14: 1})), wire.Response{}},
		{"nulls", body(t, scope(m{5: 1, 14: 2, 17: nil, 6: a{}, 99: 1, "x": 1})), wire.Response{Granted: dots.Some(wire.Granted{MID: 1, Lifetime: 2})}},
		{"no entry", body(t, m{1: m{2: a{}}}), wire.Response{}},
		{"no scope", body(t, m{1: m{}}), wire.Response{}},
		{"lifetime 0", body(t, scope(m{5: 1, 14: 0})), wire.Response{Granted: dots.Some(wire.Granted{MID: 1})}},
		{"indefinite", body(t, scope(m{5: 4294967295, 14: -1})), wire.Response{Granted: dots.Some(wire.Granted{MID: 4294967295, Lifetime: -1})}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, code := range []dots.Code{dots.CodeCreated, dots.CodeChanged} {
				tt.want.Code = code
				equal(t, understood(t, figureRequest(), wire.CoAPResponse{Code: code, Payload: tt.payload}), tt.want)
			}
		})
	}
}

func TestGrantedUnreadable(t *testing.T) {
	for name, payload := range map[string][]byte{
		"no CBOR": []byte("created"), "number": {1}, "no mitigation-scope": body(t, m{46: m{}}), "mid text": body(t, scope(m{5: "1"})),
		"mid beyond": body(t, scope(m{5: 1 << 32})), "lifetime -2": body(t, scope(m{5: 1, 14: -2})), "lifetime float": body(t, scope(m{5: 1, 14: 1.5})),
		"conflict number": body(t, scope(m{5: 1, 14: 1, 17: 1})), "ACL number": body(t, scope(m{53: 1})),
	} {
		_, err := New().DecodeResponse(figureRequest(), wire.CoAPResponse{Code: dots.CodeCreated, Payload: payload})
		isResponseError(t, name, err)
	}
}

func TestACLsReadLeniently(t *testing.T) {
	// RFC 9133, Section 3.3: the body of a 5.03 to a request with access lists.
	payload := body(t, scope(m{5: 123, 53: a{m{23: "l", 52: nil, 60: 1}, m{23: "l"}}, 14: nil}))
	got := understood(t, figureRequest(), wire.CoAPResponse{
		Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](7), Format: dots.Some[uint16](271), Payload: payload,
	})
	equal(t, got, wire.Response{
		Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](7), ACLs: []dots.ACLControl{{Name: "l"}, {Name: "l"}},
	})
}

func TestProfileName(t *testing.T) {
	if got := New().Name(); got != "rfc9132" {
		t.Errorf("name %q", got)
	}
}
