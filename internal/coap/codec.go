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
	udpcoder "github.com/plgd-dev/go-coap/v3/udp/coder"
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

// decode reads a whole scanned message into m. It keeps nothing of b. The lock is held.
func (s *Session) decode(b []byte, scan optionScan, m *Message) error {
	own := bytes.Clone(b)
	raw := message.Message{Options: s.room(scan.count)}
	var err error
	if s.reliable {
		_, err = tcpcoder.DefaultCoder.Decode(own, &raw)
	} else {
		_, err = udpcoder.DefaultCoder.Decode(own, &raw)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	m.Code, m.Payload = Code(raw.Code), raw.Payload
	m.NonConfirmable = !s.reliable && raw.Type == message.NonConfirmable
	if len(raw.Options) > 0 {
		m.Options = make(Options, 0, len(raw.Options))
	}
	for i, o := range raw.Options {
		number := uint16(o.ID)
		repeated := i > 0 && raw.Options[i-1].ID == o.ID
		if keep, _ := judge(m.Code, number, len(o.Value), repeated); keep {
			m.Options = append(m.Options, Option{Number: number, Value: o.Value})
		}
	}
	clear(raw.Options) // the scratch must not keep the message alive
	return nil
}

// room returns the scratch list, empty and with space for n options.
func (s *Session) room(n int) message.Options {
	if cap(s.scratch) < n {
		s.scratch = make(message.Options, 0, n+8)
	}
	return s.scratch[:0]
}

// encode writes a message into the session's buffer; the result is valid until the next call. The lock is held.
func (s *Session) encode(p packet) ([]byte, error) {
	raw := message.Message{
		Token: p.token, Code: codes.Code(p.code), Payload: p.payload, MessageID: int32(p.mid), Type: p.typ,
		Options: s.room(len(p.options)),
	}
	sorted := true
	for i, o := range p.options {
		if len(o.Value) > maxOptionLength {
			return nil, fmt.Errorf("%w: option %d has %d bytes", ErrBadMessage, o.Number, len(o.Value))
		}
		sorted = sorted && (i == 0 || p.options[i-1].Number <= o.Number)
		raw.Options = append(raw.Options, message.Option{ID: message.OptionID(o.Number), Value: o.Value})
	}
	if !sorted {
		slices.SortStableFunc(raw.Options, func(a, b message.Option) int { return cmp.Compare(a.ID, b.ID) })
	}
	defer clear(raw.Options)
	for {
		n, err := s.coderEncode(raw)
		switch {
		case err == nil:
			return s.encoded[:n], nil
		case !errors.Is(err, message.ErrTooSmall):
			return nil, fmt.Errorf("%w: %w", ErrBadMessage, err)
		}
		s.encoded = make([]byte, max(n, 256))
	}
}

func (s *Session) coderEncode(raw message.Message) (int, error) {
	if s.reliable {
		return tcpcoder.DefaultCoder.Encode(raw, s.encoded)
	}
	return udpcoder.DefaultCoder.Encode(raw, s.encoded)
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

// FitsDatagram reports whether a request goes over UDP as it is, with a limit of DefaultMaxDatagram. Any other goes in blocks.
func FitsDatagram(m *Message) bool { return sizeOf(m) <= DefaultMaxDatagram }

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
