package coap

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// Every malformed datagram gets exactly the bytes the documents name, or silence; the session lives on and its
// handler sees nothing. RFC 7252, Section 3, Section 4.1, Section 4.2, Section 4.3 and Section 5.4.1.
func TestMalformedDatagrams(t *testing.T) {
	reset := func(mid uint16) []byte { return udp(rst, Empty, mid, "", "") }
	bad := func(mid uint16, token string, number int) []byte {
		return udp(ack, BadOption, mid, token, fmt.Sprintf("unrecognised critical option %d", number))
	}
	for _, tc := range []struct {
		name string
		in   []byte
		out  []byte // nil: silence
	}{
		{"nothing", []byte{}, nil},
		{"one byte", []byte{0x40}, nil},
		{"three bytes", []byte{0x40, 1, 0}, nil},
		{"version 0", []byte{0x00, 1, 0, 1}, nil},
		{"version 2", []byte{0x80, 1, 0, 1}, nil},
		{"version 3", []byte{0xc0, 1, 0, 1}, nil},
		{"TKL 9 CON", append([]byte{0x49, 1, 0, 1}, make([]byte, 9)...), reset(1)},
		{"TKL 15 CON", append([]byte{0x4f, 1, 0, 2}, make([]byte, 15)...), reset(2)},
		{"TKL 9 NON", append([]byte{0x59, 1, 0, 1}, make([]byte, 9)...), nil},
		{"TKL 9 ACK", append([]byte{0x69, 69, 0, 1}, make([]byte, 9)...), nil},
		{"token cut off CON", []byte{0x44, 1, 0, 3, 1, 2}, reset(3)},
		{"token cut off NON", []byte{0x54, 1, 0, 3, 1, 2}, nil},
		{"ping", udp(con, Empty, 7, "", ""), reset(7)},
		{"ping with token", udp(con, Empty, 8, "t", ""), reset(8)},
		{"ping with payload", udp(con, Empty, 9, "", "x"), reset(9)},
		{"ping with option", udp(con, Empty, 10, "", "", opt(UriPath, "a")), reset(10)},
		{"ping with junk", append(udp(con, Empty, 11, "", ""), 0xff), reset(11)},
		{"empty NON", udp(non, Empty, 7, "", ""), nil},
		{"empty NON with junk", udp(non, Empty, 7, "", "x"), nil},
		{"ACK of nothing", udp(ack, Empty, 7, "", ""), nil},
		{"empty ACK with token", udp(ack, Empty, 7, "t", ""), nil},
		{"RST of nothing", udp(rst, Empty, 7, "", ""), nil},
		{"RST with a request", udp(rst, GET, 7, "t", ""), nil},
		{"RST with a response", udp(rst, Content, 7, "t", ""), nil},
		{"ACK with a request", udp(ack, GET, 7, "t", ""), nil},
		{"class 1 CON", udp(con, Code(32), 12, "t", ""), reset(12)},
		{"class 1 NON", udp(non, Code(32), 12, "t", ""), nil},
		{"class 6 CON", udp(con, Code(6<<5), 13, "t", ""), reset(13)},
		{"class 6 NON", udp(non, Code(6<<5|1), 13, "t", ""), nil},
		{"class 7 CON: a CSM over UDP", udp(con, codeCSM, 14, "", ""), reset(14)},
		{"class 7 NON", udp(non, codePing, 14, "", ""), nil},
		{"unknown response CON", udp(con, Content, 15, "abcd", "x"), reset(15)},
		{"unknown response NON", udp(non, Content, 15, "abcd", "x"), nil},
		{"unknown response ACK", udp(ack, Content, 15, "abcd", "x"), nil},
		{"unknown notification NON", udp(non, Content, 16, "abcd", "x", num(Observe, 3)), reset(16)},
		{"unknown 3.00 CON", udp(con, AlternateServer, 17, "abcd", ""), reset(17)},
		{"marker without payload CON", append(udp(con, GET, 20, "t", ""), 0xff), reset(20)},
		{"marker without payload NON", append(udp(non, GET, 20, "t", ""), 0xff), nil},
		{"option delta 15 CON", append(udp(con, GET, 21, "t", ""), 0xf1, 0), reset(21)},
		{"option length 15 CON", append(udp(con, GET, 22, "t", ""), 0x1f, 0), reset(22)},
		{"option cut off CON", append(udp(con, GET, 23, "t", ""), 0xb5, 'a'), reset(23)},
		{"option cut off NON", append(udp(non, GET, 23, "t", ""), 0xb5, 'a'), nil},
		{"option extension cut off CON", append(udp(con, GET, 24, "t", ""), 0xd1), reset(24)},
		{"option number too large CON", append(udp(con, GET, 25, "t", ""), 0xe0, 0xff, 0xff), reset(25)},
		{"unknown critical CON", udp(con, GET, 30, "t", "", opt(2049, "x")), bad(30, "t", 2049)},
		{"unknown critical NON", udp(non, GET, 30, "t", "", opt(2049, "x")), nil},
		{"Q-Block1 CON", udp(con, PUT, 31, "t", "x", opt(QBlock1, "")), bad(31, "t", 19)},
		{"Q-Block2 CON", udp(con, GET, 32, "t", "", opt(QBlock2, "")), bad(32, "t", 31)},
		{"Q-Block1 NON", udp(non, PUT, 31, "t", "x", opt(QBlock1, "")), nil},
		{"If-Match of 9 bytes", udp(con, PUT, 33, "t", "x", opt(IfMatch, "123456789")), bad(33, "t", 1)},
		{"empty Uri-Host", udp(con, GET, 34, "", "", opt(UriHost, "")), bad(34, "", 3)},
		{"If-None-Match with value", udp(con, PUT, 35, "t", "", opt(IfNoneMatch, "x")), bad(35, "t", 5)},
		{"Uri-Port of 3 bytes", udp(con, GET, 36, "t", "", opt(UriPort, "abc")), bad(36, "t", 7)},
		{"Uri-Path of 256 bytes", udp(con, GET, 37, "t", "", opt(UriPath, strings.Repeat("x", 256))), bad(37, "t", 11)},
		{"Accept twice", udp(con, GET, 38, "t", "", opt(Accept, "\x01"), opt(Accept, "\x01")), bad(38, "t", 17)},
		{"Uri-Host twice", udp(con, GET, 39, "t", "", opt(UriHost, "a"), opt(UriHost, "a")), bad(39, "t", 3)},
		{"Block1 of 4 bytes", udp(con, PUT, 40, "t", "x", opt(Block1, "1234")), bad(40, "t", 27)},
		{"Block2 twice", udp(con, GET, 41, "t", "", opt(Block2, ""), opt(Block2, "")), bad(41, "t", 23)},
		{"OSCORE", udp(con, GET, 42, "t", "", opt(9, "")), bad(42, "t", 9)},
		{"Block1 with SZX 7", udp(con, PUT, 43, "t", "x", num(Block1, 15)), udp(ack, BadRequest, 43, "t", "bad block option")},
		{"Proxy-Uri", udp(con, GET, 44, "t", "", opt(ProxyUri, "coap://x/")), udp(ack, ProxyingNotSupported, 44, "t", "not a forward proxy")},
		{"Proxy-Scheme NON", udp(non, GET, 45, "t", "", opt(ProxyScheme, "coap")), udp(non, ProxyingNotSupported, 1, "t", "not a forward proxy")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				served := 0
				r := newRig(t, false, SessionConfig{Rand: fixedRand(0), Handler: HandlerFunc(func(ex *Exchange) {
					served++
					ex.Respond(&Message{Code: Content, Payload: []byte("alive")})
				})})
				r.Input(tc.in)
				if tc.out == nil {
					r.want()
				} else {
					r.want(tc.out)
				}
				if served != 0 {
					t.Fatal("the handler saw it")
				}
				r.Input(udp(con, GET, 900, "z", "", opt(UriPath, "a")))
				r.want(udp(ack, Content, 900, "z", "alive"))
				if r.Err() != nil || r.link.closed != 0 || r.counters.Panics.Load() != 0 {
					t.Fatal("the session suffered", r.Err())
				}
			})
		})
	}
}

// RFC 7252, Section 5.4.3 and Section 5.4.5: elective options of illegal length and surplus ones are ignored, unknown
// elective options and raw path segments are handed on.
func TestElectiveOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got Options
		r := newRig(t, false, SessionConfig{Handler: HandlerFunc(func(ex *Exchange) {
			got = ex.Request().Options
			ex.Silence()
		})})
		r.Input(udp(non, PUT, 1, "t", "x",
			opt(ETag, "123456789"), opt(Observe, "1234"), opt(UriPath, "a/b"), opt(UriPath, ""), opt(UriPath, ".."),
			opt(ContentFormat, "\x01\x0f"), opt(ContentFormat, "\x00"), opt(HopLimit, "abcde"), opt(Size1, "12345"), opt(2050, "raw")))
		r.want()
		want := tail("", []Option{
			opt(UriPath, "a/b"), opt(UriPath, ""), opt(UriPath, ".."), opt(ContentFormat, "\x01\x0f"), opt(2050, "raw"),
		})
		if !bytes.Equal(tail("", got), want) {
			t.Fatalf("got %v", got)
		}
	})
}

func TestInputKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ex *Exchange
		r := newRig(t, false, SessionConfig{Handler: HandlerFunc(func(e *Exchange) { ex = e })})
		b := udp(non, PUT, 1, "tok", "payload", opt(UriPath, "seg"))
		r.Input(b)
		clear(b)
		if string(ex.Request().Payload) != "payload" || ex.Request().Options.Path()[0] != "seg" {
			t.Fatal("the request changed with the caller's buffer")
		}
		ex.Respond(&Message{Code: Changed})
		if p, _ := r.decoded(r.one()); string(p.token) != "tok" {
			t.Fatalf("token %q", p.token)
		}
	})
}
