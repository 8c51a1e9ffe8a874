package rfc9132

import (
	"net/netip"
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
			answer.Code = dots.CodeConflict
			if got := allocated(func() { _, _ = p.DecodeResponse(getAll(), answer) }); got > constant+perAnswerByte*n {
				t.Errorf("refusal of %d bytes allocates %d", n, got)
			}
		})
	}
}

// cost is a message that a peer may send and what handling it may allocate.
type cost struct {
	name  string
	bytes int // of the payload
	run   func()
}

// costs are good messages of each kind, the smallest and the largest.
func costs(t *testing.T) (list []cost) {
	p := New()
	request := func(name string, r wire.CoAPRequest) {
		accepted(t, r)
		list = append(list, cost{name, len(r.Payload), func() { _, _ = p.DecodeRequest(r) }})
	}
	answer := func(name string, req wire.Request, m wire.CoAPResponse) {
		understood(t, req, m)
		list = append(list, cost{name, len(m.Payload), func() { _, _ = p.DecodeResponse(req, m) }})
	}
	many := fullRequest()
	for i := range 200 {
		many.Mitigation.Target.Prefixes = append(many.Mitigation.Target.Prefixes, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 32))
	}
	config := wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](1), Config: fullConfig()}
	getConfig := wire.Request{Op: wire.GetConfig}
	created := wire.Response{Code: dots.CodeCreated, Granted: dots.Some(wire.Granted{MID: 123, Lifetime: 60})}
	request("smallest mitigation", put(body(t, scope(m{11: a{"a"}, 14: 1}))))
	request("every attribute", encoded(t, fullRequest()))
	request("many prefixes", encoded(t, many))
	request("configuration", encoded(t, config))
	request("heartbeat", putHeartbeat(unhex(t, "A1 18 31 A1 18 33 F5")))
	request("redirection", encoded(t, wire.Request{Op: wire.PutRedirect, Redirect: dots.Redirect{Server: "a", Records: []string{"::"}}}))
	request("GET", wire.CoAPRequest{Method: wire.GET, Path: path("mitigate", "cuid=c")})
	request("DELETE", wire.CoAPRequest{Method: wire.DELETE, Path: path("mitigate", "cdid=d", "cuid=c", "mid=1")})
	answer("reports", getAll(), answered(t, getAll(), wire.Response{Code: dots.CodeContent, Reports: fullReports()}))
	answer("granted", figureRequest(), answered(t, figureRequest(), created))
	answer("ranges", getConfig, answered(t, getConfig, wire.Response{Code: dots.CodeContent, Config: fullConfig()}))
	answer("text", figureRequest(), answered(t, figureRequest(), wire.Response{Code: dots.CodeBadRequest, Diagnostic: "lifetime: missing"}))
	answer("deleted", wire.Request{Op: wire.DeleteMitigation}, wire.CoAPResponse{Code: dots.CodeDeleted})
	return list
}

// A good message costs no more than a bad one: a constant and 8 bytes for each of its own.
func TestAllocationByMessage(t *testing.T) {
	const constant, perByte = 768, 8
	for _, c := range costs(t) {
		t.Run(c.name, func(t *testing.T) {
			c.run() // what is made once is not counted
			if got, most := allocated(c.run), uint64(constant+perByte*c.bytes); got > most {
				t.Errorf("a message of %d bytes allocates %d, at most %d", c.bytes, got, most)
			}
		})
	}
}

// What comes most often allocates least: a heartbeat, and a request for nothing new.
func TestAllocationsOfFrequentMessages(t *testing.T) {
	most := map[string]float64{"heartbeat": 2, "GET": 0, "DELETE": 0, "deleted": 0, "granted": 2, "text": 2, "smallest mitigation": 4}
	for _, c := range costs(t) {
		limit, frequent := most[c.name]
		if got := testing.AllocsPerRun(50, c.run); frequent && got > limit {
			t.Errorf("%s allocates %v times, at most %v", c.name, got, limit)
		}
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
