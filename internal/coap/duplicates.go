package coap

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
)

// remembered is a message of the peer that must not be acted on twice, with what it was answered.
type remembered struct {
	mid     uint16
	typ     message.Type
	tkl     uint8
	token   [maxToken]byte
	expires time.Time
	reply   []byte // sent again for a duplicate; nil: nothing was sent yet
}

// duplicates remembers the newest messages of the peer. The zero value is empty.
//
// What it remembers is bounded by number (Limits.MaxRemembered) and by the size of the replies (maxReplyBytes), not only by
// time: of a peer that sends more than that within the lifetime of its ids the oldest messages are forgotten early, and a
// duplicate of one of those is acted on again. How often messages are forgotten so is counted.
//
// RFC 7252, Section 4.5: this may be relaxed where requests are idempotent, as the PUT, GET and DELETE of DOTS are.
type duplicates struct {
	byMID map[uint16]*remembered
	queue []*remembered  // oldest first
	bytes int            // of all replies
	early *atomic.Uint64 // counts the messages that were forgotten before their time; nil: nobody counts
}

// maxReplyBytes bounds the replies a session keeps, in bytes.
const maxReplyBytes = 65536

// find returns what is remembered of a message, nil when it is new.
//
// RFC 7252, Section 4.5: a duplicate has the message id of an earlier message; type and token are compared as well, so
// that a new request of a peer that reuses its ids too early is not answered with an old reply.
func (d *duplicates) find(p packet, now time.Time) *remembered {
	r := d.byMID[p.mid]
	if r == nil || r.typ != p.typ || !bytes.Equal(r.token[:r.tkl], p.token) || !now.Before(r.expires) {
		return nil
	}
	return r
}

// add remembers a message until expires, and forgets what expired, and the oldest when more than limit are held:
// a duplicate that comes later than that is taken as new.
func (d *duplicates) add(p packet, expires, now time.Time, limit int) *remembered {
	for len(d.queue) > 0 && (len(d.queue) >= limit || !now.Before(d.queue[0].expires)) {
		d.dropOldest(now)
	}
	if d.byMID == nil {
		d.byMID = make(map[uint16]*remembered)
	}
	r := &remembered{mid: p.mid, typ: p.typ, tkl: uint8(len(p.token)), expires: expires}
	copy(r.token[:], p.token)
	d.byMID[p.mid] = r
	d.queue = append(d.queue, r)
	return r
}

// answer notes what a message was answered. The oldest messages are forgotten when their replies take too much space.
func (d *duplicates) answer(r *remembered, reply []byte, now time.Time) {
	if d.byMID[r.mid] != r {
		return // forgotten meanwhile, or its id was used again
	}
	d.bytes += len(reply) - len(r.reply)
	r.reply = reply
	for d.bytes > maxReplyBytes && len(d.queue) > 0 && d.queue[0] != r {
		d.dropOldest(now)
	}
}

func (d *duplicates) dropOldest(now time.Time) {
	oldest := d.queue[0]
	if d.early != nil && now.Before(oldest.expires) {
		d.early.Add(1)
	}
	d.queue[0] = nil
	d.queue = d.queue[1:]
	d.bytes -= len(oldest.reply)
	oldest.reply = nil
	if d.byMID[oldest.mid] == oldest {
		delete(d.byMID, oldest.mid)
	}
}

// remember notes a message of the peer for as long as its id is bound to it: RFC 7252, Section 4.8.2.
func (s *Session) remember(p packet, now time.Time) *remembered {
	life := s.params.NonLifetime()
	if p.typ == message.Confirmable {
		life = s.params.ExchangeLifetime()
	}
	return s.seen.add(p, now.Add(life), now, s.limits.MaxRemembered)
}
