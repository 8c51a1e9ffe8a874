package coap

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
)

// confirmable is a CON of ours that is not acknowledged yet.
type confirmable struct {
	s       *Session
	mid     uint16
	buf     []byte
	wait    time.Duration
	left    int
	timer   timer
	sent    sendings
	call    *call       // the request it carries; nil for a response or a ping
	settled func(error) // called once with the lock held: nil acknowledged, ErrReset or ErrTimeout
}

// confirm arms the retransmission of a CON just written; buf is kept.
//
// RFC 7252, Section 4.2: the first wait is drawn from [ACK_TIMEOUT, ACK_TIMEOUT x ACK_RANDOM_FACTOR], each further one
// is twice the last, and after MAX_RETRANSMIT attempts the message is given up.
func (s *Session) confirm(mid uint16, buf []byte, settled func(error)) *confirmable {
	fraction := float64(s.rand.Uint64()>>11) / (1 << 53)
	wait := float64(s.params.AckTimeout) * (1 + fraction*(s.params.AckRandomFactor-1))
	c := &confirmable{s: s, mid: mid, buf: buf, wait: time.Duration(wait), left: max(s.params.MaxRetransmit, 0), settled: settled}
	c.timer.fire = c
	if s.cons == nil {
		s.cons = make(map[uint16]*confirmable)
	}
	s.cons[mid] = c
	now := time.Now()
	c.sent.sent(s.clockAt(now))
	s.timers.set(&c.timer, now.Add(c.wait))
	return c
}

// fired sends a CON again when no acknowledgement came in time.
func (c *confirmable) fired() {
	s := c.s
	defer s.guard()
	s.mu.Lock()
	defer s.unlock()
	if s.cons[c.mid] != c {
		return
	}
	if c.left == 0 {
		s.counters.Timeouts.Add(1)
		s.settle(c, ErrTimeout)
		return
	}
	c.left--
	c.wait *= 2
	s.counters.Retransmissions.Add(1)
	_ = s.write(c.buf) // loss is what the retransmission is for
	now := time.Now()
	s.counted(true, s.clockAt(now), len(c.buf))
	c.sent.sent(s.clockAt(now))
	s.timers.set(&c.timer, now.Add(c.wait))
}

// settle ends the retransmission of a CON and says so to whoever sent it.
func (s *Session) settle(c *confirmable, err error) {
	if !errors.Is(err, ErrTimeout) {
		s.flow.rtt.answered(&c.sent, s.clockAt(s.heard), false)
	}
	s.forget(c)
	c.settled(err)
}

// forget ends the retransmission of a CON.
func (s *Session) forget(c *confirmable) {
	if s.cons[c.mid] == c {
		delete(s.cons, c.mid)
	}
	s.timers.stop(&c.timer)
}

// reset takes an RST of the peer: for a CON of ours, a notification, or a NON request.
//
// RFC 7252, Section 4.2 and RFC 7641, Section 3.6.
func (s *Session) reset(mid uint16) {
	s.counters.ResetsIn.Add(1)
	if c := s.cons[mid]; c != nil {
		s.settle(c, ErrReset)
		return
	}
	for _, o := range s.observers {
		if o.sentAs(mid) {
			o.end()
			return
		}
	}
	for _, c := range s.calls {
		if c.non && c.mid == mid {
			s.failCall(c, ErrReset)
			return
		}
	}
}

// sendEmpty sends an empty ACK or RST for a message id and returns its bytes. RFC 7252, Section 4.1.
func (s *Session) sendEmpty(typ message.Type, mid uint16) []byte {
	b := binary.BigEndian.AppendUint16([]byte{1<<6 | byte(typ)<<4, 0}, mid)
	_ = s.write(b) // the peer asks again when it is lost
	if typ == message.Reset {
		s.counters.ResetsOut.Add(1)
	}
	return b
}
