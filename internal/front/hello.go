package front

import "encoding/binary"

const (
	// minHello is the size in bytes of the smallest ClientHello that is answered: what we send to an address that has proven
	// nothing is never more than half of what came from there. A client that does what this gateway requires, the extended
	// master secret and a key exchange with its groups and algorithms among it, is above it.
	minHello = 2 * helloVerifySize

	helloVerifySize = recordHeader + handshakeHeader + 3 + cookieSize
	randomSize      = 32
	maxSessionID    = 32
	// maxHello2Number is as high as the record number of a ClientHello may be when its handshake begins: there must be room for
	// the numbers of the records that answer it.
	maxHello2Number = 1<<47 - 1
)

// hello is a ClientHello that fills its record, which fills its datagram.
type hello struct {
	datagram []byte
	number   uint64 // of the record
	message  uint16 // number of the message: 0, or 1 for the one that answers a HelloVerifyRequest
	random   [randomSize]byte
	cookie   []byte
	cookieAt int // where the cookie's length stands
	coreEnd  int // where the extensions begin
}

// looksLikeHello tells whether a datagram begins with a ClientHello, well-formed or not.
func looksLikeHello(b []byte) bool {
	return len(b) > recordHeader && b[0] == recordTypeHello && recordEpoch(b) == 0 && b[recordHeader] == typeClientHello
}

// parseHello takes a datagram that is one record with one whole ClientHello. Anything else is false: a stranger who sends
// several records, or fragments, would have to be remembered.
func parseHello(b []byte) (hello, bool) {
	h := hello{datagram: b}
	if nextRecord(b) != len(b) || !looksLikeHello(b) || len(b) < recordHeader+handshakeHeader || !isVersion(b[1:]) {
		return h, false
	}
	h.number = recordNumber(b)
	h.message = binary.BigEndian.Uint16(b[messageNumberAt:])
	body := len(b) - recordHeader - handshakeHeader
	whole := uint24(b[messageLengthAt:]) == body && uint24(b[fragmentLengthAt-3:]) == 0 && uint24(b[fragmentLengthAt:]) == body
	if !whole || h.message > 1 {
		return h, false
	}
	return h, h.parseBody(recordHeader + handshakeHeader)
}

// parseBody reads the message itself (RFC 6347, Section 4.2.1), which begins at.
func (h *hello) parseBody(at int) bool {
	r := reader{b: h.datagram, at: at, ok: true}
	version := r.take(2)
	random := r.take(randomSize)
	session := r.vector(1)
	h.cookieAt = r.at
	h.cookie = r.vector(1)
	suites := r.vector(2)
	compression := r.vector(1)
	h.coreEnd = r.at
	switch {
	case !r.ok, !isVersion(version), len(session) > maxSessionID:
		return false
	case len(suites) == 0, len(suites)%2 != 0, len(compression) == 0:
		return false
	}
	h.random = [randomSize]byte(random)
	return r.at == len(r.b) || wholeExtensions(&r)
}

// wholeExtensions reads the rest of the message.
func wholeExtensions(r *reader) bool {
	all := reader{b: r.vector(2), ok: true}
	for all.ok && all.at < len(all.b) {
		all.take(2)
		all.vector(2)
	}
	return r.ok && all.ok && r.at == len(r.b)
}

// isVersion accepts DTLS 1.2, and 1.0, which clients put into the header of the first record for the sake of old servers.
func isVersion(b []byte) bool { return b[0] == 0xfe && (b[1] == 0xfd || b[1] == 0xff) }

func uint24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }

func putUint24(b []byte, n int) { b[0], b[1], b[2] = byte(n>>16), byte(n>>8), byte(n) }

// core are the parameters that a repeated ClientHello must not change, in two parts: before the cookie, and after it.
//
// RFC 6347, Section 4.2.1: version, random, session_id, cipher_suites and compression_method.
func (h *hello) core() (before, after []byte) {
	return h.datagram[recordHeader+handshakeHeader : h.cookieAt], h.datagram[h.cookieAt+1+len(h.cookie) : h.coreEnd]
}

// first makes the datagram of the ClientHello that must have come before this one: without the cookie, the message before
// it, in the record before it.
func (h *hello) first() []byte {
	out := make([]byte, 0, len(h.datagram))
	out = append(out, h.datagram[:h.cookieAt]...)
	out = append(out, 0)
	out = append(out, h.datagram[h.cookieAt+1+len(h.cookie):]...)
	binary.BigEndian.PutUint64(out[recordNumberAt:], h.number-1)
	binary.BigEndian.PutUint16(out[recordLengthAt:], uint16(len(out)-recordHeader))
	putUint24(out[messageLengthAt:], len(out)-recordHeader-handshakeHeader)
	binary.BigEndian.PutUint16(out[messageNumberAt:], 0)
	putUint24(out[fragmentLengthAt:], len(out)-recordHeader-handshakeHeader)
	return out
}

// appendHelloVerify appends the datagram that asks for the cookie.
//
// RFC 6347, Section 4.2.1: its version is DTLS 1.0 whatever will be negotiated, and its record number is that of the
// ClientHello, so that nothing needs to be remembered.
func appendHelloVerify(dst []byte, number uint64, cookie *[cookieSize]byte) []byte {
	const body = 3 + cookieSize
	dst = append(dst, recordTypeHello, 0xfe, 0xff)
	dst = binary.BigEndian.AppendUint64(dst, number&maxRecordNumber)
	dst = append(dst, 0, handshakeHeader+body)
	dst = append(dst, typeHelloVerify, 0, 0, body, 0, 0, 0, 0, 0, 0, 0, body)
	dst = append(dst, 0xfe, 0xff, cookieSize)
	return append(dst, cookie[:]...)
}

// reader takes a message apart. Once something is missing ok is false and what it returns is nil.
type reader struct {
	b  []byte
	at int
	ok bool
}

// take returns the next n bytes.
func (r *reader) take(n int) []byte {
	if !r.ok || len(r.b)-r.at < n {
		r.ok = false
		return nil
	}
	r.at += n
	return r.b[r.at-n : r.at]
}

// vector returns what stands behind its own length, which has so many bytes (1 or 2).
func (r *reader) vector(lengthSize int) []byte {
	n := 0
	for _, c := range r.take(lengthSize) {
		n = n<<8 | int(c)
	}
	if !r.ok {
		return nil
	}
	return r.take(n)
}
