package coap

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strings"
)

// block is the value of a Block1 or Block2 option: RFC 7959, Section 2.2.
type block struct {
	num  uint32
	more bool
	szx  uint8
}

const (
	szxMax  = 6 // 1024 bytes
	szxBERT = 7 // RFC 8323, Section 6: several blocks of 1024 bytes at once, over TCP only
)

// blockSize returns the unit of a size exponent in bytes.
func blockSize(szx uint8) int { return 16 << min(szx, szxMax) }

// offset returns where the block begins in the body.
func (b block) offset() int { return int(b.num) * blockSize(b.szx) }

// full reports whether length is what a block with others behind it has: RFC 7959, Section 2.2, RFC 8323, Section 6.
func (b block) full(length int) bool {
	size := blockSize(b.szx)
	return length == size || b.szx == szxBERT && length > 0 && length%size == 0
}

// value returns the option value as an integer.
func (b block) value() uint32 {
	v := b.num<<4 | uint32(b.szx)
	if b.more {
		v |= 8
	}
	return v
}

// blockOf reads a block option of a message, if it has one. The session's scan has already removed illegal lengths.
func blockOf(options Options, number uint16) (b block, has bool, err error) {
	v, has := options.Uint(number)
	if !has {
		return block{}, false, nil
	}
	b = block{num: v >> 4, more: v&8 != 0, szx: uint8(v & 7)}
	if b.num >= 1<<20 {
		return block{}, true, fmt.Errorf("block number out of range")
	}
	return b, true, nil
}

// blockFor returns the largest block that fits a message with the options of m, and whether any does.
func (s *Session) blockFor(m *Message) (uint8, bool) {
	const extra = 5 + 9 + 13 + 7 // Block, ETag, Request-Tag and Size as they may be added
	room := s.maxSize() - (sizeOf(m) - len(m.Payload)) - extra
	for szx := uint8(szxMax); ; szx-- {
		if blockSize(szx) <= room {
			return szx, true
		}
		if szx == 0 {
			return 0, false
		}
	}
}

// cacheKey tells which messages belong to the same body: the method and every option that is part of the cache key,
// without those that change from block to block.
//
// RFC 7959, Section 2.5 and RFC 9175, Section 3.3: not the token, which is new for each block of some peers.
// RFC 7252, Section 5.4.2: NoCacheKey options are left out.
func cacheKey(m *Message) string { return keyWithout(m, Block1) }

// responseKey is cacheKey for the blocks of a response: without the Request-Tag, because a client may leave it out when
// it asks for the rest of the response to a request that went in blocks.
func responseKey(m *Message) string { return keyWithout(m, RequestTag) }

func keyWithout(m *Message, number uint16) string {
	var key strings.Builder
	key.WriteByte(byte(m.Code))
	for _, o := range m.Options {
		if o.Number&0x1e == 0x1c || o.Number == number || o.Number == Block1 || o.Number == Block2 || o.Number == Observe {
			continue
		}
		var head [4]byte
		binary.BigEndian.PutUint16(head[:], o.Number)
		binary.BigEndian.PutUint16(head[2:], uint16(len(o.Value)))
		key.Write(head[:])
		key.Write(o.Value)
	}
	return key.String()
}

// bodyTag is an ETag made of the body.
func bodyTag(body []byte) []byte {
	h := fnv.New64a()
	_, _ = h.Write(body) // never fails
	return h.Sum(nil)
}

// blockWise does what a request in blocks, or for a block, needs before the handler sees it. It returns the answer
// when the session gives it itself. The lock is held.
func (s *Session) blockWise(ex *Exchange) *Message {
	b1, has1, err1 := blockOf(ex.req.Options, Block1)
	b2, has2, err2 := blockOf(ex.req.Options, Block2)
	// RFC 7959, Section 2.2: SZX 7 is reserved; RFC 8323, Section 6 gives it a meaning over TCP.
	if err1 != nil || err2 != nil || !s.reliable && (b1.szx == szxBERT || b2.szx == szxBERT) {
		return diagnostic(BadRequest, "bad block option")
	}
	if has1 {
		if m := s.assemble(ex, b1); m != nil {
			return m
		}
	}
	if has2 && b2.num > 0 && !has1 {
		return s.continueResponse(ex, b2)
	}
	return nil
}
