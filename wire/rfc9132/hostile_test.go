package rfc9132

import (
	"runtime"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// hostileBodies announce or hold as much as they can in few bytes.
func hostileBodies(t testing.TB) map[string][]byte {
	repeat := func(n int, v any) a {
		list := make(a, n)
		for i := range list {
			list[i] = v
		}
		return list
	}
	ports, descending, required, optional := make(a, 1024), []byte{0xb8, 0xff}, m{}, m{}
	for i := range ports {
		ports[i] = m{8: i}
	}
	for key := 255; key > 0; key-- {
		descending = append(descending, 0x19, 1, byte(key), 0)
		required[255+key] = 0
		optional[16384+key] = 0
	}
	return map[string][]byte{
		"announced array":   unhex(t, "9A 00 00 04 00"),
		"announced map":     unhex(t, "B8 FF"),
		"announced huge":    unhex(t, "9B 00 00 00 00 FF FF FF FF"),
		"announced text":    unhex(t, "7A 7F FF FF FF"),
		"announced scope":   unhex(t, "A1 01 A1 02 99 04 00"),
		"prefixes, empty":   body(t, scope(m{6: repeat(1024, "")})),
		"prefixes, short":   body(t, scope(m{6: repeat(1024, "8.0.0.0/8"), 14: 1})),
		"names":             body(t, scope(m{11: repeat(1024, "a"), 14: 1})),
		"URIs":              body(t, scope(m{12: repeat(1024, "a://b"), 14: 1})),
		"ports":             body(t, scope(m{6: a{"8.0.0.0/8"}, 7: ports, 14: 1})),
		"protocols":         body(t, scope(m{6: a{"8.0.0.0/8"}, 10: repeat(1024, 6), 14: 1})),
		"ACLs":              body(t, scope(m{53: repeat(1024, m{23: "x"})})),
		"reports, least":    body(t, m{1: m{2: repeat(1024, m{5: 1, 14: 1, 16: 1})}}),
		"reports, empty":    body(t, m{1: m{2: repeat(1024, m{})}}),
		"keys, descending":  descending,
		"keys, required":    body(t, scope(required)),
		"keys, optional":    body(t, scope(optional)),
		"a long diagnostic": []byte(strings.Repeat("x", 4096)),
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A body of n bytes costs at most 32n and a constant in a request, 96n in an answer, whose reports are large.
func TestAllocationIsBounded(t *testing.T) {
	const constant, perRequestByte, perAnswerByte = 8192, 32, 96
	p := New()
	for name, payload := range hostileBodies(t) {
		t.Run(name, func(t *testing.T) {
			n := uint64(len(payload))
			request := put(payload)
			if got := allocated(func() { _, _ = p.DecodeRequest(request) }); got > constant+perRequestByte*n {
				t.Errorf("request of %d bytes allocates %d", n, got)
			}
			answer := wire.CoAPResponse{Code: dots.CodeContent, Payload: payload}
			if got := allocated(func() { _, _ = p.DecodeResponse(getAll(), answer) }); got > constant+perAnswerByte*n {
				t.Errorf("answer of %d bytes allocates %d", n, got)
			}
			answer.Code = dots.CodeConflict
			if got := allocated(func() { _, _ = p.DecodeResponse(getAll(), answer) }); got > constant+perAnswerByte*n {
				t.Errorf("refusal of %d bytes allocates %d", n, got)
			}
		})
	}
}

func TestPutAllocations(t *testing.T) {
	p, r, req := New(), put(unhex(t, putFigure)), figureRequest()
	if n := testing.AllocsPerRun(100, func() { _, _ = p.DecodeRequest(r) }); n > 25 {
		t.Errorf("decoding allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = p.EncodeRequest(req) }); n > 12 {
		t.Errorf("encoding allocates %v times", n)
	}
}

func BenchmarkDecodePut(b *testing.B) {
	p, r := New(), put(unhex(b, putFigure))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.DecodeRequest(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodePut(b *testing.B) {
	p, req := New(), figureRequest()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.EncodeRequest(req); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeGranted(b *testing.B) {
	p, req := New(), figureRequest()
	resp := wire.Response{Code: dots.CodeChanged, Granted: dots.Some(wire.Granted{MID: 123, Lifetime: 3600})}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.EncodeResponse(req, resp); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeReports(b *testing.B) {
	p := New()
	m := answered(b, getAll(), wire.Response{Code: dots.CodeContent, Reports: fullReports()})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.DecodeResponse(getAll(), m); err != nil {
			b.Fatal(err)
		}
	}
}
