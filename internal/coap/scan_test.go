package coap

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// RFC 7252, Section 3.1, Section 5.4.1, Section 5.4.3 and Section 5.4.5.
func TestScanOptions(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, tc := range []struct {
		name    string
		code    Code
		raw     []byte
		count   int
		bad     uint16 // 0: none
		illform bool
	}{
		{name: "nothing", raw: nil},
		{name: "payload only", raw: []byte("\xffp")},
		{name: "marker without payload", raw: []byte{0xff}, illform: true},
		{name: "path", raw: tail("", []Option{opt(UriPath, "a"), opt(UriPath, "b")}), count: 2},
		{name: "path then payload", raw: tail("p", []Option{opt(UriPath, "a")}), count: 1},
		{name: "marker after option without payload", raw: append(tail("", []Option{opt(UriPath, "a")}), 0xff), count: 1, illform: true},
		{name: "delta 15", raw: []byte{0xf0}, illform: true},
		{name: "length 15", raw: []byte{0x1f}, illform: true},
		{name: "delta 13 cut off", raw: []byte{0xd0}, illform: true},
		{name: "delta 14 cut off", raw: []byte{0xe0, 1}, illform: true},
		{name: "length 13 cut off", raw: []byte{0x1d}, illform: true},
		{name: "length 14 cut off", raw: []byte{0x1e, 1}, illform: true},
		{name: "value cut off", raw: []byte{0xb2, 'a'}, illform: true},
		{name: "number over 65535", raw: []byte{0xe0, 0xff, 0xff}, illform: true},
		{name: "unknown critical", raw: tail("", []Option{opt(2049, "x")}), count: 1, bad: 2049},
		{name: "unknown elective", raw: tail("", []Option{opt(2050, "x")}), count: 1},
		{name: "Q-Block1", raw: tail("", []Option{opt(QBlock1, "")}), count: 1, bad: QBlock1},
		{name: "Q-Block2", raw: tail("", []Option{opt(QBlock2, "")}), count: 1, bad: QBlock2},
		{name: "OSCORE", raw: tail("", []Option{opt(9, "")}), count: 1, bad: 9},
		{name: "first of two bad", raw: tail("", []Option{opt(9, ""), opt(2049, "")}), count: 2, bad: 9},
		{name: "If-Match of 9 bytes", raw: tail("", []Option{opt(IfMatch, "123456789")}), count: 1, bad: IfMatch},
		{name: "If-Match of 8 bytes", raw: tail("", []Option{opt(IfMatch, "12345678")}), count: 1},
		{name: "two If-Match", raw: tail("", []Option{opt(IfMatch, "1"), opt(IfMatch, "2")}), count: 2},
		{name: "If-None-Match with a value", raw: tail("", []Option{opt(IfNoneMatch, "1")}), count: 1, bad: IfNoneMatch},
		{name: "two If-None-Match", raw: tail("", []Option{opt(IfNoneMatch, ""), opt(IfNoneMatch, "")}), count: 2, bad: IfNoneMatch},
		{name: "empty Uri-Host", raw: tail("", []Option{opt(UriHost, "")}), count: 1, bad: UriHost},
		{name: "two Uri-Host", raw: tail("", []Option{opt(UriHost, "a"), opt(UriHost, "b")}), count: 2, bad: UriHost},
		{name: "Uri-Port of 3 bytes", raw: tail("", []Option{opt(UriPort, "123")}), count: 1, bad: UriPort},
		{name: "Uri-Path of 256 bytes", raw: tail("", []Option{opt(UriPath, long)}), count: 1, bad: UriPath},
		{name: "Uri-Query of 256 bytes", raw: tail("", []Option{opt(UriQuery, long)}), count: 1, bad: UriQuery},
		{name: "Accept of 3 bytes", raw: tail("", []Option{opt(Accept, "123")}), count: 1, bad: Accept},
		{name: "two Accept", raw: tail("", []Option{opt(Accept, "1"), opt(Accept, "1")}), count: 2, bad: Accept},
		{name: "Block1 of 4 bytes", raw: tail("", []Option{opt(Block1, "1234")}), count: 1, bad: Block1},
		{name: "Block2 twice", raw: tail("", []Option{opt(Block2, ""), opt(Block2, "")}), count: 2, bad: Block2},
		{name: "Observe of 4 bytes is elective", raw: tail("", []Option{opt(Observe, "1234")}), count: 1},
		{name: "Content-Format twice is elective", raw: tail("", []Option{opt(ContentFormat, ""), opt(ContentFormat, "")}), count: 2},
		{name: "Hop-Limit of 5 bytes is elective", raw: tail("", []Option{opt(HopLimit, "12345")}), count: 1},
		{name: "Max-Message-Size", code: codeCSM, raw: tail("", []Option{num(csmMaxMessageSize, 1152)}), count: 1},
		{name: "unknown critical in CSM", code: codeCSM, raw: tail("", []Option{opt(1, "")}), count: 1, bad: 1},
		{name: "If-Match is unknown in Ping", code: codePing, raw: tail("", []Option{opt(IfMatch, "")}), count: 1, bad: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.code == 0 {
				tc.code = PUT
			}
			scan, err := scanOptions(tc.code, tc.raw)
			if errors.Is(err, errMalformed) != tc.illform {
				t.Fatalf("error %v, want malformed %v", err, tc.illform)
			}
			if scan.count != tc.count || scan.bad != tc.bad || scan.isBad != (tc.bad != 0) {
				t.Fatalf("got %+v, want count %d bad %d", scan, tc.count, tc.bad)
			}
		})
	}
}

// RFC 8768, Section 3: a Hop-Limit out of range is to be answered 4.00, so the layer above must see it.
func TestHopLimitIsHandedOn(t *testing.T) {
	for _, tc := range []struct {
		raw  string
		want uint32
		has  bool
	}{
		{"", 0, true},
		{"\x01", 1, true},
		{"\xff", 255, true},
		{"\x01\x00", 256, true},
		{"\x01\x00\x00", 65536, true},
		{"\xff\xff\xff\xff", 1<<32 - 1, true},
		{"\x01\x00\x00\x00\x00", 0, false},
	} {
		for _, reliable := range []bool{false, true} {
			h := new(held)
			r := newRig(t, reliable, SessionConfig{Handler: h})
			if reliable {
				r.Input(slices.Concat(tcp(codeCSM, "", ""), tcp(PUT, "t", "", opt(HopLimit, tc.raw))))
			} else {
				r.Input(udp(non, PUT, 1, "t", "", opt(HopLimit, tc.raw)))
			}
			m := h.last().Request()
			if got, ok := m.Options.Uint(HopLimit); got != tc.want || ok != tc.has || m.Options.Has(HopLimit) != tc.has {
				t.Errorf("%x: got %d, %v; want %d, %v", tc.raw, got, ok, tc.want, tc.has)
			}
		}
	}
}

// RFC 8323, Sections 5.3 to 5.6.
func TestSignalRule(t *testing.T) {
	for _, tc := range []struct {
		code   Code
		number uint16
		known  bool
		high   int
	}{
		{codeCSM, 2, true, 4},
		{codeCSM, 4, true, 0},
		{codeCSM, 6, false, 0},
		{codePing, 2, true, 0},
		{codePong, 2, true, 0},
		{codePong, 4, false, 0},
		{codeRelease, 2, true, 255},
		{codeRelease, 4, true, 3},
		{codeRelease, 6, false, 0},
		{codeAbort, 2, true, 2},
		{codeAbort, 4, false, 0},
	} {
		rule, known := signalRule(tc.code, tc.number)
		if known != tc.known || rule.high != tc.high {
			t.Errorf("%s option %d: %+v %v", tc.code, tc.number, rule, known)
		}
	}
}
