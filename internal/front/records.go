package front

import "encoding/binary"

// What of the DTLS 1.2 record layer (RFC 6347, Section 4.1; RFC 9146, Section 4) the front looks at.
const (
	recordHeader     = 13
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
