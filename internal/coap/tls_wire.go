package coap

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	// tlsRecordHeader is the length of a record's header, in bytes: type, version, length.
	tlsRecordHeader = 5
	// maxTLSRecord is the longest record of TLS 1.2 with its header, in bytes: RFC 5246, Section 6.2.3. Those of TLS 1.3 are shorter.
	maxTLSRecord = tlsRecordHeader + 1<<14 + 2048
	// maxHelloRecord is the longest first record that a listener waits for, in bytes: a hello with a ticket that holds a chain of certificates
	// fits, and a stranger cannot make us keep more.
	maxHelloRecord = 8 << 10
	// wireBuffer is what is asked of the system at once, in bytes: one record that was begun, and many more.
	wireBuffer = 32 << 10
	// plainBuffer holds the longest content of a record, in bytes: RFC 8446, Section 5.1.
	plainBuffer = 16 << 10
)

var (
	errBadRecord  = errors.New("not a TLS record, or too long a one")
	errRecordStop = os.ErrDeadlineExceeded // what crypto/tls takes for a pause: it keeps its state and reads on later
)

// tlsCommon is what the connections of one endpoint share.
type tlsCommon struct {
	slots chan struct{} // capacity: how many handshakes may compute at once; nil: no bound
	wires sync.Pool     // of *[wireBuffer]byte
	plain sync.Pool     // of *[plainBuffer]byte
	sends sync.Pool     // of *sendBuffer
}

// sendBuffer is what one session has to send.
type sendBuffer struct{ b []byte }

// newTLSCommon lets so many handshakes compute at once; 0 means no bound.
func newTLSCommon(slots int) *tlsCommon {
	c := &tlsCommon{
		wires: sync.Pool{New: func() any { return new([wireBuffer]byte) }},
		plain: sync.Pool{New: func() any { return new([plainBuffer]byte) }},
		sends: sync.Pool{New: func() any { return new(sendBuffer) }},
	}
	if slots > 0 {
		c.slots = make(chan struct{}, slots)
	}
	return c
}

// enter takes a slot: a handshake holds one while it computes, and leaves it while it waits for its peer, so that what is established need
// not stand in line behind thousands of handshakes.
func (c *tlsCommon) enter() {
	if c.slots != nil {
		c.slots <- struct{}{}
	}
}

func (c *tlsCommon) leave() {
	if c.slots != nil {
		<-c.slots
	}
}

// tlsWire stands between crypto/tls and the connection. It hands over whole records only, so that a peer that sends byte by byte holds what it has
// sent and nothing more: no buffer, and no record half read in crypto/tls. What it sends it gives to the system at once; only what the system does
// not take waits, for a goroutine that lasts as long as that. So no write waits for the peer.
type tlsWire struct {
	net.Conn
	raw    syscall.RawConn // nil: reads hold a buffer, and writes go by the goroutine
	common *tlsCommon

	// The way in: for one goroutine at a time.
	began    []byte // received and not yet handed over
	whole    []byte // records to hand over: a part of began, or of lent
	lent     *[wireBuffer]byte
	settled  bool // the handshake is over: Read does not wait any more
	readErr  error
	tryRead  func(fd uintptr) bool
	longest  int // of a record, in bytes
	received int // bytes in lent

	mu       sync.Mutex
	out      []byte // sealed, and not yet given to the pump
	unsent   int    // bytes of that, and of what the pump has
	pumping  bool   // a goroutine sends it
	closing  bool
	cause    error         // why the connection was given up
	over     chan struct{} // closed when the connection is, and nothing is being sent
	writing  []byte        // for tryWrite, and what it did
	written  int
	writeErr error
	tryWrite func(fd uintptr) bool
}

func newTLSWire(conn net.Conn, common *tlsCommon) *tlsWire {
	w := &tlsWire{Conn: conn, raw: rawOf(conn), common: common, longest: maxTLSRecord, over: make(chan struct{})}
	w.tryRead, w.tryWrite = w.readReady, w.writeReady
	return w
}

// Read is for crypto/tls. While the handshake lasts it waits for a record, and leaves the slot meanwhile.
func (w *tlsWire) Read(b []byte) (int, error) {
	if len(w.whole) == 0 {
		if w.settled {
			return 0, errRecordStop
		}
		w.common.leave()
		err := w.await()
		w.common.enter()
		if err != nil {
			return 0, err
		}
	}
	n := copy(b, w.whole)
	w.whole = w.whole[n:]
	return n, nil
}

// await waits until there is a whole record. What was handed over before must have been read.
func (w *tlsWire) await() error {
	w.giveBack()
	for len(w.whole) == 0 {
		if err := w.receive(); err != nil {
			w.giveBack()
			if errors.Is(err, io.EOF) && len(w.began) > 0 {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		if err := w.split(); err != nil {
			return err
		}
	}
	return nil
}

// greet waits for the first record, of maxHelloRecord at most.
func (w *tlsWire) greet() error {
	w.longest = maxHelloRecord
	err := w.await()
	w.longest = maxTLSRecord
	return err
}

// receive waits for bytes, without a buffer where that can be, and puts them into lent, behind what had begun.
func (w *tlsWire) receive() error {
	if w.raw == nil {
		w.lend()
		n, err := w.Conn.Read(w.lent[w.received:])
		w.received += n
		if n > 0 {
			return nil
		}
		return err
	}
	w.readErr = nil
	if err := w.raw.Read(w.tryRead); err != nil {
		return err
	}
	return w.readErr
}

// readReady is called by the runtime when the socket may have something.
func (w *tlsWire) readReady(fd uintptr) bool {
	w.lend()
	n, ready, err := readSome(fd, w.lent[w.received:])
	w.received += n
	w.readErr = err
	if !ready {
		w.giveBack()
	}
	return ready
}

// lend takes a buffer, with what had begun in front.
func (w *tlsWire) lend() {
	if w.lent == nil {
		w.lent = w.common.wires.Get().(*[wireBuffer]byte)
		w.received = copy(w.lent[:], w.began)
	}
}

// giveBack returns the buffer, whose content is not needed any more.
func (w *tlsWire) giveBack() {
	if w.lent != nil {
		w.common.wires.Put(w.lent)
		w.lent = nil
	}
}

// split finds the whole records in what was received and keeps the rest. A handshake, which may have to wait for its slot, gets them in a
// buffer of its own size.
func (w *tlsWire) split() error {
	data := w.lent[:w.received]
	end, err := wholeRecords(data, w.longest)
	if err != nil {
		w.giveBack()
		return err
	}
	switch {
	case end == 0:
		w.began = append(w.began[:0], data...)
		w.giveBack()
	case w.settled:
		w.whole = data[:end]
		w.keep(data[end:])
	default:
		w.whole = slices.Clone(data[:end])
		w.keep(data[end:])
		w.giveBack()
	}
	return nil
}

func (w *tlsWire) keep(rest []byte) {
	if len(rest) == 0 {
		w.began = nil
		return
	}
	w.began = append(w.began[:0], rest...)
}

// wholeRecords is the length of the whole records at the beginning of data. RFC 8446, Section 5.1.
func wholeRecords(data []byte, longest int) (end int, err error) {
	for {
		rest := data[end:]
		if len(rest) < tlsRecordHeader {
			return end, nil
		}
		kind, version := rest[0], rest[1]
		if kind < 20 || kind > 23 || version != 3 {
			return 0, errBadRecord
		}
		length := tlsRecordHeader + (int(rest[3])<<8 | int(rest[4]))
		if length > longest {
			return 0, errBadRecord
		}
		if len(rest) < length {
			return end, nil
		}
		end += length
	}
}

// settle ends the handshake's way of reading.
func (w *tlsWire) settle() { w.settled = true }

// Write is for crypto/tls: b goes to the system, or waits in a queue. It does not wait for the peer.
func (w *tlsWire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause != nil {
		return 0, w.cause
	}
	if w.closing {
		return 0, net.ErrClosed
	}
	rest := b
	if !w.pumping && w.raw != nil {
		w.writing, w.written, w.writeErr = b, 0, nil
		err := w.raw.Write(w.tryWrite)
		w.writing = nil
		if err = errors.Join(err, w.writeErr); err != nil {
			w.giveUp(err)
			return 0, err
		}
		rest = b[w.written:]
	}
	if len(rest) == 0 {
		return len(b), nil
	}
	if w.unsent+len(rest) > 2*maxSendQueue {
		w.giveUp(ErrSendQueueFull)
		return 0, ErrSendQueueFull
	}
	w.out = append(w.out, rest...)
	w.unsent += len(rest)
	if !w.pumping {
		w.pumping = true
		go w.pump() // over tells its end
	}
	return len(b), nil
}

func (w *tlsWire) writeReady(fd uintptr) bool {
	w.written, w.writeErr = writeSome(fd, w.writing)
	return true
}

// pump sends what the system did not take at once. Each part has a deadline of its own, so that a peer that reads slowly is not taken for one
// that does not read.
func (w *tlsWire) pump() {
	var batch []byte
	for {
		w.mu.Lock()
		batch, w.out = w.out, nil
		if len(batch) == 0 || w.cause != nil {
			w.pumping = false
			_ = w.Conn.SetWriteDeadline(time.Time{}) // it was for the writes that wait
			if w.closing || w.cause != nil {
				w.finish()
			}
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		for part := range slices.Chunk(batch, tlsPushSize) {
			if err := w.push(part); err != nil {
				w.abandon(err)
				break
			}
		}
	}
}

// push writes a part; at the end of a session its deadline is that of Close.
func (w *tlsWire) push(part []byte) error {
	w.mu.Lock()
	if !w.closing {
		_ = w.Conn.SetWriteDeadline(time.Now().Add(tlsWriteTimeout)) // a closed connection tells at the write
	}
	w.mu.Unlock()
	_, err := w.Conn.Write(part)
	w.mu.Lock()
	w.unsent -= len(part)
	w.mu.Unlock()
	return err
}

// backlog is how much waits for the peer, in bytes; net.ErrClosed if nothing is sent any more.
func (w *tlsWire) backlog() (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing {
		return 0, net.ErrClosed
	}
	return w.unsent, nil
}

// Close closes the connection once what waits was sent, or could not be in tlsDrainTimeout. It does not wait for that.
func (w *tlsWire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing {
		return nil
	}
	w.closing = true
	if w.pumping {
		_ = w.Conn.SetWriteDeadline(time.Now().Add(tlsDrainTimeout)) // a closed connection needs none
		return nil
	}
	w.finish()
	return nil
}

// abandon closes the connection and forgets what waits.
func (w *tlsWire) abandon(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.giveUp(cause)
}

// giveUp is abandon with the lock held.
func (w *tlsWire) giveUp(cause error) {
	if w.cause == nil {
		w.cause = cause
	}
	w.out, w.closing = nil, true
	if w.pumping {
		_ = w.Conn.Close() // the pump ends by it, and finishes
		return
	}
	w.finish()
}

// finish closes the connection. The lock is held, and nothing is being sent.
func (w *tlsWire) finish() {
	select {
	case <-w.over:
	default:
		_ = w.Conn.Close() // there is nobody to tell
		close(w.over)
	}
}

// why is the reason for which the connection was given up, nil if it was not.
func (w *tlsWire) why() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cause
}

// SetDeadline does nothing: crypto/tls would set it to end what others still send.
func (w *tlsWire) SetDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing; the wire has its own.
func (w *tlsWire) SetWriteDeadline(time.Time) error { return nil }
