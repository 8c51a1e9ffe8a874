package coap

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
)

// Input takes what the peer sent: one datagram over UDP, any piece of the byte stream over TCP. It calls the handler
// and the functions of observations, answers what can be answered at once, and does not keep b.
func (s *Session) Input(b []byte) {
	if s.reliable {
		defer s.guardStream()
		s.inputStream(b)
		return
	}
	defer s.guard()
	if ex := s.datagram(b); ex != nil {
		ex.serve()
	}
}

// guard stands at the boundary of the session: a panic below it costs the message, not the process.
func (s *Session) guard() {
	if v := recover(); v != nil {
		s.panicked(v)
	}
}

// panicked counts a mistake of ours and shows it to whoever can mend it.
func (s *Session) panicked(v any) {
	s.counters.Panics.Add(1)
	if s.onPanic != nil {
		s.onPanic(s, v, debug.Stack())
	}
}

// guardStream is guard for a byte stream, whose place would be lost: the session ends.
func (s *Session) guardStream() {
	v := recover()
	if v == nil {
		return
	}
	s.panicked(v)
	s.mu.Lock()
	defer s.unlock()
	s.abort("internal error", nil)
}

// datagram does what a datagram asks for, and returns the exchange of a request the handler must see.
func (s *Session) datagram(b []byte) *Exchange {
	s.mu.Lock()
	defer s.unlock()
	if s.err != nil {
		return nil
	}
	s.counters.RecordsIn.Add(1)
	s.heard = time.Now()
	p, rest, err := readHeader(b)
	switch {
	case err != nil:
		s.malformed(b)
	case p.code == Empty:
		s.emptyMessage(p, len(p.token)+len(rest))
	case p.code.IsRequest() && (p.typ == message.Confirmable || p.typ == message.NonConfirmable):
		return s.requestDatagram(p, rest)
	case p.code.IsResponse() && p.typ != message.Reset:
		s.responseDatagram(p, rest)
	default:
		// RFC 7252, Section 4.2 and 4.3: reserved classes, and codes that do not go with their type, are rejected.
		s.reject(p)
	}
	return nil
}

// malformed drops a datagram without a usable header. RFC 7252, Section 3: another version is silently ignored.
func (s *Session) malformed(b []byte) {
	s.counters.Malformed.Add(1)
	if len(b) >= headerSize && b[0]>>6 == 1 && message.Type(b[0]>>4&3) == message.Confirmable {
		s.sendEmpty(message.Reset, uint16(b[2])<<8|uint16(b[3]))
	}
}

// reject drops a message that cannot be processed: a CON gets RST, everything else silence.
//
// RFC 7252, Section 4.2: rejecting an ACK or RST is silently ignoring it. RFC 7252, Section 4.3: so is rejecting a NON.
func (s *Session) reject(p packet) {
	s.counters.Malformed.Add(1)
	if p.typ == message.Confirmable {
		s.sendEmpty(message.Reset, p.mid)
	}
}

// emptyMessage takes a message with code 0.00. RFC 7252, Section 4.1: anything after the message id is a format error.
func (s *Session) emptyMessage(p packet, junk int) {
	switch {
	case junk > 0:
		s.reject(p)
	case p.typ == message.Confirmable:
		// RFC 7252, Section 4.3: an empty CON is a ping, answered with RST.
		s.sendEmpty(message.Reset, p.mid)
	case p.typ == message.Acknowledgement:
		if c := s.cons[p.mid]; c != nil {
			s.settle(c, nil)
		}
	case p.typ == message.Reset:
		s.reset(p.mid)
	}
}

// requestDatagram takes a request, new or duplicate.
func (s *Session) requestDatagram(p packet, rest []byte) *Exchange {
	scan, err := scanOptions(p.code, rest)
	if err != nil {
		s.reject(p)
		return nil
	}
	// RFC 7252, Section 4.5: the same request executes once and gets the same answer again.
	if r := s.seen.find(p, s.heard); r != nil {
		s.counters.Duplicates.Add(1)
		if len(r.reply) > 0 {
			_ = s.write(r.reply)
		}
		return nil
	}
	ex := newExchange(s, p)
	ex.seen = s.remember(p, s.heard)
	if scan.isBad {
		s.counters.BadOptions.Add(1)
		// RFC 7252, Section 5.4.1: 4.02 for a CON, a NON is rejected in silence.
		if p.typ == message.Confirmable {
			ex.reply(badOption(scan.bad))
		}
		return nil
	}
	if err := ex.decode(rest, scan); err != nil {
		s.reject(p)
		return nil
	}
	return s.accept(ex)
}

// badOption is the answer to a request with a critical option we cannot take.
func badOption(number uint16) *Message {
	return diagnostic(BadOption, fmt.Sprintf("unrecognised critical option %d", number))
}

// responseDatagram takes a response: piggybacked, separate or a notification.
func (s *Session) responseDatagram(p packet, rest []byte) {
	scan, err := scanOptions(p.code, rest)
	if err != nil {
		s.reject(p)
		return
	}
	if p.typ == message.Confirmable {
		if r := s.seen.find(p, s.heard); r != nil {
			s.counters.Duplicates.Add(1)
			if len(r.reply) > 0 {
				_ = s.write(r.reply)
			}
			return
		}
	}
	c := s.callOf(p)
	if c == nil {
		s.unexpected(p, rest)
		return
	}
	if scan.isBad {
		s.refuseResponse(c, p)
		return
	}
	m, err := s.read(p, rest, scan)
	if err != nil {
		s.reject(p)
		return
	}
	m.NonConfirmable = p.typ == message.NonConfirmable
	if p.typ == message.Confirmable {
		s.seen.answer(s.remember(p, s.heard), s.sendEmpty(message.Acknowledgement, p.mid), time.Now)
	}
	s.answered(c, m)
}

// callOf finds the request a response belongs to.
//
// RFC 7252, Section 5.3.2: the token must match, and for a piggybacked response the message id as well.
func (s *Session) callOf(p packet) *call {
	c := s.callByToken(p.token)
	if c == nil || p.typ == message.Acknowledgement && (c.con == nil || c.con.mid != p.mid) {
		return nil
	}
	return c
}

// unexpected drops a response to nothing we asked. RFC 7252, Section 4.2 and 5.3.2: a CON is rejected with RST. So is a
// NON notification, which makes the peer forget an observation we know nothing of (RFC 7641, Section 3.6).
func (s *Session) unexpected(p packet, options []byte) {
	s.counters.Unexpected.Add(1)
	if p.typ == message.Confirmable || p.typ == message.NonConfirmable && carriesObserve(options) {
		s.sendEmpty(message.Reset, p.mid)
	}
}

// carriesObserve reports whether scanned raw options have Observe among them.
func carriesObserve(data []byte) bool {
	number := 0
	for len(data) > 0 && data[0] != 0xff && number < int(Observe) {
		delta, length, rest, err := optionHeader(data)
		if err != nil {
			return false
		}
		number += delta
		data = rest[length:]
	}
	return number == int(Observe)
}

// refuseResponse rejects a response with a critical option we do not know. RFC 7252, Section 5.4.1.
func (s *Session) refuseResponse(c *call, p packet) {
	s.counters.BadOptions.Add(1)
	switch p.typ {
	case message.Confirmable:
		s.sendEmpty(message.Reset, p.mid)
	case message.Acknowledgement:
		s.failCall(c, fmt.Errorf("%w: unrecognised critical option", ErrBadResponse))
	}
}
