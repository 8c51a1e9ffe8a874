package record

import "encoding/binary"

// ContentType says what a record holds (RFC 5246, Section 6.2.1).
type ContentType uint8

// The content types of DTLS 1.2. A record with a connection ID shows ConnectionID, and its true type only to its peer.
const (
	ChangeCipherSpec ContentType = 20
	Alert            ContentType = 21
	Handshake        ContentType = 22
	ApplicationData  ContentType = 23
	ConnectionID     ContentType = 25
)

const (
	// headerSize is the header's length in bytes without a connection ID: type, version, epoch, sequence number, length.
	headerSize = 13
	// MaxPlain is the most that one record can hold, in bytes (RFC 5246, Section 6.2.1). With a connection ID it is one less,
	// for the true type (RFC 9146, Section 4).
	MaxPlain = 1 << 14

	versionMajor, versionMinor = 254, 253
)

// Next splits the first record off a datagram, which may hold several (RFC 6347, Section 4.1.1). cidLength is the length in
// bytes of the connection IDs that we hand out, 0 for none. Both results are nil when b does not begin with a whole record:
// the rest of such a datagram is worth nothing. Both are parts of b.
func Next(b []byte, cidLength int) (record, rest []byte) {
	header := headerSize
	if len(b) > 0 && ContentType(b[0]) == ConnectionID {
		header += cidLength
	}
	if len(b) < header {
		return nil, nil
	}
	n := header + int(binary.BigEndian.Uint16(b[header-2:]))
	if len(b) < n {
		return nil, nil
	}
	return b[:n:n], b[n:]
}

// Epoch is the epoch of a record that Next has returned: 0 in the clear, 1 under the keys of the first handshake.
func Epoch(record []byte) uint16 { return binary.BigEndian.Uint16(record[3:5]) }

// sequence is the 48-bit sequence number of a record with a whole header.
func sequence(record []byte) uint64 { return binary.BigEndian.Uint64(record[3:11]) & maxSequence }
