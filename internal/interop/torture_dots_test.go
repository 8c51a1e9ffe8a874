//go:build interop

package interop

import (
	"fmt"
	"strings"
)

// wrongCBOR are bodies that are no CBOR, or more of it than anybody needs. RFC 9132, Section 6.
func wrongCBOR() []wrong {
	list := []wrong{
		{"no body", "4.00", plain(codePUT, pathMID, contentDOTS)},
		{"array of 1025", "4.00", put(pathMID, "a101a102990401"+strings.Repeat("a0", 1025))},
		{"nested too deep", "4.00", put(pathMID, "a101"+strings.Repeat("81", 40)+"00")},
		{"nested very deep", "4.00", put(pathMID, strings.Repeat("81", 1000)+"00")},
	}
	for name, body := range map[string]string{
		"a break alone": "ff", "cut off": goodBody[:len(goodBody)-2], "trailing byte": goodBody + "00", "null": "f6", "an array": "80",
		"a text": "6161", "an empty map": "a0", "indefinite map": "bf01a102818006ff", "key twice": "a201a1028001a10280", "text key": "a16161a0",
		"negative key": "a120a0", "array of four billion announced": "a101a1029affffffff", "map of 2^64 announced": "bbffffffffffffffff",
		"text of four billion announced": "a1017affffffff", "reserved additional information": "a101a1021c",
		"text in no UTF-8": scopeHex(1, "a20681"+"62fffe"+goodLifetime), "simple value in two bytes": "a101f801",
	} {
		list = append(list, wrong{name, "4.00", put(pathMID, body)})
	}
	return list
}

// wrongDOTS are requests that are CBOR and no DOTS. RFC 9132, Section 4.4.1 and Section 10.6.1.
func wrongDOTS() []wrong {
	entry := func(pairs int, body string) datagram {
		return put(pathMID, scopeHex(1, fmt.Sprintf("%02x%s", 0xa0+pairs, body)))
	}
	good := goodTarget + goodLifetime
	return []wrong{
		{"another container", "4.00", put(pathMID, "a1181ea0")},
		{"no scope", "4.00", put(pathMID, "a101a0")},
		{"scope without entries", "4.00", put(pathMID, scopeHex(0, ""))},
		{"two entries", "4.00", put(pathMID, scopeHex(2, "a2"+good+"a2"+good))},
		{"an entry that is no map", "4.00", put(pathMID, scopeHex(1, "01"))},
		{"no target", "4.00", entry(1, goodLifetime)},
		{"no lifetime", "4.00", entry(1, goodTarget)},
		{"lifetime 0", "4.00", entry(2, goodTarget+"0e00")},
		{"lifetime -2", "4.00", entry(2, goodTarget+"0e21")},
		{"lifetime over 32 bits", "4.00", entry(2, goodTarget+"0e1b0000000100000000")},
		{"mid in the body", "4.00", entry(3, "0501"+good)},
		{"cuid in the body", "4.00", entry(3, "04"+textHex("c")+good)},
		{"status from a client", "4.00", entry(3, good+"1002")},
		{"attack-status without If-Match", "4.00", entry(3, good+"181d01")},
		{"If-Match without attack-status", "4.00", put(pathMID, goodBody, opt(optIfMatch))},
		{"trigger-mitigation a number", "4.00", entry(3, good+"182d01")},
		{"unknown mandatory key", "4.00", entry(3, good+"187f01")},
		{"unknown mandatory key above 255", "4.00", entry(3, good+"19010001")},
		{"key above 65535", "4.00", entry(3, good+"1a0001000001")},
		{"key 0", "4.00", entry(3, "0001"+good)},
	}
}

// wrongTarget are targets that are none, or not the client's. RFC 9132, Section 4.4.1 and Section 4.4.1.3.
func wrongTarget() []wrong {
	entry := func(pairs int, body string) datagram {
		return put(pathMID, scopeHex(1, fmt.Sprintf("%02x%s", 0xa0+pairs, body)))
	}
	list := []wrong{
		{"prefix a number", "4.00", entry(2, "068101"+goodLifetime)},
		{"prefixes empty", "4.00", entry(2, "0680"+goodLifetime)},
		{"port above 65535", "4.00", entry(3, goodTarget+"0781a1081a00010000"+goodLifetime)},
		{"ports upside down", "4.00", entry(3, goodTarget+"0781a20818500901"+goodLifetime)},
		{"ports alone", "4.00", entry(2, "0781a1081850"+goodLifetime)},
		{"protocol 256", "4.00", entry(3, goodTarget+"0a81190100"+goodLifetime)},
		{"name empty", "4.00", entry(2, "0b8160"+goodLifetime)},
		{"name with a space", "4.00", entry(2, "0b81"+textHex("a b.example")+goodLifetime)},
		{"name of somebody else", "4.00", entry(2, "0b81"+textHex("www.example.org")+goodLifetime)},
		{"URI without a scheme", "4.00", entry(2, "0c81"+textHex("a.example")+goodLifetime)},
		{"alias that is not there", "4.00", entry(2, "0d81"+textHex("web")+goodLifetime)},
	}
	for name, prefix := range map[string]string{
		"prefix empty": "", "no length": "192.0.2.1", "33 bits": "192.0.2.1/33", "no address": "example/32", "loopback": "127.0.0.1/32",
		"multicast": "224.0.0.1/32", "multicast of IPv6": "ff02::1/128", "broadcast": "255.255.255.255/32", "everything": "0.0.0.0/0",
		"IPv4 in IPv6": "::ffff:192.0.2.1/128", "somebody else's": "203.0.113.1/32", "more than the client's": "192.0.2.0/23",
	} {
		list = append(list, wrong{name, "4.00", put(pathMID, scopeHex(1, "a2"+"0681"+textHex(prefix)+goodLifetime))})
	}
	return list
}

// wrongSession are heartbeats and configurations. RFC 9132, Section 4.5.2 and Section 4.7.
func wrongSession() []wrong {
	config := func(body string) datagram { return put(pathConfig+"/sid=1", body) }
	return []wrong{
		{"heartbeat empty", "4.00", put(pathHB, "a11831a0")},
		{"heartbeat no boolean", "4.00", put(pathHB, "a11831a1183301")},
		{"heartbeat without a body", "4.00", plain(codePUT, pathHB, contentDOTS)},
		{"configuration without parameters", "4.00", config("a1181ea1182ca0")},
		{"configuration with a range", "4.00", config("a1181ea1182ca11821a118220f")},
		{"configuration unknown", "4.00", config("a1181ea1182ca1187fa11824181e")},
		{"configuration over 16 bits", "4.00", config("a1181ea1182ca11821a118241a00010000")},
		{"interval out of range", "4.22 heartbeat-interval", config("a1181ea1182ca11821a1182401")},
		{"ack-timeout out of range", "4.22 ack-timeout", config("a1181ea1182ca11827a1182bc482211863")},
		{"sid of nothing", "4.04", plain(codeGET, pathConfig+"/sid=77")},
		{"sid over 32 bits", "4.00 sid", plain(codeGET, pathConfig+"/sid=4294967296")},
	}
}
