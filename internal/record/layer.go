package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	// ErrExhausted says that the sequence numbers are used up: the session must end (RFC 6347, Section 4.1).
	ErrExhausted = errors.New("the sequence numbers are used up")
	// ErrExported says that the session has been handed on: whoever has its State goes on with it.
	ErrExported = errors.New("the session has been handed on")
	// ErrTooLong says that more was to be sealed than a record can hold.
	ErrTooLong = errors.New("more than a record can hold")

	// ErrMalformed says that a record is none of DTLS 1.2, or not of the form that was agreed on with this peer.
	ErrMalformed = errors.New("malformed record")
	// ErrEpoch says that a record is not of epoch 1: in the clear, or under keys that there never were.
	ErrEpoch = errors.New("record of another epoch")
	// ErrReplay says that a record has come before, or is too old to tell.
	ErrReplay = errors.New("record seen before")
	// ErrForged says that a record is not authentic.
	ErrForged = errors.New("record not authentic")
)

// Layer seals and opens the records of one session. It has no lock: calls of Seal must exclude each other, and so must
// calls of Open; one Seal and one Open may run at the same time, since they touch different fields. State needs both.
type Layer struct {
	out struct {
		half
		next uint64 // sequence number
		over bool   // handed on
	}
	in struct {
		half
		window window
		over   bool
	}
	state State // as it was given to New
}

// New makes the record layer of a state that nobody else uses any more. It keeps the state's slices. It returns ErrSuite
// for a suite without AES-GCM.
func New(s State) (*Layer, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("making a record layer: %w", err)
	}
	out, in, err := halves(s)
	if err != nil {
		return nil, fmt.Errorf("making a record layer: %w", err)
	}
	l := &Layer{state: s}
	l.out.half, l.out.next = out, s.LocalSequence
	l.in.half, l.in.window = in, newWindow(s.RemoteSequence)
	return l, nil
}

// State ends the layer and returns what the next owner of the session needs. From then on Seal, Open and State return
// ErrExported, so that no sequence number is used by both. Records that are still on their way and older than the newest
// one are lost to the next owner.
func (l *Layer) State() (State, error) {
	if l.out.over {
		return State{}, ErrExported
	}
	l.out.over, l.in.over = true, true
	s := l.state
	s.LocalSequence, s.RemoteSequence = l.out.next, l.in.window.next
	return s, nil
}

// Format writes which session this is without its secrets, whatever the verb.
func (l *Layer) Format(f fmt.State, verb rune) { l.state.Format(f, verb) }

// Overhead is what Seal adds to the plaintext, in bytes.
func (l *Layer) Overhead() int {
	n := headerSize + explicitNonceSize + tagSize
	if len(l.state.RemoteCID) > 0 {
		n += len(l.state.RemoteCID) + 1
	}
	return n
}

// Seal appends one record with the plaintext to dst, which must not overlap it. It allocates only when dst has no room for
// Overhead and plain. It returns ErrTooLong, ErrExported or ErrExhausted, and dst as it was.
//
// RFC 6347, Section 4.1: sequence numbers must not wrap. The last one is kept for an alert, so that a session that has used
// up all others can still say that it ends.
func (l *Layer) Seal(dst []byte, kind ContentType, plain []byte) ([]byte, error) {
	cid, n := l.state.RemoteCID, len(plain)
	if len(cid) > 0 {
		n++ // the true type
	}
	switch {
	case l.out.over:
		return dst, ErrExported
	case n > MaxPlain:
		return dst, ErrTooLong
	case l.out.next > maxSequence, l.out.next == maxSequence && kind != Alert:
		return dst, ErrExhausted
	}
	number := 1<<48 | l.out.next // epoch 1
	l.out.next++

	shown := kind
	if len(cid) > 0 {
		shown = ConnectionID
	}
	dst = append(dst, byte(shown), versionMajor, versionMinor)
	dst = binary.BigEndian.AppendUint64(dst, number)
	dst = append(dst, cid...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(explicitNonceSize+n+tagSize))
	// RFC 9325, Section 7.2.1: the nonce is the sequence number, so that it comes but once.
	dst = binary.BigEndian.AppendUint64(dst, number)
	binary.BigEndian.PutUint64(l.out.nonce[saltSize:], number)
	if len(cid) == 0 {
		aad := additional(l.out.aad[:0], kind, number, n)
		return l.out.aead.Seal(dst, l.out.nonce[:], plain, aad), nil
	}
	aad := additionalCID(l.out.aad[:0], cid, number, n)
	start := len(dst)
	dst = append(append(dst, plain...), byte(kind)) // RFC 9146, Section 4: no padding of ours
	return l.out.aead.Seal(dst[:start], l.out.nonce[:], dst[start:], aad), nil
}

// Open takes exactly one record, as Next returns it, and decrypts it in place: plain is part of it. newest tells that no
// record of a higher number has come so far: only then may the peer's address follow it (RFC 9146, Section 6). Any error
// means that the record is to be dropped in silence (RFC 6347, Section 4.1.2.7); the window has not moved for what is not
// authentic.
func (l *Layer) Open(record []byte) (kind ContentType, plain []byte, newest bool, err error) {
	kind, header, err := l.header(record)
	if err != nil {
		return 0, nil, false, err
	}
	n := sequence(record)
	if !l.in.window.isFresh(n) {
		return 0, nil, false, ErrReplay
	}
	body := record[header:]
	length := len(body) - explicitNonceSize - tagSize
	number := 1<<48 | n
	aad := l.in.aad[:0]
	if kind == ConnectionID {
		aad = additionalCID(aad, l.state.LocalCID, number, length)
	} else {
		aad = additional(aad, kind, number, length)
	}
	copy(l.in.nonce[saltSize:], body) // RFC 5288, Section 3: the sender may choose it as it likes
	body = body[explicitNonceSize:]
	plain, err = l.in.aead.Open(body[:0], l.in.nonce[:], body, aad)
	if err != nil {
		return 0, nil, false, ErrForged
	}
	newest = l.in.window.mark(n)
	if kind == ConnectionID {
		kind, plain = unpad(plain)
	}
	if kind == 0 {
		return 0, nil, false, ErrMalformed
	}
	return kind, plain, newest, nil
}

// header checks what can be seen without the keys. kind is what the record shows, header the length of its header.
func (l *Layer) header(record []byte) (kind ContentType, header int, err error) {
	if l.in.over {
		return 0, 0, ErrExported
	}
	cid := l.state.LocalCID
	whole, rest := Next(record, len(cid))
	if whole == nil || len(rest) > 0 || record[1] != versionMajor || record[2] != versionMinor {
		return 0, 0, ErrMalformed
	}
	if Epoch(record) != 1 {
		return 0, 0, ErrEpoch
	}
	// RFC 9146, Section 3: once it is agreed on, every protected record carries it.
	kind, header = ContentType(record[0]), headerSize+len(cid)
	if (kind == ConnectionID) != (len(cid) > 0) || len(cid) > 0 && !bytes.Equal(record[headerSize-2:header-2], cid) {
		return 0, 0, ErrMalformed
	}
	if len(record)-header < explicitNonceSize+tagSize || len(record)-header > MaxPlain+2048 {
		return 0, 0, ErrMalformed // RFC 5246, Section 6.2.3
	}
	return kind, header, nil
}

// unpad removes the padding and the true type, which stands before it; kind is 0 when there is none.
//
// RFC 9146, Section 4: the padding is zeros, so the type is the last byte that is not.
func unpad(inner []byte) (kind ContentType, plain []byte) {
	for i := len(inner) - 1; i >= 0; i-- {
		if inner[i] != 0 {
			return ContentType(inner[i]), inner[:i]
		}
	}
	return 0, nil
}

// additional appends the additional authenticated data of a record of this plaintext length (RFC 5246, Section 6.2.3.3).
func additional(aad []byte, kind ContentType, number uint64, length int) []byte {
	aad = binary.BigEndian.AppendUint64(aad, number)
	aad = append(aad, byte(kind), versionMajor, versionMinor)
	return binary.BigEndian.AppendUint16(aad, uint16(length))
}

// additionalCID is the same of a record with a connection ID (RFC 9146, Section 5.3).
func additionalCID(aad, cid []byte, number uint64, length int) []byte {
	aad = append(aad, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	aad = append(aad, byte(ConnectionID), byte(len(cid)), byte(ConnectionID), versionMajor, versionMinor)
	aad = binary.BigEndian.AppendUint64(aad, number)
	aad = append(aad, cid...)
	return binary.BigEndian.AppendUint16(aad, uint16(length))
}

// aadSize is the room for the additional data of a record with a connection ID of up to 15 bytes.
const aadSize = 13 + 12 + 15
