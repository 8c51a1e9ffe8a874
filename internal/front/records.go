package front

import "encoding/binary"

// What of the DTLS 1.2 record layer (RFC 6347, Section 4.1; RFC 9146, Section 4) the front looks at.
const (
	recordHeader     = 13
	recordTypeCCS    = 20
	recordTypeAlert  = 21
	recordTypeHello  = 22 // any handshake message
	recordTypeCID    = 25
	handshakeHeader  = 12
	typeClientHello  = 1
	typeHelloVerify  = 3
	maxRecordNumber  = 1<<48 - 1
	cidLength        = 8 // of the connection IDs that we hand out, in bytes
	recordNumberAt   = 3 // epoch and sequence number together
	recordLengthAt   = 11
	messageLengthAt  = recordHeader + 1
	messageNumberAt  = recordHeader + 4
	fragmentLengthAt = recordHeader + 9
)

// connectionID is one that we hand out.
type connectionID [cidLength]byte

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

func recordEpoch(b []byte) uint16 { return binary.BigEndian.Uint16(b[recordNumberAt:]) }

// recordNumber is the 48-bit sequence number within the epoch.
func recordNumber(b []byte) uint64 {
	return binary.BigEndian.Uint64(b[recordNumberAt:]) & maxRecordNumber
}

// holdsProtected tells whether there is a protected record in a datagram of ours. A connection ID in it is the peer's, of a
// length that is not ours; in such a record the epoch has the same place.
func holdsProtected(b []byte) bool {
	for len(b) >= recordHeader {
		if recordEpoch(b) != 0 {
			return true
		}
		n := nextRecord(b)
		if n == 0 || b[0] == recordTypeCID {
			return false
		}
		b = b[n:]
	}
	return false
}

// recordCID is the connection ID of the first record of the datagram that carries one. Records of the handshake may stand
// before it.
func recordCID(b []byte) (id connectionID, ok bool) {
	for {
		n := nextRecord(b)
		if n == 0 {
			return id, false
		}
		if b[0] == recordTypeCID {
			return connectionID(b[recordLengthAt : recordLengthAt+cidLength]), true
		}
		b = b[n:]
	}
}

// filterRecords drops, in place, the plaintext records that the library must not see, because one of them, which
// anybody can forge, would end the association: application data in the clear during the handshake, and everything in
// the clear once it is over (a peer that repeats its last flight is recognised by the protected record in it).
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
	out = append(out, b[1:recordLengthAt]...)
	return append(out, 0, 2, b[n-3], b[n-2])
}

// renumber adds to the sequence numbers of the plaintext records of a datagram of ours; in place. A record with a connection
// ID ends the walk: its length is not known here, and it is a protected one. The numbers of records in the clear are in no MAC
// and in no transcript, so that this changes nothing else.
func renumber(b []byte, shift uint64) {
	for len(b) >= recordHeader && b[0] != recordTypeCID {
		n := nextRecord(b)
		if n == 0 {
			return
		}
		if recordEpoch(b) == 0 {
			binary.BigEndian.PutUint64(b[recordNumberAt:], (recordNumber(b)+shift)&maxRecordNumber)
		}
		b = b[n:]
	}
}

// helloVerify is the cookie of a HelloVerifyRequest of the library; ok is false for any other datagram.
func helloVerify(b []byte) (cookie []byte, ok bool) {
	const cookieAt = recordHeader + handshakeHeader + 3
	n := nextRecord(b)
	if n < cookieAt || b[0] != recordTypeHello || recordEpoch(b) != 0 || b[recordHeader] != typeHelloVerify {
		return nil, false
	}
	return b[cookieAt:n], true
}
