package coap

import (
	"fmt"
	"time"
)

// stream is what a session over TCP has beyond one over UDP: framing and signalling (RFC 8323).
type stream struct {
	s          *Session
	rx         []byte        // a message begun; touched by the input path only
	started    bool          // our CSM went out
	greeted    bool          // the peer's CSM came
	ready      chan struct{} // closed then
	released   bool          // the peer wants an orderly end
	peerMax    int           // bytes: largest message the peer takes
	peerBlocks bool          // the peer does block-wise transfers
	greeting   timer
	frame      timer
	frameArmed bool
	begun      time.Time // when the message in rx began; zero: there is none
}

// baseMessageSize is what a peer takes that has not said more: RFC 8323, Section 5.3.1.
const baseMessageSize = 1152

func newStream(s *Session) *stream {
	st := &stream{s: s, peerMax: baseMessageSize, ready: make(chan struct{})}
	st.greeting.fire = fireFunc(st.noGreeting)
	st.frame.fire = fireFunc(st.frameLate)
	return st
}

// start sends our capabilities. RFC 8323, Section 5.3: CSM is the first message of each side.
func (st *stream) start() {
	s := st.s
	st.started = true
	p := packet{code: codeCSM}
	p.options.AddUint(csmMaxMessageSize, uint32(s.limits.MaxMessage))
	p.options.Add(csmBlockWise, nil)
	if _, err := s.send(p); err == nil && !st.greeted {
		s.timers.set(&st.greeting, time.Now().Add(s.limits.CSMTimeout))
	}
}

// stop disarms the timers.
func (st *stream) stop() {
	st.s.timers.stop(&st.greeting)
	st.s.timers.stop(&st.frame)
}

// noGreeting ends a session whose peer did not say anything in time.
func (st *stream) noGreeting() {
	defer st.s.guard()
	st.s.mu.Lock()
	defer st.s.unlock()
	if !st.greeted {
		st.s.abort("no CSM in time", nil)
	}
}

// frameLate ends a session whose peer began a message and does not finish it.
func (st *stream) frameLate() {
	s := st.s
	defer s.guard()
	s.mu.Lock()
	defer s.unlock()
	st.frameArmed = false
	if s.err != nil || st.begun.IsZero() {
		return
	}
	now := time.Now()
	if due := st.begun.Add(s.limits.FrameTimeout); now.Before(due) {
		st.frameArmed = true
		s.timers.set(&st.frame, due)
		return
	}
	s.abort("message not finished in time", nil)
}

// inputStream takes a piece of the byte stream and acts on every message that is complete with it.
func (s *Session) inputStream(b []byte) {
	st := s.stream
	data := b
	if len(st.rx) > 0 {
		st.rx = append(st.rx, b...)
		data = st.rx
	}
	for {
		n, ex := s.frame(data)
		if n == 0 {
			break
		}
		data = data[n:]
		if ex != nil {
			ex.serve()
		}
	}
	switch {
	case len(data) == 0 || s.Err() != nil:
		st.rx = nil
	default:
		st.rx = append(st.rx[:0], data...)
	}
}

// frame acts on the first message of data and returns its length, 0 when it is not complete.
func (s *Session) frame(data []byte) (int, *Exchange) {
	s.mu.Lock()
	defer s.unlock()
	if s.err != nil {
		return 0, nil
	}
	s.heard = time.Now()
	st := s.stream
	header, total, err := frameLength(data, s.limits.MaxMessage)
	switch {
	case err != nil:
		s.counters.Malformed.Add(1)
		s.abort(err.Error(), nil)
		return 0, nil
	case total == 0 || len(data) < total:
		st.wait(len(data) > 0)
		return 0, nil
	}
	st.begun = time.Time{}
	s.counters.RecordsIn.Add(1)
	return total, s.message(data[:total], header)
}

// wait notes whether a message has begun, and sees to it that it is finished in time.
func (st *stream) wait(begun bool) {
	switch {
	case !begun:
		st.begun = time.Time{}
	case st.begun.IsZero():
		st.begun = st.s.heard
		if !st.frameArmed {
			st.frameArmed = true
			st.s.timers.set(&st.frame, st.begun.Add(st.s.limits.FrameTimeout))
		}
	}
}

// frameLength reads the length fields of a message: the bytes before the code, and the whole. Both are 0 while too few
// bytes are there. RFC 8323, Section 3.2: a token length of 9 to 15 is a format error.
func frameLength(data []byte, limit int) (header, total int, err error) {
	if len(data) == 0 {
		return 0, 0, nil
	}
	tkl := int(data[0] & 0x0f)
	if tkl > maxToken {
		return 0, 0, fmt.Errorf("bad token length")
	}
	nibble := int(data[0] >> 4)
	extra, length := 0, nibble
	if nibble >= 13 {
		extra = 1 << (nibble - 13) // 1, 2 or 4 bytes
		length = [...]int{13, 269, 65805}[nibble-13]
	}
	if len(data) < 1+extra {
		return 0, 0, nil
	}
	value := 0
	for _, b := range data[1 : 1+extra] {
		value = value<<8 | int(b)
	}
	header = 1 + extra
	total = header + 1 + tkl + length + value
	if total > limit {
		return 0, 0, fmt.Errorf("message over %d bytes", limit)
	}
	return header, total, nil
}

// message acts on a complete message; header is the number of bytes before its code.
func (s *Session) message(b []byte, header int) *Exchange {
	tkl := int(b[0] & 0x0f)
	p := packet{code: Code(b[header]), token: b[header+1 : header+1+tkl]}
	if !s.stream.greeted && p.code != codeCSM && p.code != codeAbort {
		// RFC 8323, Section 5.3: anything else first is an error.
		s.abort("CSM expected first", nil)
		return nil
	}
	rest := b[header+1+tkl:]
	scan, err := scanOptions(p.code, rest)
	if err != nil {
		s.counters.Malformed.Add(1)
		s.abort("bad option", nil)
		return nil
	}
	switch {
	case p.code == Empty:
		// RFC 8323, Section 3.4: an empty message keeps the connection alive and means nothing.
	case p.code.Class() == 7:
		s.signal(p, scan, rest)
	case p.code.IsRequest():
		return s.requestFrame(p, scan, rest)
	case p.code.IsResponse():
		s.responseFrame(p, scan, rest)
	default:
		s.counters.Malformed.Add(1) // a reserved class: ignored
	}
	return nil
}

func (s *Session) requestFrame(p packet, scan optionScan, rest []byte) *Exchange {
	ex := newExchange(s, p)
	if scan.isBad {
		s.counters.BadOptions.Add(1)
		ex.reply(badOption(scan.bad)) // RFC 7252, Section 5.4.1
		return nil
	}
	if err := ex.decode(rest, scan); err != nil {
		s.abort("bad message", nil)
		return nil
	}
	return s.accept(ex)
}

func (s *Session) responseFrame(p packet, scan optionScan, rest []byte) {
	c := s.callByToken(p.token)
	if c == nil {
		s.counters.Unexpected.Add(1)
		return
	}
	if scan.isBad {
		s.counters.BadOptions.Add(1)
		s.failCall(c, fmt.Errorf("%w: unrecognised critical option", ErrBadResponse))
		return
	}
	m, err := s.read(p, rest, scan)
	if err != nil {
		s.abort("bad message", nil)
		return
	}
	s.answered(c, m)
}
