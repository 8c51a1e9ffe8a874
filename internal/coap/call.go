package coap

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
)

// call is one request of ours on the wire: one token, one response, or many for an observation.
type call struct {
	s         *Session
	token     uint32
	mid       uint16
	non       bool
	stays     bool // an observation: responses keep coming
	cancels   bool // ends an observation: notifications under the same token are not its response
	urgency   Urgency
	mitigates bool     // the probing rate does not count it
	sent      sendings // of a NON; a CON's is the confirmable's
	buf       []byte
	con       *confirmable
	repeat    timer
	of        *transfer             // whose message it is; nil: fn is told
	fn        func(*Message, error) // called without the lock, for each response, or once with an error
}

// Ping checks that the peer is there: an empty CON answered with RST over UDP (RFC 7252, Section 4.3), Ping and Pong
// over TCP (RFC 8323, Section 5.4). It waits until then, until retransmission gives up (ErrTimeout), ctx ends or the
// session does.
func (s *Session) Ping(ctx context.Context) error {
	result := make(chan error, 1)
	cancel, err := s.startPing(result)
	if err != nil {
		return err
	}
	select {
	case err = <-result:
		return err
	case <-s.Done():
		return s.Err()
	case <-ctx.Done():
		s.mu.Lock()
		defer s.unlock()
		cancel()
		return fmt.Errorf("waiting for the peer: %w", ctx.Err())
	}
}

// startPing sends a ping; cancel forgets it and is called with the lock held.
func (s *Session) startPing(result chan<- error) (cancel func(), err error) {
	s.mu.Lock()
	defer s.unlock()
	if s.err != nil {
		return nil, s.err
	}
	if s.reliable {
		if len(s.calls) >= s.limits.MaxCalls {
			return nil, ErrBusy
		}
		c := &call{token: s.nextToken(), fn: func(_ *Message, err error) { result <- err }}
		s.calls[c.token] = c
		s.pings = append(s.pings, c)
		_, err := s.send(packet{code: codePing, token: tokenBytes(c.token)})
		return func() { s.drop(c) }, err
	}
	mid := s.nextMID()
	b := binary.BigEndian.AppendUint16([]byte{1 << 6, 0}, mid)
	_ = s.write(b) // loss: it is sent again
	s.counted(true, s.clock(), len(b))
	con := s.confirm(mid, b, func(err error) {
		if !errors.Is(err, ErrTimeout) {
			err = nil // RST is the answer; an ACK of a peer that knows no better shows life as well
		}
		result <- err
	})
	return func() { s.forget(con) }, nil
}

// pong takes a Pong. One without a token answers the oldest ping: some peers leave it out, although RFC 8323,
// Section 5.4 wants it.
func (s *Session) pong(token []byte) {
	for _, c := range s.pings {
		if len(token) == 0 || bytes.Equal(token, tokenBytes(c.token)) {
			s.drop(c)
			s.later(func() { c.fn(nil, nil) })
			return
		}
	}
	s.counters.Unexpected.Add(1)
}

// begin sends a request and registers it. c has its flags and fn; a token of 0 means a new one. The lock is held.
// After an error fn is not called.
func (s *Session) begin(c *call, req *Message) error {
	switch {
	case s.err != nil:
		return s.err
	case s.stream != nil && s.stream.released:
		// RFC 8323, Section 5.5: no new requests after a Release.
		return ErrClosedByPeer
	case len(s.calls) >= s.limits.MaxCalls:
		return ErrBusy
	}
	if c.token == 0 {
		c.token = s.nextToken()
	}
	p := packet{typ: message.Confirmable, code: req.Code, token: tokenBytes(c.token), options: req.Options, payload: req.Payload}
	if !s.reliable {
		c.mid, c.non = s.nextMID(), req.NonConfirmable
		p.mid = c.mid
		if c.non {
			p.typ = message.NonConfirmable
		}
	}
	b, err := s.send(p)
	if b == nil {
		return err
	}
	if s.reliable && err != nil {
		return err
	}
	s.register(c, b)
	return nil
}

// register notes a request that was just sent and arms what sends it again.
func (s *Session) register(c *call, b []byte) {
	if s.calls == nil {
		s.calls = make(map[uint32]*call)
	}
	s.calls[c.token] = c
	if s.reliable {
		return
	}
	c.s = s
	now := time.Now()
	s.counted(!c.mitigates, s.clockAt(now), len(b))
	if c.mitigates {
		s.flow.took(c.urgency)
	}
	if c.non {
		c.buf = bytes.Clone(b)
		c.repeat.fire = c
		c.sent.sent(s.clockAt(now))
		s.timers.set(&c.repeat, now.Add(s.repeatAfter()))
		return
	}
	c.con = s.confirm(c.mid, bytes.Clone(b), func(err error) {
		c.con = nil
		if err != nil {
			s.failCall(c, err)
		}
	})
	c.con.call = c
}

// nextToken returns a token no request of ours under way has; never 0. RFC 7252, Section 5.3.1.
func (s *Session) nextToken() uint32 {
	if s.calls == nil {
		s.calls = make(map[uint32]*call)
	}
	for {
		s.token++
		if _, used := s.calls[s.token]; !used && s.token != 0 {
			return s.token
		}
	}
}

func tokenBytes(token uint32) []byte { return binary.BigEndian.AppendUint32(nil, token) }

// callByToken finds a request of ours by the token of a response.
func (s *Session) callByToken(token []byte) *call {
	if len(token) != 4 {
		return nil
	}
	return s.calls[binary.BigEndian.Uint32(token)]
}

// answered takes a response to a request of ours. The lock is held.
func (s *Session) answered(c *call, m *Message) {
	if c.cancels && m.Code.Success() && m.Options.Has(Observe) {
		return
	}
	if c.con != nil {
		s.flow.rtt.answered(&c.con.sent, s.clockAt(s.heard), c.mitigates)
	} else {
		s.flow.rtt.answered(&c.sent, s.clockAt(s.heard), c.mitigates)
	}
	// RFC 7252, Section 5.2.2: a response also acknowledges a request whose empty ACK was lost.
	s.quieten(c)
	if !c.stays {
		s.drop(c)
	}
	s.told(c, m, nil)
}

// failCall ends a request of ours with an error. The lock is held.
func (s *Session) failCall(c *call, err error) {
	s.drop(c)
	s.told(c, nil, err)
}

// told hands on what became of a request, or a response of several. The lock is held.
func (s *Session) told(c *call, m *Message, err error) {
	if c.of != nil {
		c.of.reply(m, err)
	} else {
		s.laterDone(c.fn, m, err)
	}
}

// quieten stops sending a request again.
func (s *Session) quieten(c *call) {
	if c.con != nil {
		s.forget(c.con)
		c.con = nil
	}
	if c.buf != nil {
		c.buf = nil
		s.timers.stop(&c.repeat)
	}
}

// drop forgets a request of ours; a late response to it is unexpected. The lock is held.
func (s *Session) drop(c *call) {
	s.quieten(c)
	if s.calls[c.token] == c {
		delete(s.calls, c.token)
	}
	if s.reliable {
		s.pings = slices.DeleteFunc(s.pings, func(p *call) bool { return p == c })
	}
}
