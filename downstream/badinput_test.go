package downstream

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/internal/coap"
)

// badMessage is a message that is wrong, and what is answered: "silence", "RST", or a code, with the beginning of the
// diagnostic where it matters.
type badMessage struct {
	name string
	want string
	send []byte // a whole datagram, or
	raw  raw
}

// mitigate is a PUT of a body in hex under a path, as CON.
func mitigate(p, body string, more ...coap.Option) raw {
	options := append(path(p), opt(coap.ContentFormat, 1, 15))
	return raw{typ: con, code: coap.PUT, options: append(options, more...), payload: unhex(body)}
}

// plainMessage is a message without a body.
func plainMessage(code coap.Code, p string, more ...coap.Option) raw {
	return raw{typ: con, code: code, options: append(path(p), more...)}
}

// scope wraps the entries of a scope, given in hex with their number, into the body of a mitigation request.
func scope(entries int, body string) string { return fmt.Sprintf("a101a102%02x%s", 0x80+entries, body) }

// text is a CBOR text string in hex.
func text(s string) string { return fmt.Sprintf("%02x%x", 0x60+len(s), s) }

// aTarget is key 6 with one prefix of the client's, aLifetime key 14 with an hour.
var aTarget = "0681" + text("198.51.100.1/32")

const aLifetime = "0e190e10"

// withPrefix is a body with one target-prefix.
func withPrefix(p string) string { return scope(1, "a2"+"0681"+text(p)+aLifetime) }

// badCoAP are messages that are wrong as CoAP, whatever DOTS says. RFC 7252, Section 3, Section 4 and Section 5.4.
func badCoAP() []badMessage {
	nonPut := mitigate(pathMID1, bodyPut, opt(9, 1))
	nonPut.typ = non
	return []badMessage{
		{name: "empty datagram", want: "silence", send: []byte{}},
		{name: "three bytes", want: "silence", send: unhex("400102")},
		{name: "version 0", want: "silence", send: unhex("00010102")},
		{name: "version 2", want: "silence", send: unhex("80010102")},
		{name: "token length 9", want: "RST", send: unhex("49030102 010203040506070809")},
		{name: "token length 15", want: "RST", send: unhex("4f030102 0102030405060708090a0b0c0d0e0f")},
		{name: "token cut off", want: "RST", send: unhex("44030102 0102")},
		{name: "empty message with a token", want: "RST", send: unhex("41000102 01")},
		{name: "empty message with a payload", want: "RST", send: unhex("40000102 ff01")},
		{name: "ping", want: "RST", send: unhex("40000102")},
		{name: "payload marker without payload", want: "RST", send: unhex("40030102 ff")},
		{name: "option delta 15", want: "RST", send: unhex("40030102 f0")},
		{name: "option length 15", want: "RST", send: unhex("40030102 1f")},
		{name: "option cut off", want: "RST", send: unhex("40030102 b5616263")},
		{name: "extended delta cut off", want: "RST", send: unhex("40030102 e001")},
		{name: "option number over 65535", want: "RST", send: unhex("40030102 e0ffff e0ffff")},
		{name: "reserved class 1", want: "RST", send: unhex("40210102")},
		{name: "reserved class 6", want: "RST", send: unhex("40c10102")},
		{name: "signal over UDP", want: "RST", send: unhex("40e10102")},
		{name: "NON that cannot be read", want: "silence", send: unhex("50030102 f0")},
		{name: "request as ACK", want: "silence", send: unhex("60030102")},
		{name: "request as RST", want: "silence", send: unhex("70030102")},
		{name: "answer to nothing, CON", want: "RST", send: unhex("42450102 9999")},
		{name: "answer to nothing, NON", want: "silence", send: unhex("52450102 9999")},
		{name: "ACK of nothing", want: "silence", send: unhex("60000909")},
		{name: "RST of nothing", want: "silence", send: unhex("70000909")},
		{name: "unknown critical option", want: "4.02", raw: mitigate(pathMID1, bodyPut, opt(9, 1))},
		{name: "unknown critical option, NON", want: "silence", raw: nonPut},
		{name: "Q-Block1", want: "4.02", raw: mitigate(pathMID1, bodyPut, opt(coap.QBlock1, 0))},
		{name: "Q-Block2 probe without a path", want: "4.02", raw: raw{typ: con, code: coap.GET, options: []coap.Option{opt(coap.QBlock2, 0)}}},
		{name: "If-Match too long", want: "4.02", raw: mitigate(pathMID1, bodyEfficacy, opt(coap.IfMatch, 1, 2, 3, 4, 5, 6, 7, 8, 9))},
		{name: "Accept twice", want: "4.02", raw: mitigate(pathMID1, bodyPut, opt(coap.Accept, 1, 15), opt(coap.Accept, 1, 15))},
		{name: "Uri-Host empty", want: "4.02", raw: mitigate(pathMID1, bodyPut, opt(coap.UriHost))},
		{name: "If-None-Match", want: "4.02 If-None-Match", raw: mitigate(pathMID1, bodyPut, opt(coap.IfNoneMatch))},
		{name: "Proxy-Uri", want: "5.05", raw: mitigate(pathMID1, bodyPut, opt(coap.ProxyUri, 'c', 'o', 'a', 'p'))},
		{name: "Proxy-Scheme", want: "5.05", raw: mitigate(pathMID1, bodyPut, opt(coap.ProxyScheme, 'c', 'o', 'a', 'p'))},
		{name: "If-Match with an ETag", want: "4.00 If-Match", raw: mitigate(pathMID1, bodyEfficacy, opt(coap.IfMatch, 1))},
		{name: "Block1 number without the first", want: "4.08", raw: mitigate(pathMID1, bodyPut, opt(coap.Block1, 0x16))},
		{name: "Block1 of size 7", want: "4.00", raw: mitigate(pathMID1, bodyPut, opt(coap.Block1, 0x0f))},
	}
}

// badPath are messages to no resource, or to a resource wrongly named. RFC 9132, Section 4.2 and Section 4.4.1.
func badPath() []badMessage {
	put := func(p string) raw { return mitigate(p, bodyPut) }
	const root = "/.well-known/dots"
	return []badMessage{
		{name: "no path", want: "4.04", raw: raw{typ: con, code: coap.GET}},
		{name: "the root", want: "4.04", raw: plainMessage(coap.GET, "/.well-known")},
		{name: "discovery", want: "4.04", raw: plainMessage(coap.GET, "/.well-known/core")},
		{name: "the prefix", want: "4.04", raw: plainMessage(coap.GET, root)},
		{name: "an unknown resource", want: "4.04", raw: put(root + "/mitigation/cuid=c1/mid=1")},
		{name: "another case", want: "4.04", raw: put("/.Well-Known/dots/mitigate/cuid=c1/mid=1")},
		{name: "the other dialect", want: "4.04", raw: put("/v1/dots-signal/signal")},
		{name: "slash inside a segment", want: "4.04", raw: raw{typ: con, code: coap.GET, options: []coap.Option{opt(coap.UriPath, []byte(".well-known/dots")...)}}},
		{name: "call home", want: "4.0", raw: mitigate(root+"/redirect/cuid=c1/mid=1", "a0")},
		{name: "PUT without cuid", want: "4.00 cuid", raw: put(root + "/mitigate/mid=1")},
		{name: "PUT without mid", want: "4.00 mid", raw: put(pathAll)},
		{name: "GET without cuid", want: "4.00 cuid", raw: plainMessage(coap.GET, root+"/mitigate")},
		{name: "DELETE without mid", want: "4.00 mid", raw: plainMessage(coap.DELETE, pathAll)},
		{name: "DELETE without cuid", want: "4.00 cuid", raw: plainMessage(coap.DELETE, root+"/mitigate/mid=1")},
		{name: "cuid empty", want: "4.00 cuid", raw: put(root + "/mitigate/cuid=/mid=1")},
		{name: "cdid empty", want: "4.00 cdid", raw: put(root + "/mitigate/cdid=/cuid=c1/mid=1")},
		{name: "mid empty", want: "4.00 mid", raw: put(pathAll + "/mid=")},
		{name: "mid no number", want: "4.00 mid", raw: put(pathAll + "/mid=x")},
		{name: "mid negative", want: "4.00 mid", raw: put(pathAll + "/mid=-1")},
		{name: "mid over 32 bits", want: "4.00 mid", raw: put(pathAll + "/mid=4294967296")},
		{name: "mid before cuid", want: "4.00", raw: put(root + "/mitigate/mid=1/cuid=c1")},
		{name: "cdid after cuid", want: "4.00", raw: put(root + "/mitigate/cuid=c1/cdid=d/mid=1")},
		{name: "mid twice", want: "4.00", raw: put(pathMID1 + "/mid=1")},
		{name: "cuid twice", want: "4.00", raw: put(root + "/mitigate/cuid=c1/cuid=c1/mid=1")},
		{name: "unknown parameter", want: "4.00", raw: put(pathMID1 + "/x=1")},
		{name: "no name", want: "4.00", raw: put(pathAll + "/1")},
		{name: "cuid in no UTF-8", want: "4.00 cuid", raw: put(root + "/mitigate/cuid=\xff/mid=1")},
		{name: "c of no value", want: "4.00 query", raw: plainMessage(coap.GET, pathAll, opt(coap.UriQuery, 'c', '=', 'x'))},
		{name: "c empty", want: "4.00 query", raw: plainMessage(coap.GET, pathAll, opt(coap.UriQuery, 'c', '='))},
		{name: "heartbeat with a cuid", want: "4.00", raw: mitigate(pathHB+"/cuid=c1", bodyHBTrue)},
		{name: "configuration with a cuid", want: "4.00", raw: plainMessage(coap.GET, pathConfig+"/cuid=c1")},
		{name: "configuration without sid", want: "4.00 sid", raw: mitigate(pathConfig, "a1181ea1182ca11821a11824181e")},
		{name: "sid over 32 bits", want: "4.00 sid", raw: plainMessage(coap.GET, pathConfig+"/sid=4294967296")},
	}
}

// badMethod are methods and formats that a resource does not have. RFC 9132, Section 3 and Section 10.4.
func badMethod() []badMessage {
	bare := mitigate(pathMID1, bodyPut)
	bare.options = path(pathMID1)
	other := mitigate(pathMID1, bodyPut)
	other.options = append(path(pathMID1), opt(coap.ContentFormat, 60))
	return []badMessage{
		{name: "POST", want: "4.05", raw: plainMessage(coap.POST, pathMID1)},
		{name: "FETCH", want: "4.05", raw: plainMessage(5, pathMID1)},
		{name: "iPATCH", want: "4.05", raw: plainMessage(7, pathMID1)},
		{name: "method 31", want: "4.05", raw: plainMessage(31, pathMID1)},
		{name: "GET of a heartbeat", want: "4.05", raw: plainMessage(coap.GET, pathHB)},
		{name: "DELETE of a heartbeat", want: "4.05", raw: plainMessage(coap.DELETE, pathHB)},
		{name: "no Content-Format", want: "4.15", raw: bare},
		{name: "application/cbor", want: "4.15", raw: other},
		{name: "Accept of something else", want: "4.06", raw: plainMessage(coap.GET, pathAll, opt(coap.Accept, 60))},
		{name: "If-Match on a DELETE", want: "4.00 If-Match", raw: plainMessage(coap.DELETE, pathMID1, opt(coap.IfMatch))},
		// RFC 8768, Section 3.
		{name: "Hop-Limit 0", want: "4.00 Hop-Limit", raw: mitigate(pathMID1, bodyPut, opt(coap.HopLimit, 0))},
		{name: "Hop-Limit 0 on a heartbeat", want: "4.00 Hop-Limit", raw: mitigate(pathHB, bodyHBTrue, opt(coap.HopLimit, 0))},
		{name: "Hop-Limit of no bytes", want: "4.00 Hop-Limit", raw: mitigate(pathMID1, bodyPut, opt(coap.HopLimit))},
		{name: "Hop-Limit 256", want: "4.00 Hop-Limit", raw: mitigate(pathMID1, bodyPut, opt(coap.HopLimit, 1, 0))},
		{name: "Hop-Limit of 4 bytes", want: "4.00 Hop-Limit", raw: mitigate(pathMID1, bodyPut, opt(coap.HopLimit, 255, 255, 255, 255))},
		{name: "Hop-Limit 1", want: "5.08 gate-1", raw: mitigate(pathMID1, bodyPut, opt(coap.HopLimit, 1))},
	}
}

// badCBOR are bodies that are no CBOR, or more of it than anybody needs. RFC 9132, Section 6.
func badCBOR() []badMessage {
	put := func(body string) raw { return mitigate(pathMID1, body) }
	return []badMessage{
		{name: "no body", want: "4.00", raw: mitigate(pathMID1, "")},
		{name: "a break alone", want: "4.00", raw: put("ff")},
		{name: "cut off", want: "4.00", raw: put(bodyPut[:len(bodyPut)-2])},
		{name: "trailing byte", want: "4.00", raw: put(bodyPut + "00")},
		{name: "null", want: "4.00", raw: put("f6")},
		{name: "an array", want: "4.00", raw: put("80")},
		{name: "a text", want: "4.00", raw: put("6161")},
		{name: "an empty map", want: "4.00", raw: put("a0")},
		{name: "indefinite map", want: "4.00", raw: put("bf01a102818006ff")},
		{name: "key twice", want: "4.00", raw: put("a201a1028001a10280")},
		{name: "text key", want: "4.00", raw: put("a16161a0")},
		{name: "negative key", want: "4.00", raw: put("a120a0")},
		{name: "nested too deep", want: "4.00", raw: put("a101" + strings.Repeat("81", 40) + "00")},
		{name: "array of four billion announced", want: "4.00", raw: put("a101a1029affffffff")},
		{name: "map of 2^64 announced", want: "4.00", raw: put("bbffffffffffffffff")},
		{name: "text of four billion announced", want: "4.00", raw: put("a1017affffffff")},
		{name: "array of 1025", want: "4.00", raw: put("a101a102990401" + strings.Repeat("a0", 1025))},
		{name: "reserved additional information", want: "4.00", raw: put("a101a1021c")},
		{name: "text in no UTF-8", want: "4.00", raw: put(scope(1, "a20681"+"62fffe"+aLifetime))},
		{name: "simple value below 32 in two bytes", want: "4.00", raw: put("a101f801")},
	}
}

// badDOTS are requests that are CBOR and no DOTS. RFC 9132, Section 4.4.1 and Section 4.5.2.
func badDOTS() []badMessage {
	put := func(body string) raw { return mitigate(pathMID1, body) }
	entry := func(pairs int, body string) raw { return put(scope(1, fmt.Sprintf("%02x%s", 0xa0+pairs, body))) }
	config := func(body string) raw { return mitigate(pathConfig+"/sid=1", body) }
	good := aTarget + aLifetime
	return []badMessage{
		{name: "another container", want: "4.00", raw: put("a1181ea0")},
		{name: "two containers", want: "4.00", raw: put("a2" + "01a10281a2" + good + "1831a11833f5")},
		{name: "no scope", want: "4.00", raw: put("a101a0")},
		{name: "scope without entries", want: "4.00", raw: put(scope(0, ""))},
		{name: "two entries", want: "4.00", raw: put(scope(2, "a2"+good+"a2"+good))},
		{name: "an entry that is no map", want: "4.00", raw: put(scope(1, "01"))},
		{name: "no target", want: "4.00", raw: entry(1, aLifetime)},
		{name: "ports alone", want: "4.00", raw: entry(2, "0781a1081850"+aLifetime)},
		{name: "no lifetime", want: "4.00", raw: entry(1, aTarget)},
		{name: "lifetime 0", want: "4.00", raw: entry(2, aTarget+"0e00")},
		{name: "lifetime -2", want: "4.00", raw: entry(2, aTarget+"0e21")},
		{name: "lifetime over 32 bits", want: "4.00", raw: entry(2, aTarget+"0e1b0000000100000000")},
		{name: "lifetime a float", want: "4.00", raw: entry(2, aTarget+"0ef93c00")},
		{name: "mid in the body", want: "4.00", raw: entry(3, "0501"+good)},
		{name: "cuid in the body", want: "4.00", raw: entry(3, "04"+text("c1")+good)},
		{name: "cdid in the body", want: "4.00", raw: entry(3, "03"+text("c1")+good)},
		{name: "status from a client", want: "4.00", raw: entry(3, good+"1002")},
		{name: "attack-status without If-Match", want: "4.00", raw: entry(3, good+"181d01")},
		{name: "If-Match without attack-status", want: "4.00", raw: mitigate(pathMID1, bodyPut, opt(coap.IfMatch))},
		{name: "attack-status 3", want: "4.00", raw: mitigate(pathMID1, scope(1, "a3"+good+"181d03"), opt(coap.IfMatch))},
		{name: "trigger-mitigation a number", want: "4.00", raw: entry(3, good+"182d01")},
		{name: "unknown mandatory key", want: "4.00", raw: entry(3, good+"187f01")},
		{name: "unknown mandatory key above 255", want: "4.00", raw: entry(3, good+"19010001")},
		{name: "key above 65535", want: "4.00", raw: entry(3, good+"1a0001000001")},
		{name: "key 0", want: "4.00", raw: entry(3, "0001"+good)},
		{name: "prefix empty", want: "4.00", raw: put(withPrefix(""))},
		{name: "prefix without a length", want: "4.00", raw: put(withPrefix("198.51.100.1"))},
		{name: "prefix of 33 bits", want: "4.00", raw: put(withPrefix("198.51.100.1/33"))},
		{name: "prefix of no address", want: "4.00", raw: put(withPrefix("example/32"))},
		{name: "loopback", want: "4.00", raw: put(withPrefix("127.0.0.1/32"))},
		{name: "multicast", want: "4.00", raw: put(withPrefix("224.0.0.1/32"))},
		{name: "multicast of IPv6", want: "4.00", raw: put(withPrefix("ff02::1/128"))},
		{name: "broadcast", want: "4.00", raw: put(withPrefix("255.255.255.255/32"))},
		{name: "everything", want: "4.00", raw: put(withPrefix("0.0.0.0/0"))},
		{name: "IPv4 in IPv6", want: "4.00", raw: put(withPrefix("::ffff:1.2.3.4/128"))},
		{name: "prefix a number", want: "4.00", raw: entry(2, "068101"+aLifetime)},
		{name: "prefixes empty", want: "4.00", raw: entry(2, "0680"+aLifetime)},
		{name: "port above 65535", want: "4.00", raw: entry(3, aTarget+"0781a1081a00010000"+aLifetime)},
		{name: "ports upside down", want: "4.00", raw: entry(3, aTarget+"0781a20818500901"+aLifetime)},
		{name: "port without lower", want: "4.00", raw: entry(3, aTarget+"0781a1091850"+aLifetime)},
		{name: "ports twice", want: "4.00", raw: entry(3, aTarget+"0782a1081850a1081850"+aLifetime)},
		{name: "protocol 256", want: "4.00", raw: entry(3, aTarget+"0a81190100"+aLifetime)},
		{name: "name empty", want: "4.00", raw: entry(2, "0b8160"+aLifetime)},
		{name: "name with a space", want: "4.00", raw: entry(2, "0b81"+text("a b.example")+aLifetime)},
		{name: "URI without a scheme", want: "4.00", raw: entry(2, "0c81"+text("a.example")+aLifetime)},
		{name: "alias empty", want: "4.00", raw: entry(2, "0d8160"+aLifetime)},
		{name: "heartbeat empty", want: "4.00", raw: mitigate(pathHB, "a11831a0")},
		{name: "heartbeat no boolean", want: "4.00", raw: mitigate(pathHB, "a11831a1183301")},
		{name: "heartbeat without a body", want: "4.00", raw: plainMessage(coap.PUT, pathHB)},
		{name: "configuration without parameters", want: "4.00", raw: config("a1181ea1182ca0")},
		{name: "configuration with a range", want: "4.00", raw: config("a1181ea1182ca11821a118220f")},
		{name: "configuration unknown", want: "4.00", raw: config("a1181ea1182ca1187fa11824181e")},
		{name: "configuration over 16 bits", want: "4.00", raw: config("a1181ea1182ca11821a118241a00010000")},
		{name: "interval out of range", want: "4.22 heartbeat-interval", raw: config("a1181ea1182ca11821a1182401")},
		{name: "ack-timeout out of range", want: "4.22 ack-timeout", raw: config("a1181ea1182ca11827a1182bc482211863")},
		{name: "sid of nothing", want: "4.04", raw: plainMessage(coap.GET, pathConfig+"/sid=77")},
	}
}

// Every wrong message gets the code the documents name, or silence where they say so, with a diagnostic of at most
// 64 bytes; its session lives on, and the core never hears of it. RFC 9132, Section 4.4.1: refusals name the problem.
func TestBadInput(t *testing.T) {
	groups := map[string][]badMessage{
		"coap": badCoAP(), "path": badPath(), "method": badMethod(), "cbor": badCBOR(), "dots": badDOTS(),
	}
	count := 0
	for group, messages := range groups {
		for _, m := range messages {
			count++
			t.Run(group+"/"+m.name, func(t *testing.T) {
				inRig(t, nil, func(r *rig) {
					p := r.raw("a.example", false)
					var got []string
					if m.send != nil {
						got = p.send(m.send)
					} else {
						got = p.message(m.raw)
					}
					one := strings.Join(got, ", ")
					if len(got) == 0 {
						one = "silence"
					}
					if !strings.HasPrefix(one, m.want) || len(got) > 1 {
						t.Errorf("%s; want %s", one, m.want)
					}
					p.alive()
					if n := r.core.calls(); n != 0 {
						t.Errorf("the core was asked %d times", n)
					}
				})
			})
		}
	}
	if count < 60 {
		t.Errorf("the table has %d messages; want at least 60", count)
	}
}

// All of them, one after the other, on one session: it lives on, nothing is left over, and a good request is served.
func TestBadInputOnOneSession(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		p := r.raw("a.example", false)
		for _, messages := range [][]badMessage{badCoAP(), badPath(), badMethod(), badCBOR(), badDOTS()} {
			for _, m := range messages {
				if m.send != nil {
					p.send(m.send)
				} else {
					p.message(m.raw)
				}
			}
		}
		p.alive()
		if n := r.core.calls(); n != 0 {
			t.Errorf("the core was asked %d times", n)
		}
		if got := p.message(mitigate(pathMID1, bodyPut)); len(got) != 1 || got[0] != "2.01" {
			t.Errorf("a good PUT afterwards: %q", got)
		}
		if infos := r.srv.Sessions(); len(infos) != 1 || infos[0].Client != "a" {
			t.Errorf("sessions: %+v", infos)
		}
	})
}
