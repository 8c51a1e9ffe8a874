//go:build interop

package interop

import "strings"

// wrongHeader are messages whose first four bytes are wrong. RFC 7252, Section 3: a message of another version is ignored.
// RFC 7252, Section 4.2: a CON that cannot be processed is rejected with RST, others are ignored.
func wrongHeader() []wrong {
	return []wrong{
		{"one byte", "silence", raw("40")},
		{"three bytes", "silence", raw("400102")},
		{"version 0", "silence", raw("0001MMMM")},
		{"version 2", "silence", raw("8001MMMM")},
		{"version 3", "silence", raw("c001MMMM")},
		{"all zeroes", "silence", raw(strings.Repeat("00", 40))},
		{"all ones", "silence", raw(strings.Repeat("ff", 40))},
		{"a TLS record", "silence", raw("16030100050100000100")},
		{"a request of HTTP, which reads as a CON of 2.05", "RST", raw("47455420 2f20 485454502f312e31 0d0a")},
		{"class 1, CON", "RST", raw("4021MMMM")},
		{"class 1, NON", "silence", raw("5021MMMM")},
		{"class 6, CON", "RST", raw("40c1MMMM")},
		{"class 6, NON", "silence", raw("50c1MMMM")},
		{"a signal of CoAP over TCP", "RST", raw("40e1MMMM")},
		{"a request as ACK", "silence", raw("6001MMMM")},
		{"a request as RST", "silence", raw("7001MMMM")},
		{"a response as RST", "silence", raw("7045MMMM")},
		{"ACK of nothing", "silence", raw("6000MMMM")},
		{"RST of nothing", "silence", raw("7000MMMM")},
		{"a response to nothing, CON", "RST", raw("4245MMMM 9999")},
		{"a response to nothing, NON", "silence", raw("5245MMMM 9999")},
		{"a response to nothing, ACK", "silence", raw("6245MMMM 9999")},
		{"an error to nothing, CON", "RST", raw("4280MMMM 9999")},
	}
}

// wrongFrame are messages whose token or body is wrong. RFC 7252, Section 3 and Section 4.1.
func wrongFrame() []wrong {
	return []wrong{
		{"token length 9, CON", "RST", raw("4901MMMM 010203040506070809")},
		{"token length 15, CON", "RST", raw("4f01MMMM 0102030405060708090a0b0c0d0e0f")},
		{"token length 9, NON", "silence", raw("5901MMMM 010203040506070809")},
		{"token cut off, CON", "RST", raw("4801MMMM 0102")},
		{"token cut off, NON", "silence", raw("5801MMMM 0102")},
		{"empty CON with a token", "RST", raw("4100MMMM 01")},
		{"empty CON with an option", "RST", raw("4000MMMM b161")},
		{"empty CON with a payload", "RST", raw("4000MMMM ff01")},
		{"empty NON", "silence", raw("5000MMMM")},
		{"empty NON with a payload", "silence", raw("5000MMMM ff01")},
		{"ACK with a payload", "silence", raw("6000MMMM ff01")},
		{"marker without payload, CON", "RST", raw("4001MMMM ff")},
		{"marker without payload, NON", "silence", raw("5001MMMM ff")},
		{"marker without payload after options", "RST", raw("4003MMMM b161 ff")},
	}
}

// wrongOptionBytes are messages whose options cannot be told apart. RFC 7252, Section 3.1.
func wrongOptionBytes() []wrong {
	return []wrong{
		{"delta 15", "RST", raw("4001MMMM f1 00")},
		{"length 15", "RST", raw("4001MMMM 1f 00")},
		{"value cut off", "RST", raw("4001MMMM b5 616263")},
		{"value cut off, NON", "silence", raw("5001MMMM b5 616263")},
		{"extended delta cut off", "RST", raw("4001MMMM d1")},
		{"long delta cut off", "RST", raw("4001MMMM e1 00")},
		{"extended length cut off", "RST", raw("4001MMMM bd")},
		{"long length cut off", "RST", raw("4001MMMM be ff")},
		{"length beyond the datagram", "RST", raw("4001MMMM be ffff 61")},
		{"number above 65535", "RST", raw("4001MMMM e0 ffff e0 ffff")},
		{"good, then cut off", "RST", raw("4003MMMM b161 0161 07")},
	}
}

// wrongOptions are options that nobody knows, or that do not belong there. RFC 7252, Section 5.4.
func wrongOptions() []wrong {
	return []wrong{
		{"unknown critical", "4.02", put(pathMID, goodBody, opt(9, 1))},
		{"unknown critical, large", "4.02", put(pathMID, goodBody, opt(65001, 1))},
		{"unknown critical, NON", "silence", put(pathMID, goodBody, opt(9, 1)).asNON()},
		{"Q-Block1", "4.02", put(pathMID, goodBody, opt(optQBlock1, 0))},
		{"Q-Block2 without a path", "4.02", plain(codeGET, "", opt(optQBlock2, 0))},
		{"If-Match too long", "4.02", put(pathMID, goodBody, opt(optIfMatch, 1, 2, 3, 4, 5, 6, 7, 8, 9))},
		{"If-Match with an ETag", "4.00 If-Match", put(pathMID, goodBody, opt(optIfMatch, 1))},
		{"If-None-Match", "4.02 If-None-Match", put(pathMID, goodBody, opt(optIfNoneMatch))},
		{"Accept twice", "4.02", plain(codeGET, pathAll, opt(optAccept, 1, 15), opt(optAccept, 1, 15))},
		{"Uri-Host empty", "4.02", put(pathMID, goodBody, opt(optUriHost))},
		{"Uri-Port too long", "4.02", put(pathMID, goodBody, opt(optUriPort, 1, 2, 3))},
		{"path segment too long", "4.02", put(pathMID+"/"+strings.Repeat("x", 256), goodBody)},
		{"query too long", "4.02", plain(codeGET, pathAll, opt(optUriQuery, []byte(strings.Repeat("x", 256))...))},
		{"Proxy-Uri", "5.05", put(pathMID, goodBody, opt(optProxyURI, 'c', 'o', 'a', 'p', ':'))},
		{"Proxy-Scheme", "5.05", put(pathMID, goodBody, opt(optProxyScheme, 'c', 'o', 'a', 'p'))},
		{"Block1 in its middle", "4.08", put(pathMID, goodBody, opt(optBlock1, 0x16))},
		{"Block1 of size 7", "4.00", put(pathMID, goodBody, opt(optBlock1, 0x0f))},
		{"Block1 too long", "4.02", put(pathMID, goodBody, opt(optBlock1, 1, 2, 3, 4))},
		{"Block2 of size 7", "4.00", plain(codeGET, pathConfig, opt(optBlock2, 0x07))},
		// RFC 8768, Section 3.
		{"Hop-Limit 0", "4.00 Hop-Limit", put(pathMID, goodBody, opt(optHopLimit, 0))},
		{"Hop-Limit 1", "5.08 " + nodeID, put(pathMID, goodBody, opt(optHopLimit, 1))},
	}
}

// wrongPath are messages to no resource, or to one that is wrongly named. RFC 9132, Section 4.2 and Section 4.4.1.
func wrongPath() []wrong {
	return []wrong{
		{"none", "4.04", plain(codeGET, "")},
		{"discovery", "4.04", plain(codeGET, ".well-known/core")},
		{"the prefix", "4.04", plain(codeGET, ".well-known/dots")},
		{"an unknown resource", "4.04", put(".well-known/dots/mitigation/cuid=c/mid=1", goodBody)},
		{"another case", "4.04", put(".Well-Known/dots/mitigate/cuid=c/mid=1", goodBody)},
		{"a slash inside a segment", "4.04", plain(codeGET, "", opt(optUriPath, []byte(".well-known/dots/mitigate")...))},
		{"up and down", "4.0", plain(codeGET, ".well-known/dots/mitigate/../config")},
		{"400 segments", "4.0", plain(codeGET, strings.Repeat("a/", 400))},
		{"no cuid", "4.00 cuid", put(pathMitigate+"/mid=1", goodBody)},
		{"no mid", "4.00 mid", put(pathAll, goodBody)},
		{"DELETE without mid", "4.00 mid", plain(codeDELETE, pathAll)},
		{"cuid empty", "4.00 cuid", put(pathMitigate+"/cuid=/mid=1", goodBody)},
		{"cuid in no UTF-8", "4.00 cuid", put(pathMitigate+"/cuid=\xff/mid=1", goodBody)},
		{"mid empty", "4.00 mid", put(pathAll+"/mid=", goodBody)},
		{"mid no number", "4.00 mid", put(pathAll+"/mid=x", goodBody)},
		{"mid over 32 bits", "4.00 mid", put(pathAll+"/mid=4294967296", goodBody)},
		{"mid before cuid", "4.00", put(pathMitigate+"/mid=1/cuid="+cuid, goodBody)},
		{"mid twice", "4.00", put(pathMID+"/mid=1", goodBody)},
		{"an unknown parameter", "4.00", put(pathMID+"/x=1", goodBody)},
		{"a query of no value", "4.00 query", plain(codeGET, pathAll, opt(optUriQuery, 'c', '=', 'x'))},
		{"a heartbeat with a cuid", "4.00", put(pathHB+"/cuid=c", goodHB)},
		{"a configuration without sid", "4.00 sid", put(pathConfig, "a1181ea1182ca11821a11824181e")},
	}
}

// wrongMethod are methods and formats that a resource does not have. RFC 9132, Section 3 and Section 10.4.
func wrongMethod() []wrong {
	bare, other := put(pathMID, goodBody), put(pathMID, goodBody)
	bare.options, other.options = nil, []option{opt(optContentFormat, 60)}
	return []wrong{
		{"POST", "4.05", plain(codePOST, pathMID)},
		{"FETCH", "4.05", plain(5, pathMID)},
		{"method 31", "4.05", plain(31, pathMID)},
		{"GET of a heartbeat", "4.05", plain(codeGET, pathHB)},
		{"no Content-Format", "4.15", bare},
		{"application/cbor", "4.15", other},
		{"Accept of something else", "4.06", plain(codeGET, pathAll, opt(optAccept, 60))},
		{"If-Match on a DELETE", "4.00 If-Match", plain(codeDELETE, pathMID, opt(optIfMatch))},
		{"Observe of what is not there", "4.04", plain(codeGET, pathMID, opt(optObserve))},
	}
}
