package rfc9132

import (
	"errors"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// again decodes, encodes and decodes a request: what was accepted once is said and understood the same.
func again(t *testing.T, r wire.CoAPRequest) {
	t.Helper()
	first, err := New().DecodeRequest(r)
	if err != nil {
		var e *dots.Error
		if !errors.As(err, &e) || e.Code.Class() != 4 || e.Text == "" {
			t.Fatalf("refused with %v", err)
		}
		return
	}
	equal(t, accepted(t, encoded(t, first)), first)
}

// againAnswer does the same with the answer to req.
func againAnswer(t *testing.T, req wire.Request, m wire.CoAPResponse) {
	t.Helper()
	first, err := New().DecodeResponse(req, m)
	if err != nil {
		isResponseError(t, "answer", err)
		return
	}
	second := understood(t, req, answered(t, req, first))
	equal(t, answered(t, req, second), answered(t, req, first))
}

func FuzzMitigation(f *testing.F) {
	f.Add(unhex(f, putFigure), false)
	f.Add(encoded(f, fullRequest()).Payload, false)
	f.Add(body(f, scope(m{6: a{"198.51.100.0/24"}, 29: 1})), true)
	f.Fuzz(func(t *testing.T, payload []byte, efficacy bool) {
		r := put(payload)
		r.IfMatch = efficacy
		again(t, r)
	})
}

func FuzzConfig(f *testing.F) {
	f.Add(encoded(f, wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](7), Config: fullConfig()}).Payload)
	f.Fuzz(func(t *testing.T, payload []byte) { again(t, putConfig(payload)) })
}

func FuzzHeartbeat(f *testing.F) {
	f.Add(unhex(f, "A1 18 31 A1 18 33 F5"))
	f.Fuzz(func(t *testing.T, payload []byte) { again(t, putHeartbeat(payload)) })
}

func FuzzCallHomeRedirect(f *testing.F) {
	f.Add(body(f, m{46: m{32773: "alt.example", 32774: a{"2001:db8::1"}, 32775: 3600}}))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r := put(payload)
		r.Path = path("redirect")
		again(t, r)
	})
}

func FuzzPath(f *testing.F) {
	f.Add(uint8(wire.GET), "mitigate", "cdid=d", "cuid=c", "mid=1", "c=n")
	f.Add(uint8(wire.DELETE), "config", "sid=1", "", "", "")
	f.Fuzz(func(t *testing.T, method uint8, resource, one, two, three, query string) {
		segments := path(resource)
		for _, s := range []string{one, two, three} {
			if s != "" {
				segments = append(segments, s)
			}
		}
		again(t, wire.CoAPRequest{Method: wire.Method(method), Path: segments, Query: []string{query}})
	})
}

func FuzzReports(f *testing.F) {
	f.Add(answered(f, getAll(), wire.Response{Code: dots.CodeContent, Reports: fullReports()}).Payload)
	f.Fuzz(func(t *testing.T, payload []byte) {
		againAnswer(t, getAll(), wire.CoAPResponse{Code: dots.CodeContent, Payload: payload})
	})
}

func FuzzGranted(f *testing.F) {
	f.Add(unhex(f, "A1 01 A1 02 81 A2 05 18 7B 0E 19 0E10"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		againAnswer(t, figureRequest(), wire.CoAPResponse{Code: dots.CodeCreated, Payload: payload})
	})
}

func FuzzConfigAnswer(f *testing.F) {
	f.Add(encoded(f, wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](7), Config: fullConfig()}).Payload)
	f.Fuzz(func(t *testing.T, payload []byte) {
		againAnswer(t, wire.Request{Op: wire.GetConfig}, wire.CoAPResponse{Code: dots.CodeContent, Payload: payload})
	})
}

func FuzzRefusal(f *testing.F) {
	f.Add(uint8(dots.CodeConflict), unhex(f, "A1 01 A1 02 81 A1 11 A1 13 03"))
	f.Add(uint8(dots.CodeUnavailable), body(f, m{46: m{47: "alt.example", 48: a{"192.0.2.1"}}}))
	f.Add(uint8(dots.CodeLoop), []byte("gate-a gate-b"))
	f.Fuzz(func(t *testing.T, code uint8, payload []byte) {
		againAnswer(t, figureRequest(), wire.CoAPResponse{Code: dots.Code(code), Payload: payload})
	})
}
