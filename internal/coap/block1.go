package coap

import (
	"bytes"
	"fmt"
	"time"
)

// body is a request body as far as its blocks came in.
type body struct {
	key     string
	data    []byte
	whole   bool // kept so that a repeated last block is not taken for a gap
	expires time.Time
}

// assemble takes a block of a request body: RFC 7959, Section 2.5. With the last block the exchange gets the whole body
// and nil is returned; else the answer. The lock is held.
func (s *Session) assemble(ex *Exchange, b block) *Message {
	ex.echo = uintBytes(b.value())
	if m := s.checkBlock(&ex.req, b); m != nil {
		return m
	}
	if b.num == 0 && !b.more {
		return nil
	}
	p := s.bodyFor(ex, b)
	if p == nil || !p.add(b.offset(), ex.req.Payload, b.more) {
		// RFC 7959, Section 2.9.2.
		return diagnostic(RequestEntityIncomplete, "a block before this one is missing")
	}
	if b.more {
		return &Message{Code: Continue}
	}
	p.whole = true
	ex.req.Payload, ex.raw = bytes.Clone(p.data), nil
	return nil
}

// checkBlock returns the refusal of a block that does not have its size or belongs to too large a body.
func (s *Session) checkBlock(req *Message, b block) *Message {
	length := len(req.Payload)
	declared, _ := req.Options.Uint(Size1)
	switch {
	case b.more && !b.full(length), !b.more && b.szx != szxBERT && length > blockSize(b.szx):
		// RFC 7959, Section 2.2.
		return diagnostic(BadRequest, "block does not have its size")
	case b.offset()+length > s.limits.MaxBody, int64(declared) > int64(s.limits.MaxBody):
		// RFC 7959, Section 2.9.3.
		m := diagnostic(RequestEntityTooLarge, fmt.Sprintf("at most %d bytes", s.limits.MaxBody))
		m.Options.AddUint(Size1, uint32(s.limits.MaxBody))
		return m
	}
	return nil
}

// bodyFor finds the body a block belongs to, or begins one with block 0. At most Limits.MaxBodies are held; the
// oldest makes room for a new one.
func (s *Session) bodyFor(ex *Exchange, b block) *body {
	now := time.Now()
	key := cacheKey(&ex.req)
	kept := s.bodies[:0]
	var found *body
	for _, p := range s.bodies {
		switch {
		case !now.Before(p.expires):
		case p.key == key:
			found = p
			kept = append(kept, p)
		default:
			kept = append(kept, p)
		}
	}
	clear(s.bodies[len(kept):])
	s.bodies = kept
	switch {
	case b.num > 0:
		return found
	case found != nil:
		// RFC 7959, Section 2.5: block 0 begins the body anew, unless it is a repetition of what is there.
		if found.whole || !bytes.HasPrefix(found.data, ex.req.Payload) {
			found.data, found.whole = nil, false
		}
		found.expires = now.Add(s.limits.BodyLifetime)
		return found
	}
	if len(s.bodies) >= s.limits.MaxBodies {
		s.counters.Refused.Add(1)
		copy(s.bodies, s.bodies[1:])
		s.bodies = s.bodies[:len(s.bodies)-1]
	}
	found = &body{key: key, expires: now.Add(s.limits.BodyLifetime)}
	s.bodies = append(s.bodies, found)
	return found
}

// add appends a block, or recognises one that is there already; false means a gap or another body.
func (p *body) add(offset int, part []byte, more bool) bool {
	end := offset + len(part)
	switch {
	case end <= len(p.data):
		// A repeated block is answered again; the last one only at the end of a whole body.
		return bytes.Equal(p.data[offset:end], part) && (more || p.whole && end == len(p.data))
	case offset != len(p.data) || p.whole:
		return false
	}
	p.data = append(p.data, part...)
	return true
}
