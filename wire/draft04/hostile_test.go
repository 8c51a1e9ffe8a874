package draft04

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
		ports[i] = m{6: i}
	}
	for key := 255; key > 0; key-- {
		descending = append(descending, 0x19, 1, byte(key), 0)
		required[100+key] = 0
		optional[32768+key] = 0
	}
	return map[string][]byte{
		"announced array":   unhex(t, "9A 00 00 04 00"),
		"announced map":     unhex(t, "B8 FF"),
		"announced huge":    unhex(t, "9B 00 00 00 00 FF FF FF FF"),
		"announced text":    unhex(t, "7A 7F FF FF FF"),
		"announced scope":   unhex(t, "A1 01 A1 02 99 04 00"),
		"addresses, empty":  body(t, scope(m{3: 1, 4: repeat(1024, "")})),
		"addresses, short":  body(t, scope(m{3: 1, 4: repeat(1024, "8::")})),
		"prefixes":          body(t, scope(m{3: 1, "target-prefix": repeat(1024, "8::/9")})),
		"names":             body(t, scope(m{3: 1, 9: repeat(1024, "a")})),
		"URIs":              body(t, scope(m{3: 1, 10: repeat(1024, "a://b")})),
		"ports":             body(t, scope(m{3: 1, 4: a{"8::"}, 5: ports})),
		"protocols":         body(t, scope(m{3: 1, 4: a{"8::"}, 8: repeat(1024, 6)})),
		"records":           body(t, m{"alt-server": "a", "alt-server-record": repeat(1024, m{"addr": "::", "ttl": 1})}),
		"reports, least":    body(t, m{1: m{2: repeat(1024, m{3: 1, 12: 1, 21: 1})}}),
		"reports, empty":    body(t, m{1: m{2: repeat(1024, m{})}}),
		"keys, descending":  descending,
		"keys, required":    body(t, scope(required)),
		"keys, optional":    body(t, scope(optional)),
		"a long diagnostic": []byte(strings.Repeat("x", 4096)),
	}
}

// allocated returns how many bytes f allocates: the least of several runs, since what else the process allocates meanwhile only adds.
func allocated(f func()) uint64 {
	var least uint64
	for i := range 10 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; i == 0 || n < least {
			least = n
		}
	}
	return least
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
			answer.Code = dots.CodeAlternateServer
			if got := allocated(func() { _, _ = p.DecodeResponse(getAll(), answer) }); got > constant+perAnswerByte*n {
				t.Errorf("refusal of %d bytes allocates %d", n, got)
			}
		})
	}
}

// A good message costs no more than a constant and 8 bytes for each of its own.
func TestAllocationByMessage(t *testing.T) {
	const constant, perByte = 768, 8
	p := New()
	check := func(name string, bytes int, run func()) {
		run() // what is made once is not counted
		if got, most := allocated(run), uint64(constant+perByte*bytes); got > most {
			t.Errorf("%s of %d bytes allocates %d, at most %d", name, bytes, got, most)
		}
	}
	for name, r := range goodRequests(t) {
		accepted(t, r)
		check(name, len(r.Payload), func() { _, _ = p.DecodeRequest(r) })
	}
	for name, a := range map[string]struct {
		req  wire.Request
		resp wire.Response
	}{
		"reports": {getAll(), wire.Response{Code: dots.CodeContent, Reports: fullReports()}},
		"granted": {figureRequest(), wire.Response{Code: dots.CodeCreated, Granted: dots.Some(wire.Granted{MID: 1, Lifetime: 60})}},
		"config": {getConfig(), wire.Response{Code: dots.CodeContent, Config: flat(dots.ConfigSet{
			HeartbeatInterval: current[uint16](91), AckTimeout: current[dots.Decimal](200), AckRandomFactor: current[dots.Decimal](150),
		})}},
		"text": {figureRequest(), wire.Response{Code: dots.CodeBadRequest, Diagnostic: "lifetime: missing"}},
	} {
		m := answered(t, a.req, a.resp)
		understood(t, a.req, m)
		check(name, len(m.Payload), func() { _, _ = p.DecodeResponse(a.req, m) })
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
