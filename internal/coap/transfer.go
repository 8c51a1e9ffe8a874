package coap

import (
	"bytes"
	"context"
	"fmt"
)

// Do sends a request and returns its response, whatever its code. Over UDP a CON is retransmitted by the session's
// Parameters (then ErrTimeout), a NON is sent again every RepeatInterval, as far as Pace allows, until it is answered or ctx ends. A body
// larger than a message goes in blocks, and a response in blocks is put together: RFC 7959. It must not be called
// from a Handler or from a function given to Observe.
//
// Errors: that of ctx, of the session's end, ErrTimeout, ErrReset, ErrBadResponse, ErrTooLarge, ErrIncomplete, ErrBusy
// and ErrBadMessage, wrapped.
func (s *Session) Do(ctx context.Context, req *Message) (*Message, error) {
	if !req.Code.IsRequest() {
		return nil, fmt.Errorf("%w: %s is not a method", ErrBadMessage, req.Code)
	}
	type result struct {
		m   *Message
		err error
	}
	if err := s.awaitGreeting(ctx, req); err != nil {
		return nil, fmt.Errorf("waiting for the peer's capabilities: %w", err)
	}
	answer := make(chan result, 1)
	t := &transfer{s: s, req: req, urgency: usualUrgency(req), done: func(m *Message, err error) { answer <- result{m, err} }}
	if err := t.begin(); err != nil {
		return nil, fmt.Errorf("sending the request: %w", err)
	}
	select {
	case r := <-answer:
		if r.err != nil {
			return nil, fmt.Errorf("waiting for the response: %w", r.err)
		}
		return r.m, nil
	case <-ctx.Done():
		t.stop()
		return nil, fmt.Errorf("waiting for the response: %w", ctx.Err())
	}
}

// awaitGreeting waits for the peer's CSM when a message is larger than what every peer takes: RFC 8323, Section 5.3.1.
func (s *Session) awaitGreeting(ctx context.Context, req *Message) error {
	if !s.reliable || sizeOf(req) <= baseMessageSize {
		return nil
	}
	select {
	case <-s.stream.ready:
		return nil
	case <-s.Done():
		return s.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// maxRestarts is how often a block-wise transfer begins again before it is given up.
const maxRestarts = 3

// transfer is one request with its response, in as many messages as they take. Its steps are guarded by the
// session's lock; there is one message under way at a time.
type transfer struct {
	s    *Session
	req  *Message
	done func(*Message, error) // called once, without the lock, unless stop was first
	call *call
	own  call // the first message's
	over bool

	urgency   Urgency
	mitigates bool // no probing rate is for it

	blocks   bool // the request goes in blocks
	sent     int  // bytes of the body before the block under way
	szx      uint8
	tag      []byte
	restarts int

	head *Message // first block of the response
	body []byte
	etag []byte
}

// begin sends the first message. After an error done is not called.
func (t *transfer) begin() error {
	t.s.mu.Lock()
	defer t.s.unlock()
	if sizeOf(t.req) <= t.s.maxSize() {
		return t.send(t.req)
	}
	if t.s.reliable && !t.s.stream.peerBlocks {
		return fmt.Errorf("%w: the peer takes %d bytes", ErrTooLarge, t.s.maxSize())
	}
	szx, ok := t.s.blockFor(t.req)
	if !ok || len(t.req.Payload) == 0 {
		return fmt.Errorf("%w: the options leave no room", ErrTooLarge)
	}
	t.blocks, t.szx = true, szx
	t.tag = tokenBytes(t.s.nextToken())
	return t.sendBlock()
}

// stop abandons the transfer.
func (t *transfer) stop() {
	t.s.mu.Lock()
	defer t.s.unlock()
	t.over = true
	if t.call != nil {
		t.s.drop(t.call)
	}
}

func (t *transfer) send(m *Message) error {
	c := &t.own
	if c.of != nil { // it was used
		c = &call{}
	}
	c.of, c.urgency, c.mitigates = t, t.urgency, t.mitigates
	t.call = c
	return t.s.begin(c, m)
}

// sendBlock sends the block that begins at t.sent.
//
// RFC 7959, Section 2.3 and RFC 9175, Section 3: every block of one body carries the same Request-Tag.
func (t *transfer) sendBlock() error {
	m := t.req.with()
	end := min(t.sent+blockSize(t.szx), len(t.req.Payload))
	b := block{num: uint32(t.sent >> (t.szx + 4)), more: end < len(t.req.Payload), szx: t.szx}
	m.Payload = t.req.Payload[t.sent:end]
	m.Options.SetUint(Block1, b.value())
	m.Options.Set(RequestTag, t.tag)
	if t.sent == 0 {
		m.Options.SetUint(Size1, uint32(len(t.req.Payload)))
	}
	return t.send(m)
}

// askBlock asks for a block of the response. RFC 7959, Section 2.4.
func (t *transfer) askBlock(b block) error {
	m := t.req.with()
	m.Payload = nil
	m.Options.Remove(Observe) // RFC 7959, Section 3.4
	m.Options.Remove(Block1)
	m.Options.SetUint(Block2, block{num: b.num, szx: b.szx}.value())
	if t.tag != nil {
		m.Options.Set(RequestTag, t.tag)
	}
	return t.send(m)
}

// reply takes the outcome of the message under way. The lock is held.
func (t *transfer) reply(m *Message, err error) {
	if t.over {
		return
	}
	t.call = nil
	finished := err != nil
	if !finished {
		m, finished, err = t.advance(m)
	}
	if finished || err != nil {
		t.over = true
		if err != nil {
			m = nil
		}
		t.s.laterDone(t.done, m, err)
	}
}

// advance takes a response and sends what comes next, or says that the transfer is finished with a message.
func (t *transfer) advance(m *Message) (*Message, bool, error) {
	if !t.blocks {
		return t.receive(m)
	}
	again, err := t.acknowledged(m)
	switch {
	case err != nil:
		return nil, false, err
	case again:
		return nil, false, t.sendBlock()
	}
	t.blocks = false
	return t.receive(m)
}

// acknowledged takes the answer to a block of the request, and says whether another one is to be sent.
func (t *transfer) acknowledged(m *Message) (again bool, err error) {
	b, has, err := blockOf(m.Options, Block1)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrBadResponse, err)
	}
	remaining := t.sent+blockSize(t.szx) < len(t.req.Payload)
	switch {
	case m.Code == RequestEntityIncomplete && t.restarts < maxRestarts:
		// RFC 7959, Section 2.9.2: the server lost its part of the body.
		t.restarts++
		t.sent = 0
	case m.Code == RequestEntityTooLarge && has && b.szx < t.szx && t.sent == 0:
		// RFC 7959, Section 2.9.3: the server wants smaller blocks.
		t.szx = b.szx
	case m.Code == Continue, has && m.Code.Success() && remaining:
		return true, t.proceed(b, has && remaining)
	default:
		return false, nil
	}
	return true, nil
}

// proceed moves on behind the block under way, which the server has taken. RFC 7959, Section 2.3: in the size the
// server prefers from now on.
func (t *transfer) proceed(b block, expected bool) error {
	if !expected || b.num != uint32(t.sent>>(t.szx+4)) {
		return fmt.Errorf("%w: a block was acknowledged that was not sent", ErrBadResponse)
	}
	t.sent += blockSize(t.szx)
	t.szx = min(t.szx, b.szx)
	return nil
}

// receive takes a block of the response, or all of it.
func (t *transfer) receive(m *Message) (*Message, bool, error) {
	b, has, err := blockOf(m.Options, Block2)
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("%w: %w", ErrBadResponse, err)
	case !has, !m.Code.Success(), t.head == nil && b.num == 0 && !b.more:
		return m, true, nil
	}
	etag, _ := m.Options.Get(ETag)
	if t.head == nil {
		t.head, t.etag = m, etag
	} else if !bytes.Equal(etag, t.etag) {
		return nil, false, t.restart(b)
	}
	if err := t.append(m, b); err != nil {
		return nil, false, err
	}
	if b.more {
		b.num = uint32(len(t.body) / blockSize(b.szx))
		return nil, false, t.askBlock(b)
	}
	whole := t.head.with()
	whole.Options.Remove(Block2)
	whole.Options.Remove(Size2)
	whole.Payload = t.body
	return whole, true, nil
}

// append adds a block to the body. RFC 7959, Section 2.2: every block but the last is full.
func (t *transfer) append(m *Message, b block) error {
	switch {
	case b.offset() != len(t.body), b.more && !b.full(len(m.Payload)):
		return fmt.Errorf("%w: blocks out of order", ErrBadResponse)
	case len(t.body)+len(m.Payload) > t.s.limits.MaxResponseBody:
		return fmt.Errorf("%w: response over %d bytes", ErrTooLarge, t.s.limits.MaxResponseBody)
	}
	t.body = append(t.body, m.Payload...)
	return nil
}

// restart asks for the response from its beginning, since it changed meanwhile. RFC 7959, Section 2.4: the ETag tells.
func (t *transfer) restart(b block) error {
	if t.restarts >= maxRestarts || t.req.Code != GET {
		return fmt.Errorf("%w: the response kept changing", ErrIncomplete)
	}
	t.restarts++
	t.head, t.body, t.etag = nil, nil, nil
	return t.askBlock(block{szx: b.szx})
}
