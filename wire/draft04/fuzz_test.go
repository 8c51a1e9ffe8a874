package draft04

import (
	"errors"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// again decodes, encodes and decodes a request: what was accepted once and can be said is understood the same.
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
	said, err := New().EncodeRequest(first)
	if err != nil {
		return // a prefix, or an id of 64 bits
	}
	equal(t, accepted(t, said), first)
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
	f.Add(encoded(f, figureRequest()).Payload, true)
	f.Add(body(f, scope(m{3: 1, "target-prefix": a{"198.51.100.0/24"}, 13: 1})), true)
	f.Fuzz(func(t *testing.T, payload []byte, ifMatch bool) {
		r := put(payload)
		r.IfMatch = ifMatch
		again(t, r)
	})
}

func FuzzID(f *testing.F) {
	f.Add(uint8(wire.GET), body(f, scope(m{3: 1})))
	f.Add(uint8(wire.DELETE), body(f, scope(m{3: 1})))
	f.Fuzz(func(t *testing.T, method uint8, payload []byte) {
		r := put(payload)
		r.Method = wire.Method(method)
		again(t, r)
	})
}

func FuzzConfig(f *testing.F) {
	f.Add(uint8(wire.PUT), body(f, m{14: m{26: 12345, 15: 91, 28: 3, 16: 7, 17: 5, 18: 1.5, 27: false}}))
	f.Add(uint8(wire.DELETE), body(f, m{14: m{26: 1}}))
	f.Fuzz(func(t *testing.T, method uint8, payload []byte) {
		r := putConfig(payload)
		r.Method = wire.Method(method)
		again(t, r)
	})
}

func FuzzReports(f *testing.F) {
	f.Add(answered(f, getAll(), wire.Response{Code: dots.CodeContent, Reports: fullReports()}).Payload)
	f.Fuzz(func(t *testing.T, payload []byte) {
		againAnswer(t, getAll(), wire.CoAPResponse{Code: dots.CodeContent, Payload: payload})
	})
}

func FuzzGranted(f *testing.F) {
	f.Add(unhex(f, "A1 01 A1 02 81 A2 03 19 302C 0C 19 0E10"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		againAnswer(t, figureRequest(), wire.CoAPResponse{Code: dots.CodeCreated, Payload: payload})
	})
}

func FuzzConfigAnswer(f *testing.F) {
	f.Add(body(f, m{15: m{29: 91, 19: 60, 20: 240}, 17: m{29: 2}, 18: m{29: 1.5, 19: 1.0, 20: 4.0}, 27: true}))
	f.Fuzz(func(t *testing.T, payload []byte) {
		againAnswer(t, getConfig(), wire.CoAPResponse{Code: dots.CodeContent, Payload: payload})
	})
}

func FuzzRedirect(f *testing.F) {
	f.Add(uint8(dots.CodeAlternateServer), body(f, m{"alt-server": "a.example", "alt-server-record": a{m{"addr": "192.0.2.1", "ttl": 5}}}))
	f.Add(uint8(dots.CodeBadOption), []byte("uri: bad"))
	f.Fuzz(func(t *testing.T, code uint8, payload []byte) {
		againAnswer(t, figureRequest(), wire.CoAPResponse{Code: dots.Code(code), Payload: payload})
	})
}
