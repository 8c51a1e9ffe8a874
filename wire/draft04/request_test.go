package draft04

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// putFigure is the body of draft-ietf-dots-signal-channel-04, Section 5.3.1, Figure 6.
const putFigure = "A1 01 A1 02 81 A4 03 19 302C 04 82" +
	" 70 323030313A6462383A363430313A3A31 70 323030313A6462383A363430313A3A32" +
	" 05 83 A1 06 18 50 A1 06 19 01BB A1 06 19 1F90 08 81 06"

func figureRequest() wire.Request {
	return wire.Request{
		Op: wire.PutMitigation, MID: dots.Some[uint32](12332),
		Mitigation: dots.Request{
			MID: 12332,
			Target: dots.Target{
				Prefixes:  []netip.Prefix{prefix("2001:db8:6401::1/128"), prefix("2001:db8:6401::2/128")},
				Ports:     []dots.PortRange{{Lower: 80, Upper: 80}, {Lower: 443, Upper: 443}, {Lower: 8080, Upper: 8080}},
				Protocols: []uint8{6},
			},
			Lifetime: dots.Some[dots.Lifetime](3600),
		},
	}
}

func TestPutFigure(t *testing.T) {
	// draft-ietf-dots-signal-channel-04, Section 5.3.1: the example; the missing lifetime is 3600.
	equal(t, accepted(t, put(unhex(t, putFigure))), figureRequest())

	got := encoded(t, figureRequest())
	want := unhex(t, putFigure+"0C 19 0E10")
	want[5] = 0xa5 // ours tells the lifetime
	if hex.EncodeToString(got.Payload) != hex.EncodeToString(want) {
		t.Errorf("encoded %x\nwant    %x", got.Payload, want)
	}
	equal(t, got, put(want))
}

func TestPutEveryAttribute(t *testing.T) {
	req := figureRequest()
	req.HopLimit = dots.Some[uint32](15)
	m := &req.Mitigation
	m.Target.Ports = append(m.Target.Ports, dots.PortRange{Lower: 1024, Upper: 65535})
	m.Target.FQDNs, m.Target.URIs, m.Target.Aliases = []string{"a.example"}, []string{"https://a.example/x"}, []string{"web"}
	m.Target.Protocols, m.Lifetime = nil, dots.Some(dots.Indefinite)
	got := encoded(t, req)
	equal(t, accepted(t, got), req)
	equal(t, got.Payload, body(t, decodeAny(t, got.Payload)))

	// An efficacy update, in which the running lifetime may be kept.
	req.Efficacy, m.Attack, m.Lifetime = true, dots.AttackMitigated, dots.Maybe[dots.Lifetime]{}
	equal(t, accepted(t, encoded(t, req)), req)
}

func TestPutRefused(t *testing.T) {
	ip := a{"198.51.100.1"}
	for _, tt := range []struct {
		name  string
		entry m
		code  dots.Code
		text  string
	}{
		// draft-ietf-dots-signal-channel-04, Section 5.3.1: 4.00 for what is missing, 4.02 for what is invalid or unknown.
		{"no id", m{4: ip}, dots.CodeBadRequest, "mitigation-id: missing"},
		{"no target", m{3: 1, 8: a{6}}, dots.CodeBadRequest, "target missing"},
		{"no lower port", m{3: 1, 4: ip, 5: a{m{7: 1}}}, dots.CodeBadRequest, "lower-port: missing"},
		{"negative id", m{3: -1, 4: ip}, dots.CodeBadOption, "mitigation-id: not an unsigned"},
		{"id beyond int32", m{3: 1 << 31, 4: ip}, dots.CodeBadOption, "mitigation-id: out of range"},
		{"prefix as address", m{3: 1, 4: a{"198.51.100.0/24"}}, dots.CodeBadOption, "target-ip: neither"},
		{"loopback", m{3: 1, 4: a{"127.0.0.1"}}, dots.CodeBadOption, "target-ip: loopback"},
		{"mapped", m{3: 1, 4: a{"::ffff:192.0.2.1"}}, dots.CodeBadOption, "target-ip: IPv4-mapped"},
		{"zone", m{3: 1, 4: a{"fe80::1%eth0"}}, dots.CodeBadOption, "target-ip: neither"},
		{"address number", m{3: 1, 4: a{1}}, dots.CodeBadOption, "target-ip: not a text"},
		{"no addresses", m{3: 1, 4: a{}}, dots.CodeBadOption, "target-ip: empty"},
		{"addresses no array", m{3: 1, 4: "198.51.100.1"}, dots.CodeBadOption, "target-ip: not an array"},
		{"multicast prefix", m{3: 1, "target-prefix": a{"224.0.0.0/4"}}, dots.CodeBadOption, "target-prefix: multicast"},
		{"host bits", m{3: 1, "target-prefix": a{"198.51.100.1/24"}}, dots.CodeBadOption, "target-prefix: host bits"},
		{"address as prefix", m{3: 1, "target-prefix": a{"198.51.100.1"}}, dots.CodeBadOption, "target-prefix: neither"},
		{"port", m{3: 1, 4: ip, 5: a{m{6: 65536}}}, dots.CodeBadOption, "lower-port: out of range"},
		{"upper below lower", m{3: 1, 4: ip, 5: a{m{6: 2, 7: 1}}}, dots.CodeBadOption, "upper-port: below"},
		{"protocol", m{3: 1, 4: ip, 8: a{256}}, dots.CodeBadOption, "target-protocol: out of range"},
		{"name", m{3: 1, 9: a{"a b"}}, dots.CodeBadOption, "fqdn: not a domain name"},
		{"URI", m{3: 1, 10: a{"a"}}, dots.CodeBadOption, "uri: scheme or host"},
		{"alias", m{3: 1, 11: a{""}}, dots.CodeBadOption, "alias-name: empty"},
		{"lifetime 0", m{3: 1, 4: ip, 12: 0}, dots.CodeBadOption, "lifetime: out of range"},
		{"lifetime -2", m{3: 1, 4: ip, 12: -2}, dots.CodeBadOption, "lifetime: out of range"},
		{"lifetime beyond int32", m{3: 1, 4: ip, 12: 1 << 31}, dots.CodeBadOption, "lifetime: out of range"},
		{"lifetime null", m{3: 1, 4: ip, 12: nil}, dots.CodeBadOption, "lifetime: not an integer"},
		{"attack-status 0", m{3: 1, 4: ip, 13: 0}, dots.CodeBadOption, "attack-status: out of range"},
		{"attack-status 3", m{3: 1, 4: ip, 13: 3}, dots.CodeBadOption, "attack-status: out of range"},
		{"status from a client", m{3: 1, 4: ip, 21: 1}, dots.CodeBadOption, "status: not allowed here"},
		{"config in a scope", m{3: 1, 4: ip, 14: m{}}, dots.CodeBadOption, "signal-config: not allowed here"},
		{"unknown key", m{3: 1, 4: ip, 31: 1}, dots.CodeBadOption, "unknown keys: 31"},
		{"key beyond 65536", m{3: 1, 4: ip, 65537: 1}, dots.CodeBadOption, "unknown or out of range"},
		{"unknown name", m{3: 1, 4: ip, "x": 1}, dots.CodeBadOption, "unknown or out of range"},
		{"name of another place", m{3: 1, 4: ip, "ttl": 1}, dots.CodeBadOption, "ttl: not allowed here"},
		{"negative key", m{3: 1, 4: ip, -1: 1}, dots.CodeBadOption, "a key of a wrong type"},
	} {
		t.Run(tt.name, func(t *testing.T) { isRefused(t, put(body(t, scope(tt.entry))), tt.code, tt.text) })
	}
}

func TestPutShapeRefused(t *testing.T) {
	for _, tt := range []struct {
		name    string
		payload []byte
		code    dots.Code
		text    string
	}{
		{"nothing", nil, dots.CodeBadRequest, "body missing"},
		{"no CBOR", []byte("hello"), dots.CodeBadRequest, "not well-formed"},
		{"same key twice", unhex(t, "A2 01 A0 01 A0"), dots.CodeBadRequest, "twice"},
		{"tagged", append([]byte{0xd9, 0x01, 0x0f}, unhex(t, putFigure)...), dots.CodeBadOption, "body: not a map"},
		{"array", []byte{0x80}, dots.CodeBadOption, "body: not a map"},
		{"empty map", []byte{0xa0}, dots.CodeBadRequest, "mitigation-scope: missing"},
		{"no scope", body(t, m{1: m{}}), dots.CodeBadRequest, "scope: missing"},
		{"no entry", body(t, m{1: m{2: a{}}}), dots.CodeBadOption, "scope: empty"},
	} {
		t.Run(tt.name, func(t *testing.T) { isRefused(t, put(tt.payload), tt.code, tt.text) })
	}
	e := refused(t, put(body(t, m{1: m{40: 1, 2: a{m{3: 1, 50: 2}}}, 32767: 3})))
	if len(e.Keys) != 3 || e.Code != dots.CodeBadOption {
		t.Errorf("unknown keys %v", e)
	}
}

func TestRequestsWithoutPut(t *testing.T) {
	one := body(t, scope(m{3: 12332}))
	config := body(t, m{14: m{26: 7}})
	for _, tt := range []struct {
		want    wire.Request
		method  wire.Method
		payload []byte
	}{
		{wire.Request{Op: wire.GetMitigations, Observe: dots.Some[uint32](0)}, wire.GET, nil},
		{wire.Request{Op: wire.GetMitigations, MID: dots.Some[uint32](12332)}, wire.GET, one},
		{wire.Request{Op: wire.GetMitigations, Filter: wire.FilterConfig}, wire.GET, nil},
		{wire.Request{Op: wire.DeleteMitigation, MID: dots.Some[uint32](12332)}, wire.DELETE, one},
		{wire.Request{Op: wire.GetConfig}, wire.GET, nil},
		{wire.Request{Op: wire.GetConfig, SID: dots.Some[uint64](7)}, wire.GET, config},
		{wire.Request{Op: wire.DeleteConfig, SID: dots.Some[uint64](7)}, wire.DELETE, config},
	} {
		got := encoded(t, tt.want)
		equal(t, got.Payload, tt.payload)
		if got.Method != tt.method || got.Format.Set != (tt.payload != nil) {
			t.Errorf("encoded %+v", got)
		}
		equal(t, accepted(t, got), tt.want)
	}
}

func TestOptionsRefused(t *testing.T) {
	one := body(t, scope(m{3: 1}))
	good := wire.CoAPRequest{Method: wire.DELETE, Path: path("signal"), Format: dots.Some[uint16](60), Payload: one}
	accepted(t, good)
	for _, tt := range []struct {
		name   string
		change func(r *wire.CoAPRequest)
		code   dots.Code
	}{
		{"path too long", func(r *wire.CoAPRequest) { r.Path = path("signal", "mid=1") }, dots.CodeNotFound},
		{"path too short", func(r *wire.CoAPRequest) { r.Path = path() }, dots.CodeNotFound},
		{"other resource", func(r *wire.CoAPRequest) { r.Path = path("hb") }, dots.CodeNotFound},
		{"other version", func(r *wire.CoAPRequest) { r.Path = []string{"v2", "dots-signal", "signal"} }, dots.CodeNotFound},
		{"post", func(r *wire.CoAPRequest) { r.Method = wire.POST }, dots.CodeMethodNotAllowed},
		{"no method", func(r *wire.CoAPRequest) { r.Method = 0 }, dots.CodeMethodNotAllowed},
		{"fetch", func(r *wire.CoAPRequest) { r.Method = 5 }, dots.CodeMethodNotAllowed},
		{"accept", func(r *wire.CoAPRequest) { r.Accept = dots.Some[uint16](271) }, dots.CodeNotAcceptable},
		{"format", func(r *wire.CoAPRequest) { r.Format = dots.Some[uint16](271) }, dots.CodeUnsupportedFormat},
		{"no format", func(r *wire.CoAPRequest) { r.Format = dots.Maybe[uint16]{} }, dots.CodeUnsupportedFormat},
		{"if-match", func(r *wire.CoAPRequest) { r.IfMatch = true }, dots.CodeBadRequest},
		{"tag to match", func(r *wire.CoAPRequest) { r.IfMatchTag = true }, dots.CodeBadRequest},
		{"no body", func(r *wire.CoAPRequest) { r.Payload = nil }, dots.CodeBadRequest},
		{"no id", func(r *wire.CoAPRequest) { r.Payload = body(t, scope(m{})) }, dots.CodeBadRequest},
		{"more than the id", func(r *wire.CoAPRequest) { r.Payload = body(t, scope(m{3: 1, 12: 1})) }, dots.CodeBadOption},
		{"query", func(r *wire.CoAPRequest) { r.Method, r.Query = wire.GET, []string{"c=x"} }, dots.CodeBadOption},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := good
			tt.change(&r)
			isRefused(t, r, tt.code, "")
		})
	}
}

func TestUnsayable(t *testing.T) {
	for name, change := range map[string]func(*wire.Request){
		"protocol 0":       func(r *wire.Request) { r.Mitigation.Target.Protocols = []uint8{0, 6} },
		"no target":        func(r *wire.Request) { r.Mitigation.Target = dots.Target{} },
		"armed":            func(r *wire.Request) { r.Mitigation.OnSignalLoss = true },
		"access list":      func(r *wire.Request) { r.Mitigation.ACLs = []dots.ACLControl{{Name: "x"}} },
		"no lifetime":      func(r *wire.Request) { r.Mitigation.Lifetime = dots.Maybe[dots.Lifetime]{} },
		"efficacy of none": func(r *wire.Request) { r.Efficacy = true },
		"prefix":           func(r *wire.Request) { r.Mitigation.Target.Prefixes = []netip.Prefix{prefix("198.51.100.0/24")} },
	} {
		req := figureRequest()
		change(&req)
		_, err := New().EncodeRequest(req)
		var e *dots.Error
		if !errors.As(err, &e) || e.Code != dots.CodeBadRequest || len(e.Text) > dots.MaxDiagnostic {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for name, req := range map[string]wire.Request{
		"heartbeat":   {Op: wire.PutHeartbeat},
		"redirect":    {Op: wire.PutRedirect},
		"no id":       {Op: wire.DeleteMitigation},
		"put, no id":  {Op: wire.PutMitigation, Mitigation: figureRequest().Mitigation},
		"long id":     {Op: wire.DeleteMitigation, MID: dots.Some[uint32](1 << 31)},
		"long sid":    {Op: wire.DeleteConfig, SID: dots.Some[uint64](1 << 31)},
		"no sid":      {Op: wire.DeleteConfig},
		"put, no sid": {Op: wire.PutConfig},
		"nothing":     {},
	} {
		if got, err := New().EncodeRequest(req); err == nil {
			t.Errorf("%s: encoded as %+v", name, got)
		}
	}
}
