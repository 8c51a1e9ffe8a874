package front

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/transport/v5/deadline"

	"github.com/dotsgate/dotsgate/internal/record"
	"github.com/dotsgate/dotsgate/internal/udp"
)

// Bounds of what the library is fed. What exceeds one is dropped, as the network may drop it too.
const (
	maxQueued      = 64      // datagrams that wait to be read, of one association
	maxQueuedBytes = 1 << 15 // bytes of them

	// The library itself would keep megabytes of fragments and a hundred datagrams for a handshake.
	maxFed          = 64      // datagrams in one handshake
	maxFedBytes     = 1 << 15 // bytes of them
	maxFedProtected = 4       // of them, with a protected record: what the library keeps until it has the keys

	maxReply = 2 * time.Millisecond // some ten times what the library needs to sign

	maxRepeats = 8 // of our Finished, beside those of the library
)

// errDeadlinePassed is what a read returns at its deadline.
var errDeadlinePassed = fmt.Errorf("waiting for a datagram: %w", os.ErrDeadlineExceeded)

// association is one peer's part of the network, as a net.PacketConn for the library: from the ClientHello that has proven the
// address until the session is taken over, or its end.
type association struct {
	conn    *Conn
	library atomic.Pointer[dtls.Conn] // set before the handshake
	over    chan struct{}
	closed  chan struct{}
	once    sync.Once
	wake    chan struct{} // something to read, or a change of what is to be done; room for one
	limit   *deadline.Deadline
	slot    atomic.Bool   // the reader has a handshake slot
	owes    bool          // the reader's: the library has the second ClientHello, and its answer is to come
	replied chan struct{} // closed when the first datagram leaves

	// What is handed over (see handOver); the library's handshake goroutine has it.
	second  []byte // the ClientHello with the cookie, until it is the library's
	cookie  [cookieSize]byte
	shift   uint64 // what is added to the numbers of our plaintext records
	swallow bool   // the library's HelloVerifyRequests do not leave

	out   sync.Mutex // around what leaves, so that mute is for good
	muted bool
	wrote bool // replied is closed

	mu        sync.Mutex
	queue     []datagram
	bytes     int  // in queue
	fed       int  // datagrams accepted in the handshake
	fedBytes  int  // and their bytes
	protected int  // and those with a protected record
	finishing bool // our Finished is on its way: what comes waits for over
	settled   bool // the handshake is over
	holding   bool // the library gets what is queued, then its end
	emptied   bool // the library has got its end: it opens nothing any more
	released  bool // nothing is queued here any more
	kept      []datagram
	flight    []byte    // our Finished as it left, while the peer may not have it
	repeats   int       // how often it has been sent again
	last      *peerAddr // where the last datagram came from
	lastVia   Sender
	lastBytes int // that have come from there in a row
}

// datagram is one with its source.
type datagram struct {
	data   []byte
	from   *peerAddr
	via    Sender
	second bool // the ClientHello with the cookie
}

func newAssociation(c *Conn) *association {
	return &association{
		conn: c, over: make(chan struct{}), closed: make(chan struct{}), wake: make(chan struct{}, 1), limit: deadline.New(),
		replied: make(chan struct{}),
		last:    &peerAddr{c.origin}, lastVia: c.route.Load().via,
	}
}

// handOver prepares the library to go on from a ClientHello that has proven its address without it: it is shown a first
// ClientHello without cookie, and when it answers that with a cookie of its own, the cookie is replaced and the real hello
// follows (see WriteTo).
func (a *association) handOver(h *hello) {
	a.second = bytes.Clone(h.datagram)
	a.cookie = [cookieSize]byte(h.cookie)
	a.swallow = true
	// RFC 6347, Section 4.2.1: the ServerHello's record has the number of the ClientHello's. The library would begin with 1, its
	// HelloVerifyRequest having had 0, and so repeat numbers that ours have had: clients would drop the record as a replay.
	a.shift = h.number - 1
	first := h.first()
	a.queue, a.bytes = append(a.queue, datagram{data: first, from: a.last, via: a.lastVia}), len(first)
	a.signal()
}

// deliver queues a datagram, which it does not keep. It returns false when the association takes nothing any more, since the
// session is not the library's now.
func (a *association) deliver(via Sender, b []byte, from udp.Path) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.released {
		return false
	}
	if because := a.refuses(b); because != nil {
		because.Add(1)
		return true
	}
	b = record.ForLibrary(bytes.Clone(b), a.settled, cidLength)
	if len(b) == 0 || a.settled && !a.holding && a.repeatsFinished(b) {
		return true
	}
	if !a.settled && !a.finishing && !a.feeds(b) {
		a.conn.front.counters.Overfed.Add(1)
		return true
	}
	a.note(via, from, len(b))
	a.bytes += len(b)
	d := datagram{data: b, from: a.last, via: via}
	if a.holding {
		a.kept = append(a.kept, d)
		return true
	}
	a.queue = append(a.queue, d)
	a.signal()
	return true
}

// refuses returns what counts a datagram that cannot be queued, nil for one that can. The lock is held.
func (a *association) refuses(b []byte) *atomic.Uint64 {
	switch {
	case !a.answers(b):
		return &a.conn.front.counters.Strangers
	case len(a.queue)+len(a.kept) >= maxQueued || a.bytes+len(b) > maxQueuedBytes:
		return &a.conn.front.counters.Overfed
	}
	return nil
}

// answers reports whether a datagram can belong to the handshake: before the library has answered the ClientHello there is nothing
// but that. The rest is of the client's handshake or session before, at the same address; hellos have a queue of their own in the
// system, and may overtake it. The library would end the handshake for it.
func (a *association) answers(b []byte) bool {
	select {
	case <-a.replied:
		return true
	default:
		return looksLikeHello(b)
	}
}

// repeatsFinished answers a peer that repeats its Finished, and so has not got ours, in a record of the same number, and reports
// whether it did. The library would take such a record for a replay. It is what the library itself does as a client with a
// connection ID, against RFC 6347, Section 4.2.4, which wants new numbers; its handshake would wait in vain. The lock is held.
func (a *association) repeatsFinished(b []byte) bool {
	if a.flight == nil || a.repeats >= maxRepeats || b[0] != recordTypeCID || recordNumber(b) != 0 {
		return false
	}
	a.repeats++
	a.conn.send(a.flight)
	return true
}

// feeds counts a datagram that the library gets before the peer has proven who it is, and reports whether it may have it.
func (a *association) feeds(b []byte) bool {
	protected := 0
	if holdsProtected(b) || b[0] == recordTypeCID {
		protected = 1
	}
	if a.fed+1 > maxFed || a.fedBytes+len(b) > maxFedBytes || a.protected+protected > maxFedProtected {
		return false
	}
	a.fed++
	a.fedBytes += len(b)
	a.protected += protected
	return true
}

// note remembers where the last datagrams came from, and keeps one value for it: the library compares by identity.
func (a *association) note(via Sender, from udp.Path, n int) {
	a.lastVia = via
	if a.last.Path == from {
		a.lastBytes += n
		return
	}
	a.last, a.lastBytes = &peerAddr{from}, n
}

// signal tells the reader to look again. The lock may be held.
func (a *association) signal() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// ReadFrom waits for the next datagram, and for the end of the handshake where it comes after our Finished. In the handshake it
// also waits for a slot, which it gives back when the library asks for the next datagram.
func (a *association) ReadFrom(b []byte) (int, net.Addr, error) {
	a.awaitReply()
	a.leaveSlot()
	for {
		d, state := a.next()
		switch state {
		case readEnd:
			return 0, nil, net.ErrClosed
		case readData:
			data, err := a.heldBack(d.data)
			if err == nil {
				err = a.takeSlot()
			}
			if err != nil {
				return 0, nil, err
			}
			if len(data) > 0 {
				a.owes = d.second
				return copy(b, data), d.from, nil
			}
		case readWait:
			if err := a.wait(a.wake); err != nil {
				return 0, nil, err
			}
		}
	}
}

// readState is what next found.
type readState int

const (
	readWait readState = iota
	readData
	readEnd
)

func (a *association) next() (datagram, readState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case len(a.queue) > 0:
		d := a.queue[0]
		a.queue[0] = datagram{}
		a.queue = a.queue[1:]
		a.bytes -= len(d.data)
		return d, readData
	case a.holding:
		a.emptied = true
		return datagram{}, readEnd
	}
	a.queue = nil // an idle association keeps no buffer
	return datagram{}, readWait
}

// wait waits for the event, the end of the association, or the deadline.
func (a *association) wait(event <-chan struct{}) error {
	select {
	case <-event:
		return nil
	case <-a.closed:
		return net.ErrClosed
	case <-a.limit.Done():
		return errDeadlinePassed
	}
}

// heldBack keeps a datagram, and so all behind it in the queue, that comes when our Finished is on its way and the library has
// not seen yet that the handshake is over: of what a quick peer sends at once it would keep one record and drop the rest,
// and each lost request costs its repetition's time.
//
// RFC 5246, Section 7.3: the server's Finished is the last message of a full handshake, the only kind there is here, since
// no session is ever resumed. So the end of the handshake waits for nothing that is held.
func (a *association) heldBack(data []byte) ([]byte, error) {
	a.mu.Lock()
	finishing := a.finishing
	a.mu.Unlock()
	if !finishing {
		return data, nil
	}
	if err := a.wait(a.over); err != nil {
		return nil, err
	}
	return record.ForLibrary(data, true, cidLength), nil // it may have come in before
}

func (a *association) takeSlot() error {
	select {
	case <-a.over:
		return nil
	default:
	}
	select {
	case a.conn.front.pending.slots <- struct{}{}:
		a.slot.Store(true)
		select {
		case <-a.closed: // Close may have looked before
			a.leaveSlot()
		default:
		}
		return nil
	case <-a.over:
		return nil
	case <-a.closed:
		return net.ErrClosed
	case <-a.limit.Done():
		return errDeadlinePassed
	}
}

// awaitReply keeps the slot while the library works on its answer to the second ClientHello: it signs that on another
// goroutine, when it already asks for the next datagram. A hello that it drops in silence must not keep a slot for long.
func (a *association) awaitReply() {
	if !a.owes {
		return
	}
	a.owes = false
	patience := time.NewTimer(maxReply)
	defer patience.Stop()
	select {
	case <-a.replied:
	case <-a.closed:
	case <-a.limit.Done():
	case <-patience.C:
	}
}

func (a *association) leaveSlot() {
	if a.slot.CompareAndSwap(true, false) {
		<-a.conn.front.pending.slots
	}
}

// settle marks the end of the handshake. Called once.
func (a *association) settle() {
	a.mu.Lock()
	a.settled = true
	a.mu.Unlock()
	close(a.over)
}

// hold keeps what comes from now on for release. The library gets what was queued before, then net.ErrClosed.
func (a *association) hold() {
	a.mu.Lock()
	a.holding = true
	a.mu.Unlock()
	a.signal()
}

// isEmptied reports whether the library has come to the end that hold has set, and not to one of its own before.
func (a *association) isEmptied() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.emptied
}

// release returns what was held. deliver returns false from then on.
func (a *association) release() []datagram {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := a.kept
	a.released, a.kept = true, nil
	return kept
}

// mute drops whatever the library writes from now on: when it returns, the last datagram of the library has left.
func (a *association) mute() {
	a.out.Lock()
	a.muted = true
	a.out.Unlock()
}

// WriteTo sends one datagram of the library's.
func (a *association) WriteTo(b []byte, to net.Addr) (int, error) {
	select {
	case <-a.closed:
		return 0, net.ErrClosed
	default:
	}
	a.out.Lock()
	defer a.out.Unlock()
	if a.muted {
		return len(b), nil
	}
	if cookie, ok := helloVerify(b); ok && a.swallow {
		return len(b), a.verified(cookie)
	}
	if g := a.conn.front.gate; g != nil {
		g.wrote(a.conn, b)
	}
	b = a.prepared(b)
	a.follow(to)
	if !a.wrote {
		a.wrote = true
		close(a.replied) // before it is sent: the answer may be quick
	}
	a.conn.send(b)
	return len(b), nil
}

// verified is called with the library's HelloVerifyRequest in place of sending it.
func (a *association) verified(cookie []byte) error {
	if a.second == nil {
		return nil
	}
	if err := replaceCookie(a.library.Load(), cookie, a.cookie[:]); err != nil {
		a.conn.front.counters.HandOver.Add(1)
		return errors.Join(err, a.Close())
	}
	a.mu.Lock()
	a.queue = append([]datagram{{data: a.second, from: a.last, via: a.lastVia, second: true}}, a.queue...)
	a.bytes += len(a.second)
	a.mu.Unlock()
	a.second = nil
	a.signal()
	return nil
}

// prepared is the datagram as it leaves.
func (a *association) prepared(b []byte) []byte {
	b = bytes.Clone(b) // it is the library's
	renumber(b, a.shift)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.settled {
		return b
	}
	if holdsProtected(b) {
		a.finishing = true // before it is sent: the answer may be quick
		a.flight = b
	}
	return record.UnwrapAlert(b)
}

// follow moves the connection to where the library sends: it has authenticated a record from there, the newest so far.
func (a *association) follow(to net.Addr) {
	p, ok := to.(*peerAddr)
	if !ok || p.Path == a.conn.route.Load().to {
		return
	}
	a.mu.Lock()
	via, n := a.lastVia, 0
	if a.last.Path == p.Path {
		n = a.lastBytes
	}
	a.mu.Unlock()
	a.conn.moveTo(via, p.Path, n)
}

// Close gives the association's place up.
func (a *association) Close() error {
	a.once.Do(func() {
		close(a.closed)
		a.leaveSlot()
	})
	return nil
}

// LocalAddr is our address.
func (a *association) LocalAddr() net.Addr { return a.conn.LocalAddr() }

// SetDeadline sets the deadline of reads; writes do not wait.
func (a *association) SetDeadline(t time.Time) error { return a.SetReadDeadline(t) }

// SetReadDeadline ends a waiting ReadFrom at t; the zero time means never.
func (a *association) SetReadDeadline(t time.Time) error {
	a.limit.Set(t)
	return nil
}

// SetWriteDeadline does nothing: writes do not wait.
func (a *association) SetWriteDeadline(time.Time) error { return nil }
