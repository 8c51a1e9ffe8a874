package coap

import "encoding/binary"

// What of the DTLS 1.2 record layer (RFC 6347, Section 4.1; RFC 9146, Section 4) the demultiplexer looks at.
const (
	recordHeader    = 13
	recordTypeCCS   = 20
	recordTypeAlert = 21
	recordTypeHello = 22 // any handshake message
	recordTypeCID   = 25
	cidLength       = 8 // of the connection IDs that we hand out, in bytes
)

// nextRecord is the length of the first record of b with its header; 0 when there is no whole record.
func nextRecord(b []byte) int {
	header := recordHeader
	if len(b) > 0 && b[0] == recordTypeCID {
		header += cidLength
	}
	if len(b) < header {
		return 0
	}
	n := header + int(binary.BigEndian.Uint16(b[header-2:]))
	if n > len(b) {
		return 0
	}
	return n
}

func recordEpoch(b []byte) uint16 { return binary.BigEndian.Uint16(b[3:5]) }

// filterRecords drops, in place, the plaintext records that the library must not see, because one of them, which
// anybody can forge, would end the association: application data in the clear during the handshake, and everything in
// the clear once it is over (a peer that repeats its last flight is recognised by the protected record in it).
// Records with a connection ID are only understood in what comes to a listener: a dialer asks for none.
func filterRecords(b []byte, settled bool) []byte {
	kept := 0
	for rest := b; ; {
		n := nextRecord(rest)
		if n == 0 {
			return b[:kept]
		}
		if recordEpoch(rest) != 0 || !settled && plainAllowed(rest[0]) {
			kept += copy(b[kept:], rest[:n])
		}
		rest = rest[n:]
	}
}

func plainAllowed(kind byte) bool {
	return kind == recordTypeHello || kind == recordTypeCCS || kind == recordTypeAlert
}

// unwrapAlert mends an alert of an unfinished handshake. When the peer has asked for a connection ID the library puts
// even an unprotected alert into a record with one, which no peer understands (RFC 9146, Section 3: such records are
// protected ones), so that the peer would wait for its time-out. Any other datagram is returned as it is.
func unwrapAlert(b []byte) []byte {
	n := len(b)
	if n < recordHeader+3 || b[0] != recordTypeCID || recordEpoch(b) != 0 || b[n-1] != recordTypeAlert {
		return b
	}
	out := make([]byte, 0, recordHeader+2)
	out = append(out, recordTypeAlert)
	out = append(out, b[1:11]...)
	return append(out, 0, 2, b[n-3], b[n-2])
}
