package coap

import (
	"bytes"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
)

// remembered is a message of the peer that must not be acted on twice, with what it was answered.
type remembered struct {
	expires time.Duration // since duplicates.epoch
	reply   []byte        // sent again for a duplicate; empty: nothing was sent yet
	head    uint64        // the newest message whose id ends in the place of this entry; it is about the place, not about the message
	older   uint64        // the one before it
	mid     uint16
	typ     message.Type
	tkl     uint8
	token   [maxToken]byte
}

// duplicates remembers the newest messages of the peer, in a ring that grows and shrinks with their number. The messages are
// numbered, beginning with 1; a number stays valid until the message is forgotten. The zero value is empty.
//
// What it remembers is bounded by number (Limits.MaxRemembered) and by the size of the replies (maxReplyBytes), not only by
// time: of a peer that sends more than that within the lifetime of its ids the oldest messages are forgotten early, and a
// duplicate of one of those is acted on again. How often messages are forgotten so is counted.
//
// RFC 7252, Section 4.5: this may be relaxed where requests are idempotent, as the PUT, GET and DELETE of DOTS are.
type duplicates struct {
	ring  []remembered // its length is a power of two: number n, and the ids that end in n, are at n modulo the length
	first uint64       // the oldest number
	next  uint64       // the number after the newest
	bytes int          // of all replies
	epoch time.Time
	early *atomic.Uint64 // counts the messages that were forgotten before their time; nil: nobody counts
}

const (
	// maxReplyBytes bounds the replies a session keeps, in bytes.
	maxReplyBytes = 65536
	// smallReply is up to what size the buffer of a forgotten reply is kept for the next one in its place, in bytes.
	smallReply = 64
	// fewRemembered is the least length of a ring.
	fewRemembered = 4
)

// at returns a message by its number.
func (d *duplicates) at(n uint64) *remembered { return &d.ring[n&uint64(len(d.ring)-1)] }

// held returns how many messages are remembered.
func (d *duplicates) held() int { return int(d.next - d.first) }

// newest returns the number of the newest message with the id; 0: there is none.
func (d *duplicates) newest(mid uint16) uint64 {
	if len(d.ring) == 0 {
		return 0
	}
	// A chain leads from newer messages to older ones, so that it ends with the first that is forgotten.
	n := d.at(uint64(mid)).head
	for n >= d.first && n != 0 {
		r := d.at(n)
		if r.mid == mid {
			return n
		}
		n = r.older
	}
	return 0
}

// find returns what is remembered of a message, nil when it is new. It is valid until the next message is added.
//
// RFC 7252, Section 4.5: a duplicate has the message id of an earlier message; type and token are compared as well, so
// that a new request of a peer that reuses its ids too early is not answered with an old reply.
func (d *duplicates) find(p packet, now time.Time) *remembered {
	n := d.newest(p.mid)
	if n == 0 {
		return nil
	}
	r := d.at(n)
	if r.typ != p.typ || !bytes.Equal(r.token[:r.tkl], p.token) || now.Sub(d.epoch) >= r.expires {
		return nil
	}
	return r
}

// add remembers a message until expires and returns its number. It forgets what expired, and the oldest when more than
// limit are held: a duplicate that comes later than that is taken as new.
func (d *duplicates) add(p packet, expires, now time.Time, limit int) uint64 {
	if d.next == 0 {
		d.first, d.next, d.epoch = 1, 1, now
	}
	age := now.Sub(d.epoch)
	for d.held() > 0 && (d.held() >= limit || age >= d.at(d.first).expires) {
		d.dropOldest(age)
	}
	d.resize()
	n := d.next
	d.next++
	r := d.at(n)
	r.mid, r.typ, r.tkl, r.expires = p.mid, p.typ, uint8(len(p.token)), expires.Sub(d.epoch)
	copy(r.token[:], p.token)
	d.link(n)
	return n
}

// link makes a message known by its id.
func (d *duplicates) link(n uint64) {
	r := d.at(n)
	place := d.at(uint64(r.mid))
	r.older, place.head = place.head, n
}

// resize makes room for one more message, and gives back what a busier time has left.
func (d *duplicates) resize() {
	want := d.held() + 1
	if want <= len(d.ring) && (len(d.ring) <= fewRemembered || 4*want > len(d.ring)) {
		return
	}
	size := fewRemembered
	if want > fewRemembered/2 {
		size = 1 << bits.Len(uint(want)) // above want
	}
	old := *d
	d.ring = make([]remembered, size)
	for n := d.first; n < d.next; n++ {
		r := d.at(n)
		head := r.head // of an earlier turn of this loop
		*r = *old.at(n)
		r.head = head
		d.link(n)
	}
}

// answer notes what a message was answered; reply is copied. The oldest messages are forgotten when their replies take too
// much space.
func (d *duplicates) answer(n uint64, reply []byte, now func() time.Time) {
	if n < d.first || n == 0 || d.newest(d.at(n).mid) != n {
		return // forgotten meanwhile, or its id was used again
	}
	r := d.at(n)
	d.bytes += len(reply) - len(r.reply)
	r.reply = append(r.reply[:0], reply...)
	if d.bytes <= maxReplyBytes {
		return
	}
	age := now().Sub(d.epoch)
	for d.bytes > maxReplyBytes && d.first != n {
		d.dropOldest(age)
	}
}

func (d *duplicates) dropOldest(age time.Duration) {
	oldest := d.at(d.first)
	if d.early != nil && age < oldest.expires {
		d.early.Add(1)
	}
	d.bytes -= len(oldest.reply)
	oldest.reply = oldest.reply[:0]
	if cap(oldest.reply) > smallReply {
		oldest.reply = nil
	}
	d.first++
}

// remember notes a message of the peer for as long as its id is bound to it: RFC 7252, Section 4.8.2.
func (s *Session) remember(p packet, now time.Time) uint64 {
	life := s.nonLife
	if p.typ == message.Confirmable {
		life = s.conLife
	}
	return s.seen.add(p, now.Add(life), now, s.limits.MaxRemembered)
}
