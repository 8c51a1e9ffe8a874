package coap

import "time"

// kept is a response that does not fit one message, so that every block comes from the same body.
type kept struct {
	key     string
	m       *Message // whole, with an ETag
	expires time.Time
}

// fitResponse returns m, or its block that answers req when it does not fit a message or a smaller block was asked for:
// RFC 7959, Section 2.4. The lock is held.
func (s *Session) fitResponse(req, m *Message) *Message {
	asked, has, _ := blockOf(req.Options, Block2)
	wanted := !has || asked.num == 0 && len(m.Payload) <= blockSize(asked.szx) || !m.Code.Success()
	if wanted && sizeOf(m) <= s.maxSize() {
		return m
	}
	szx, ok := s.blockFor(m)
	if has {
		szx = min(szx, asked.szx)
	}
	if !ok || s.reliable && !s.stream.peerBlocks {
		// RFC 8323, Section 5.3.2: a peer that did not say so knows no blocks.
		return diagnostic(InternalServerError, "response larger than the peer takes")
	}
	part := cut(s.keep(responseKey(req), m).m, asked.offset(), szx, req.Options.Has(Size2))
	keepObserve(part, m)
	return part
}

// fitNotification returns m, or its first block: RFC 7959, Section 2.6. The lock is held.
func (s *Session) fitNotification(key string, m *Message) *Message {
	if sizeOf(m) <= s.maxSize() {
		return m
	}
	szx, ok := s.blockFor(m)
	if !ok || s.reliable && !s.stream.peerBlocks {
		return diagnostic(InternalServerError, "response larger than the peer takes")
	}
	first := cut(s.keep(key, m).m, 0, szx, false)
	keepObserve(first, m)
	return first
}

// keepObserve gives the first block of a notification its Observe option, which the snapshot does not have, since it
// answers plain requests for the later blocks: RFC 7959, Section 2.6.
func keepObserve(first, whole *Message) {
	if v, ok := whole.Options.Get(Observe); ok {
		first.Options.Set(Observe, v)
	}
}

// keep holds a response for the blocks that will be asked for. At most Limits.MaxBodies are held; the oldest goes.
func (s *Session) keep(key string, m *Message) *kept {
	now := time.Now()
	m = m.Clone()
	m.Options.Remove(Observe)
	m.Options.Remove(Block2)
	if !m.Options.Has(ETag) {
		m.Options.Set(ETag, bodyTag(m.Payload))
	}
	k := &kept{key: key, m: m, expires: now.Add(s.limits.BodyLifetime)}
	rest := s.snapshots[:0]
	for _, old := range s.snapshots {
		if old.key != key && now.Before(old.expires) {
			rest = append(rest, old)
		}
	}
	clear(s.snapshots[len(rest):])
	if len(rest) >= s.limits.MaxBodies {
		copy(rest, rest[1:])
		rest = rest[:len(rest)-1]
	}
	s.snapshots = append(rest, k)
	return k
}

// continueResponse answers a request for a later block from the snapshot its first block came from. A GET without
// one goes to the handler, whose answer is then cut anew with another ETag. The lock is held.
func (s *Session) continueResponse(ex *Exchange, b block) *Message {
	key := responseKey(&ex.req)
	now := time.Now()
	for _, k := range s.snapshots {
		if k.key == key && now.Before(k.expires) {
			fits, _ := s.blockFor(k.m)
			return cut(k.m, b.offset(), min(b.szx, fits), false)
		}
	}
	if ex.req.Code != GET {
		return diagnostic(RequestEntityIncomplete, "the response is not kept any more")
	}
	return nil
}

// cut returns the block of a response that begins at offset.
func cut(m *Message, offset int, szx uint8, size bool) *Message {
	if offset >= len(m.Payload) && offset > 0 {
		// RFC 7959, Section 2.4: beyond the end there is nothing to send.
		return diagnostic(BadRequest, "block out of range")
	}
	end := min(offset+blockSize(szx), len(m.Payload))
	part := m.with()
	part.Payload = m.Payload[offset:end]
	b := block{num: uint32(offset / blockSize(szx)), more: end < len(m.Payload), szx: szx}
	part.Options.SetUint(Block2, b.value())
	if size {
		part.Options.SetUint(Size2, uint32(len(m.Payload)))
	}
	return part
}
