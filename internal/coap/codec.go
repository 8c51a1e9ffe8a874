package coap

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	tcpcoder "github.com/plgd-dev/go-coap/v3/tcp/coder"
)

// packet is a message with what the layers above do not see. Over TCP typ and mid mean nothing.
type packet struct {
	typ     message.Type
	code    Code
	mid     uint16
	token   []byte
	options Options
	payload []byte
}

const (
	headerSize      = 4
	maxToken        = 8
	maxOptionLength = 0xffff + 269 // RFC 7252, Section 3.1
)

// readHeader reads the header and token of a datagram. RFC 7252, Section 3: a token length of 9 to 15 is a format error.
func readHeader(b []byte) (p packet, rest []byte, err error) {
	if len(b) < headerSize || b[0]>>6 != 1 {
		return p, nil, fmt.Errorf("%w: no header of version 1", errMalformed)
	}
	p.typ, p.code, p.mid = message.Type(b[0]>>4&3), Code(b[1]), binary.BigEndian.Uint16(b[2:])
	length := int(b[0] & 0x0f)
	if length > maxToken || len(b) < headerSize+length {
		return p, nil, fmt.Errorf("%w: bad token length", errMalformed)
	}
	p.token = b[headerSize : headerSize+length]
	return p, b[headerSize+length:], nil
}

// decode reads the options and the payload of a scanned message into m, which has the code, and whose list of options is
// empty, but may have room; own becomes m's. The lock is held.
func (s *Session) decode(own []byte, scan optionScan, m *Message) error {
	room := s.scratch()
	if cap(room.options) < scan.count {
		room.options = make(message.Options, 0, scan.count)
	}
	raw := room.options[:0]
	defer func() { clear(raw) }() // the list must not keep the message alive
	// What the library would drop for its length was judged already, by the same rules: it is given none.
	n, err := raw.Unmarshal(own, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	if m.Payload = own[n:]; len(m.Payload) == 0 {
		m.Payload = nil
	}
	options := m.Options[:0]
	if len(raw) > cap(options) {
		options = make(Options, 0, len(raw))
	}
	for i, o := range raw {
		number := uint16(o.ID)
		if scan.surplus {
			repeated := i > 0 && raw[i-1].ID == o.ID
			if keep, _ := judge(m.Code, number, len(o.Value), repeated); !keep {
				continue
			}
		}
		options = append(options, Option{Number: number, Value: o.Value})
	}
	if m.Options = options; len(options) == 0 {
		m.Options = nil
	}
	return nil
}

// read reads what follows the header of a scanned message. It keeps nothing of rest. The lock is held.
func (s *Session) read(p packet, rest []byte, scan optionScan) (*Message, error) {
	m := &Message{Code: p.code}
	return m, s.decode(bytes.Clone(rest), scan, m)
}

// encode writes a message into a buffer that the session has until the lock is freed; the result is valid until then, or
// until the next call. The lock is held.
func (s *Session) encode(p packet) ([]byte, error) {
	if len(p.token) > maxToken {
		return nil, fmt.Errorf("%w: a token of %d bytes", ErrBadMessage, len(p.token))
	}
	sorted := true
	for i, o := range p.options {
		if len(o.Value) > maxOptionLength {
			return nil, fmt.Errorf("%w: option %d has %d bytes", ErrBadMessage, o.Number, len(o.Value))
		}
		sorted = sorted && (i == 0 || p.options[i-1].Number <= o.Number)
	}
	if !sorted {
		p.options = slices.Clone(p.options)
		slices.SortStableFunc(p.options, func(a, b Option) int { return cmp.Compare(a.Number, b.Number) })
	}
	if s.reliable {
		return s.encodeStream(p)
	}
	room := s.scratch()
	room.out = appendDatagram(room.out[:0], p)
	return room.out, nil
}

// appendDatagram appends a message whose options are in order. RFC 7252, Section 3.
func appendDatagram(b []byte, p packet) []byte {
	b = append(b, 1<<6|byte(p.typ)<<4|byte(len(p.token)), byte(p.code), byte(p.mid>>8), byte(p.mid))
	b = append(b, p.token...)
	last := uint16(0)
	for _, o := range p.options {
		b = appendOption(b, int(o.Number-last), o.Value)
		last = o.Number
	}
	if len(p.payload) > 0 {
		b = append(b, 0xff)
	}
	return append(b, p.payload...)
}

// appendOption appends an option by how far its number is behind the one before. RFC 7252, Section 3.1: each of delta and length is 0 to 12, or 13
// and a byte more that counts from 13, or 14 and two bytes more that count from 269.
func appendOption(b []byte, delta int, value []byte) []byte {
	length := len(value)
	b = append(b, halfByte(delta)<<4|halfByte(length))
	for _, n := range [2]int{delta, length} {
		switch extendedSize(n) {
		case 1:
			b = append(b, byte(n-13))
		case 2:
			b = binary.BigEndian.AppendUint16(b, uint16(n-269))
		}
	}
	return append(b, value...)
}

// halfByte is what stands for a delta or length in an option's first byte.
func halfByte(n int) byte {
	if size := extendedSize(n); size > 0 {
		return byte(12 + size)
	}
	return byte(n)
}

// encodeStream is encode for a byte stream.
func (s *Session) encodeStream(p packet) ([]byte, error) {
	var few [2 * usualOptions]message.Option
	raw := message.Message{Token: p.token, Code: codes.Code(p.code), Payload: p.payload, Options: few[:0]}
	for _, o := range p.options {
		raw.Options = append(raw.Options, message.Option{ID: message.OptionID(o.Number), Value: o.Value})
	}
	room := s.scratch()
	for {
		n, err := tcpcoder.DefaultCoder.Encode(raw, room.out[:cap(room.out)])
		switch {
		case err == nil:
			return room.out[:n], nil
		case !errors.Is(err, message.ErrTooSmall):
			return nil, fmt.Errorf("%w: %w", ErrBadMessage, err)
		}
		room.out = make([]byte, n)
	}
}

// scratch is room for what a session does at the moment. Many sessions share few of it.
type scratch struct {
	out     []byte // what is sent
	options message.Options
}

// scratch returns the room that the session has until unlock gives it back.
func (s *Session) scratch() *scratch {
	if s.lent == nil {
		s.lent, _ = s.rooms.Get().(*scratch)
	}
	if s.lent == nil {
		s.lent = &scratch{out: make([]byte, DefaultMaxDatagram), options: make(message.Options, 0, 2*usualOptions)}
	}
	return s.lent
}

// send encodes and writes a message, and returns its bytes, valid until the next one. Errors over UDP are loss; over
// TCP they end the session. The lock is held.
func (s *Session) send(p packet) ([]byte, error) {
	b, err := s.encode(p)
	if err != nil {
		return nil, err
	}
	return b, s.write(b)
}

// write hands bytes to the link. The lock is held.
func (s *Session) write(b []byte) error {
	s.counters.RecordsOut.Add(1)
	err := s.link.WriteRecord(b)
	if err == nil {
		return nil
	}
	s.counters.WriteErrors.Add(1)
	err = fmt.Errorf("writing to the link: %w", err)
	if s.reliable {
		s.fail(err)
	}
	return err
}

// nextMID returns a message id that no CON of ours under way has. RFC 7252, Section 4.4: an id is not used again
// within EXCHANGE_LIFETIME, as long as fewer than 65,536 messages are sent in that time.
func (s *Session) nextMID() uint16 {
	for {
		s.mid++
		if _, used := s.cons[s.mid]; !used {
			return s.mid
		}
	}
}

// maxSize is the largest message the peer takes, in bytes.
func (s *Session) maxSize() int {
	if s.reliable {
		return s.stream.peerMax
	}
	return s.limits.MaxDatagram
}

// FitsDatagram reports whether a request goes over UDP as it is on a path of so many bytes: see MaxDatagram. Any other goes in blocks.
func FitsDatagram(m *Message, pathMTU int) bool { return sizeOf(m) <= MaxDatagram(pathMTU) }

// sizeOf returns the encoded size of a message with a token of full length, without encoding it.
func sizeOf(m *Message) int {
	size := 1 + 5 + headerSize + maxToken + len(m.Payload) // length of TCP or header of UDP, and the payload marker
	last := uint16(0)
	for _, o := range m.Options {
		size += 1 + extendedSize(int(o.Number-last)) + extendedSize(len(o.Value)) + len(o.Value)
		last = o.Number
	}
	return size
}

// extendedSize is the number of extra bytes a delta or length takes: RFC 7252, Section 3.1.
func extendedSize(n int) int {
	switch {
	case n < 13:
		return 0
	case n < 269:
		return 1
	}
	return 2
}
