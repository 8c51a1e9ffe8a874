package rfc9132

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// putFigure is the body of the mitigation request in RFC 9132, Section 4.4.1, Figure 8.
const putFigure = "A1 01 A1 02 81 A4 06 82" +
	" 74 323030313A6462383A363430313A3A312F313238" +
	" 74 323030313A6462383A363430313A3A322F313238" +
	" 07 83 A1 08 18 50 A1 08 19 01BB A1 08 19 1F90 0A 81 06 0E 19 0E10"

func figureRequest() wire.Request {
	return wire.Request{
		Op: wire.PutMitigation, CUID: "dz6pHjaADkaFTbjr0JGBpw", MID: dots.Some[uint32](123),
		Mitigation: dots.Request{
			MID: 123,
			Target: dots.Target{
				Prefixes:  []netip.Prefix{prefix("2001:db8:6401::1/128"), prefix("2001:db8:6401::2/128")},
				Ports:     []dots.PortRange{{Lower: 80, Upper: 80}, {Lower: 443, Upper: 443}, {Lower: 8080, Upper: 8080}},
				Protocols: []uint8{6},
			},
			Lifetime: dots.Some[dots.Lifetime](3600),
		},
	}
}

// fullRequest has every attribute that a request may have.
func fullRequest() wire.Request {
	req := figureRequest()
	req.CDID = "7eeaf349529eb55ed50113"
	req.HopLimit = dots.Some[uint32](15)
	req.Mitigation.Target.Ports = append(req.Mitigation.Target.Ports, dots.PortRange{Lower: 1024, Upper: 65535})
	req.Mitigation.Target.FQDNs = []string{"www.example.com", "a.example."}
	req.Mitigation.Target.URIs = []string{"https://www.example.com/x"}
	req.Mitigation.Target.Aliases = []string{"https1"}
	req.Mitigation.OnSignalLoss = true
	req.Mitigation.ACLs = []dots.ACLControl{{Name: "an-accept-list", Activation: dots.ActivateImmediate}, {Name: "other"}}
	req.Mitigation.Source = dots.Source{
		Prefixes:  []string{"2001:db8:123::/48"},
		Ports:     []dots.PortRange{{Lower: 53, Upper: 53}},
		ICMPTypes: []dots.ICMPTypeRange{{Lower: 8, Upper: 8}, {Lower: 10, Upper: 12}},
	}
	req.Mitigation.Optional = []dots.Raw{
		{Key: 205, Value: []byte{0x81, 0xa1, 0x01, 0x02}}, {Key: 16384, Value: []byte{0xf4}}, {Key: 65535, Value: []byte{0x01}},
	}
	return req
}

func TestPutFigure(t *testing.T) {
	// RFC 9132, Section 4.4.1: the example, both ways.
	want := unhex(t, putFigure)
	got := encoded(t, figureRequest())
	if hex.EncodeToString(got.Payload) != hex.EncodeToString(want) {
		t.Errorf("encoded %x\nwant    %x", got.Payload, want)
	}
	equal(t, got.Path, path("mitigate", "cuid=dz6pHjaADkaFTbjr0JGBpw", "mid=123"))
	equal(t, got.Format, dots.Some[uint16](271))
	equal(t, accepted(t, put(want)), figureRequest())
}

func TestPutEveryAttribute(t *testing.T) {
	got := encoded(t, fullRequest())
	equal(t, accepted(t, got), fullRequest())
	equal(t, got.Payload, body(t, decodeAny(t, got.Payload)))
}

func TestPutTagged(t *testing.T) {
	// RFC 9132, Section 10.5: tag 271 may prefix the whole object.
	tagged := append([]byte{0xd9, 0x01, 0x0f}, unhex(t, putFigure)...)
	equal(t, accepted(t, put(tagged)), figureRequest())
	isRefused(t, put(append([]byte{0xd9, 0x01, 0x10}, unhex(t, putFigure)...)), dots.CodeBadRequest, "tag")
}

func TestPutKeyOrderIsFree(t *testing.T) {
	r := accepted(t, put(unhex(t, "A1 01 A1 02 81 A2 0E 20 0B 81 61 61")))
	equal(t, r.Mitigation, dots.Request{MID: 123, Target: dots.Target{FQDNs: []string{"a"}}, Lifetime: dots.Some(dots.Indefinite)})
}

func TestPutRefused(t *testing.T) {
	ok := a{"198.51.100.0/24"}
	for _, tt := range []struct {
		name  string
		entry m
		text  string
	}{
		// RFC 9132, Section 4.4.1: lifetime and a target are mandatory.
		{"no lifetime", m{6: ok}, "lifetime: missing"},
		{"lifetime 0", m{6: ok, 14: 0}, "lifetime: out of range"},
		{"lifetime -2", m{6: ok, 14: -2}, "lifetime: out of range"},
		{"lifetime beyond 32 bits", m{6: ok, 14: 1 << 32}, "lifetime: out of range"},
		{"lifetime float", m{6: ok, 14: 1.5}, "lifetime: not an integer"},
		{"lifetime text", m{6: ok, 14: "3600"}, "lifetime: not an integer"},
		{"lifetime null", m{6: ok, 14: nil}, "lifetime: not an integer"},
		{"trigger number", m{6: ok, 14: 60, 45: 0}, "trigger-mitigation: not a boolean"},
		{"attack-status without If-Match", m{6: ok, 14: 60, 29: 1}, "attack-status: only with If-Match"},
		{"attack-status 3", m{6: ok, 14: 60, 29: 3}, "attack-status: out of range"},
		{"attack-status 0", m{6: ok, 14: 60, 29: 0}, "attack-status: out of range"},
		// RFC 9132, Section 4.4.1: ids are in the path; what a server tells is not a client's to say.
		{"cuid in the body", m{4: "x", 6: ok, 14: 60}, "cuid: not allowed in the body"},
		{"cdid in the body", m{3: "x", 6: ok, 14: 60}, "cdid: not allowed in the body"},
		{"mid in the body", m{5: 123, 6: ok, 14: 60}, "mid: not allowed in the body"},
		{"config in a scope", m{6: ok, 14: 60, 30: m{}}, "signal-config: not allowed here"},
		{"text key", m{6: ok, 14: 60, "x": 1}, "a key of a wrong type"},
		{"negative key", m{6: ok, 14: 60, -1: 1}, "a key of a wrong type"},
		{"key beyond 65535", m{6: ok, 14: 60, 65536: 1}, "key 65536 out of range"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			isRefused(t, put(body(t, scope(tt.entry))), dots.CodeBadRequest, tt.text)
		})
	}
}

func TestServerAttributesRefused(t *testing.T) {
	// RFC 9132, Section 4.4.2: status, start, conflicts and counters go from server to client only.
	for key, name := range map[int]string{
		15: "mitigation-start", 16: "status", 17: "conflict-information", 18: "conflict-status", 19: "conflict-cause",
		20: "retry-timer", 21: "conflict-scope", 22: "acl-list", 23: "acl-name", 24: "acl-type", 25: "bytes-dropped",
		26: "bps-dropped", 27: "pkts-dropped", 28: "pps-dropped",
	} {
		for _, value := range []any{1, nil, m{}, a{}} {
			entry := m{6: a{"198.51.100.0/24"}, 14: 60, key: value}
			isRefused(t, put(body(t, scope(entry))), dots.CodeBadRequest, name+": only a server sends it")
		}
	}
}

func TestTargetRefused(t *testing.T) {
	ok := a{"198.51.100.0/24"}
	for _, tt := range []struct {
		name  string
		entry m
		text  string
	}{
		{"no target", m{14: 60}, "target missing"},
		{"ports only", m{7: a{m{8: 80}}, 10: a{6}, 14: 60}, "target missing"},
		{"empty targets", m{6: a{}, 14: 60}, "target-prefix: empty"},
		{"targets null", m{6: nil, 14: 60}, "target-prefix: not an array"},
		{"targets text", m{6: "198.51.100.0/24", 14: 60}, "target-prefix: not an array"},
		{"empty name", m{11: a{""}, 14: 60}, "target-fqdn: empty"},
		{"empty alias", m{13: a{""}, 14: 60}, "alias-name: empty"},
		{"alias bytes", m{13: a{[]byte("x")}, 14: 60}, "alias-name: not a text string"},
		{"alias newline", m{13: a{"a\nb"}, 14: 60}, "alias-name: control character"},
		{"name with space", m{11: a{"a b"}, 14: 60}, "target-fqdn: not a domain name"},
		{"name is an address", m{11: a{"192.0.2.1"}, 14: 60}, "target-fqdn: an address"},
		{"URI without scheme", m{12: a{"www.example.com"}, 14: 60}, "target-uri: scheme or host"},
		{"URI without host", m{12: a{"https:///x"}, 14: 60}, "target-uri: scheme or host"},
		{"URI broken", m{12: a{"http://[::1"}, 14: 60}, "target-uri: not a URI"},
		{"protocol 256", m{6: ok, 10: a{256}, 14: 60}, "target-protocol: out of range"},
		{"protocol negative", m{6: ok, 10: a{-1}, 14: 60}, "target-protocol: not an unsigned"},
		{"no protocols", m{6: ok, 10: a{}, 14: 60}, "target-protocol: empty"},
		{"port 65536", m{6: ok, 7: a{m{8: 65536}}, 14: 60}, "lower-port: out of range"},
		{"upper below lower", m{6: ok, 7: a{m{8: 80, 9: 79}}, 14: 60}, "upper-port: below lower-port"},
		{"no lower port", m{6: ok, 7: a{m{9: 80}}, 14: 60}, "lower-port: missing"},
		{"same lower port", m{6: ok, 7: a{m{8: 80}, m{8: 80, 9: 90}}, 14: 60}, "lower-port twice"},
		{"port no map", m{6: ok, 7: a{80}, 14: 60}, "target-port-range: not a map"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			isRefused(t, put(body(t, scope(tt.entry))), dots.CodeBadRequest, tt.text)
		})
	}
}

func TestPutShapeRefused(t *testing.T) {
	entry := m{6: a{"198.51.100.0/24"}, 14: 60}
	good := body(t, scope(entry))
	for _, tt := range []struct {
		name    string
		payload []byte
		text    string
	}{
		{"nothing", nil, "body missing"},
		{"no CBOR", []byte("hello"), "not well-formed"},
		{"cut off", good[:len(good)-1], "not well-formed"},
		{"trailing byte", append(good[:len(good):len(good)], 0), "not well-formed"},
		{"indefinite length", unhex(t, "BF 01 A1 02 80 FF"), "not well-formed"},
		{"nesting of 9", body(t, m{128: a{a{a{a{a{a{a{a{}}}}}}}}}), "not well-formed"},
		{"array of 1025", body(t, m{128: make([]int, 1025)}), "not well-formed"},
		{"same key twice", unhex(t, "A2 01 A0 01 A0"), "the same key twice"},
		{"same key in two lengths", unhex(t, "A2 01 A0 18 01 A0"), "the same key twice"},
		{"number", []byte{0x01}, "body: not a map"},
		{"array", []byte{0x80}, "body: not a map"},
		{"empty map", []byte{0xa0}, "mitigation-scope: missing"},
		{"scope no map", body(t, m{1: 1}), "mitigation-scope: not a map"},
		{"scope missing", body(t, m{1: m{}}), "scope: missing"},
		{"scope no array", body(t, m{1: m{2: m{}}}), "scope: not an array"},
		// RFC 9132, Section 4.4.1: exactly one entry.
		{"no entry", body(t, m{1: m{2: a{}}}), "scope: empty"},
		{"two entries", body(t, scope(entry, entry)), "scope: more than one entry"},
		{"entry no map", body(t, scope(1)), "scope: not a map"},
		{"other body", body(t, m{49: m{51: true}}), "heartbeat: not allowed here"},
	} {
		t.Run(tt.name, func(t *testing.T) { isRefused(t, put(tt.payload), dots.CodeBadRequest, tt.text) })
	}
}

func TestUnknownKeys(t *testing.T) {
	// RFC 9132, Section 6: unknown comprehension-required keys are refused by name, wherever they are.
	e := refused(t, put(body(t, m{1: m{2: a{m{6: a{"198.51.100.0/24"}, 60: 1, 7: a{m{8: 1, 300: 2}}}}, 127: 0}, 16383: 1})))
	equal(t, e, &dots.Error{Code: dots.CodeBadRequest, Text: "unknown keys: 300, 60, 127, 16383", Keys: []uint64{300, 60, 127, 16383}})
	isRefused(t, put(body(t, m{0: 1})), dots.CodeBadRequest, "unknown keys: 0")

	many := m{}
	for key := 256; key < 300; key++ {
		many[key] = 0
	}
	e = refused(t, put(body(t, scope(many))))
	if len(e.Keys) != 44 || len(e.Text) > dots.MaxDiagnostic {
		t.Errorf("%d keys, text of %d bytes %q", len(e.Keys), len(e.Text), e.Text)
	}
}

func TestOptionalKeysKept(t *testing.T) {
	// RFC 9132, Section 10.6.1: 128-255 and 16384-65535 are comprehension-optional.
	entry := m{11: a{"a.example"}, 14: 60, 128: 1, 255: m{1: a{}}, 16384: "x", 49152: nil}
	got := accepted(t, put(body(t, m{1: m{2: a{entry}, 130: 1}, 40000: 1})))
	equal(t, got.Mitigation.Optional, []dots.Raw{
		{Key: 128, Value: []byte{1}},
		{Key: 255, Value: []byte{0xa1, 1, 0x80}},
		{Key: 16384, Value: []byte{0x61, 'x'}},
		{Key: 49152, Value: []byte{0xf6}},
	})
	// Whatever the order they came in.
	got = accepted(t, put(unhex(t, "A1 01 A1 02 81 A4 19 4000 01 0B 81 61 61 18 80 02 0E 01")))
	equal(t, got.Mitigation.Optional, []dots.Raw{{Key: 128, Value: []byte{2}}, {Key: 16384, Value: []byte{1}}})
}

func TestOptionalKeysRefusedInEncoding(t *testing.T) {
	for _, list := range [][]dots.Raw{
		{{Key: 60, Value: []byte{1}}},
		{{Key: 128, Value: nil}},
		{{Key: 129, Value: []byte{1}}, {Key: 128, Value: []byte{1}}},
		{{Key: 32768, Value: []byte{1}}},
		{{Key: 65536, Value: []byte{1}}},
	} {
		req := figureRequest()
		req.Mitigation.Optional = list
		if _, err := New().EncodeRequest(req); err == nil {
			t.Errorf("%v written", list)
		}
	}
}

func TestEfficacy(t *testing.T) {
	// RFC 9132, Section 4.4.3: If-Match of zero length and attack-status; the example leaves the lifetime out.
	entry := m{6: a{"198.51.100.0/24"}, 29: 1}
	r := put(body(t, scope(entry)))
	r.IfMatch = true
	got := accepted(t, r)
	if !got.Efficacy || got.Mitigation.Attack != dots.AttackUnderAttack || got.Mitigation.Lifetime.Set {
		t.Errorf("got %+v", got)
	}
	equal(t, accepted(t, encoded(t, got)), got)

	delete(entry, 29)
	entry[14] = 60
	r.Payload = body(t, scope(entry))
	isRefused(t, r, dots.CodeBadRequest, "attack-status: missing")
	entry[29], entry[53] = 2, a{m{23: "x"}}
	r.Payload = body(t, scope(entry))
	isRefused(t, r, dots.CodeBadRequest, "acl-list: not in an efficacy update")
}

func TestTargetPrefixes(t *testing.T) {
	for _, tt := range []struct{ prefix, text string }{
		{"198.51.100.0/24", ""},
		{"198.51.100.1/32", ""},
		{"2001:DB8::/32", ""},
		{"240.0.0.0/8", ""},
		// RFC 9132, Section 4.4.1: no broadcast, loopback or multicast.
		{"255.255.255.255/32", "multicast or broadcast"},
		{"127.0.0.1/32", "loopback"},
		{"224.0.0.0/24", "multicast"},
		{"0.0.0.0/0", "unspecified"},
		{"0.0.0.0/32", "unspecified"},
		{"128.0.0.0/1", "multicast"},
		{"::/0", "unspecified"},
		{"::1/128", "loopback"},
		{"ff02::1/128", "multicast"},
		{"fe00::/7", "multicast"},
		{"::ffff:192.0.2.1/128", "IPv4-mapped"},
		{"::fffe:0:0/95", "IPv4-mapped"},
		{"198.51.100.1/24", "host bits"},
		{"198.51.100.0", "not a CIDR"},
		{"198.51.100.0/33", "not a CIDR"},
		{"198.51.100.00/24", "not a CIDR"},
		{"198.51.100.0/024", "not a CIDR"},
		{"fe80::1%eth0/128", "not a CIDR"},
		{"2001:db8::/129", "not a CIDR"},
		{"", "not a CIDR"},
	} {
		t.Run(tt.prefix, func(t *testing.T) {
			r := put(body(t, scope(m{6: a{tt.prefix}, 14: 60})))
			if tt.text == "" {
				equal(t, accepted(t, r).Mitigation.Target.Prefixes, []netip.Prefix{prefix(tt.prefix)})
				return
			}
			text := tt.text
			if text == "multicast or broadcast" {
				text = "cast address"
			}
			isRefused(t, r, dots.CodeBadRequest, text)
		})
	}
}
