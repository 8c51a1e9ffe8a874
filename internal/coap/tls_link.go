package coap

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	// maxSendQueue bounds what a session may have waiting for a peer that does not read, in bytes.
	maxSendQueue = 256 << 10
	// keptSendBuffer is the largest send buffer that is kept for another batch, in bytes.
	keptSendBuffer = 16 << 10
	// tlsWriteSize is how much is queued, in bytes, before it is sent although more may follow: the content of one record.
	tlsWriteSize = 16 << 10
	// tlsPushSize is how much is written at a time, in bytes, to a peer that does not read as fast as we send.
	tlsPushSize = 4 << 10
	// tlsWriteTimeout is how long the peer may take for that much.
	tlsWriteTimeout = 10 * time.Second
	// tlsDrainTimeout is how long what is queued at the end of a session may take to leave.
	tlsDrainTimeout = 2 * time.Second
)

// ErrSendQueueFull says that the peer does not read what is sent over TCP.
var ErrSendQueueFull = errors.New("peer does not read")

// tlsLink is a session's way out and in over a finished TLS handshake. What is sent while records come in leaves together when they have been
// acted on; anything else leaves by a goroutine that lasts as long as there is something. Neither waits for the peer: see tlsWire.
type tlsLink struct {
	conn *tls.Conn
	wire *tlsWire
	peer Identity

	senders sync.WaitGroup

	mu      sync.Mutex
	queue   *sendBuffer // nil: nothing is queued
	reading bool        // records are being acted on
	sending bool        // somebody takes from the queue
	closing bool
}

// WriteRecord queues b. When the peer has left too much unread it gives the connection up.
func (l *tlsLink) WriteRecord(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting, err := l.wire.backlog()
	if l.closing || err != nil {
		return net.ErrClosed
	}
	if l.queue == nil {
		l.queue = l.wire.common.sends.Get().(*sendBuffer)
	}
	if len(l.queue.b)+len(b)+waiting > maxSendQueue {
		l.abandon(ErrSendQueueFull)
		return ErrSendQueueFull
	}
	l.queue.b = append(l.queue.b, b...)
	if !l.sending && (!l.reading || len(l.queue.b) >= tlsWriteSize) {
		l.sending = true
		l.senders.Go(l.send)
	}
	return nil
}

// Close lets what is queued leave, for a short while, and then closes the connection; drain waits for that.
func (l *tlsLink) Close() error {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return nil
	}
	l.closing = true
	mine := !l.sending
	l.sending = true
	l.mu.Unlock()
	if mine {
		l.send()
	}
	return nil
}

// drain waits until the connection is closed and all that the link has started has ended. It is called after Close.
func (l *tlsLink) drain() {
	<-l.wire.over
	l.senders.Wait()
}

// abandon ends the connection without sending what is queued. The lock is held.
func (l *tlsLink) abandon(cause error) {
	l.closing, l.queue = true, nil
	l.wire.abandon(cause)
}

// send seals what is queued until there is no more, and at the end of the session says good-bye. One goroutine at a time.
func (l *tlsLink) send() {
	for {
		batch, closing := l.take()
		if batch == nil {
			if closing {
				_ = l.conn.Close() // nobody to tell
			}
			return
		}
		_, err := l.conn.Write(batch.b)
		if cap(batch.b) <= keptSendBuffer {
			batch.b = batch.b[:0]
			l.wire.common.sends.Put(batch)
		}
		if err != nil {
			l.mu.Lock()
			l.abandon(err)
			l.mu.Unlock()
			return
		}
	}
}

// take takes what is queued. When that is nothing, the sender's turn is over; at the end of the session nobody else gets one.
func (l *tlsLink) take() (batch *sendBuffer, closing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	batch, l.queue = l.queue, nil
	if batch == nil {
		l.sending = l.closing
	}
	return batch, l.closing
}

// LocalAddr is our address.
func (l *tlsLink) LocalAddr() net.Addr { return l.conn.LocalAddr() }

// RemoteAddr is the peer's address.
func (l *tlsLink) RemoteAddr() net.Addr { return l.conn.RemoteAddr() }

// Reliable is true.
func (l *tlsLink) Reliable() bool { return true }

func (l *tlsLink) identity() Identity { return l.peer }

// push calls input with what comes in, on a goroutine of its own, until the connection ends.
func (l *tlsLink) push(input func([]byte), ended func(error)) {
	go func() { ended(l.feed(input)) }() // ended tells its end
}

// feed calls input with what comes in, until the connection ends; the error says how. Nothing is kept while it waits, but for a record that was
// begun.
func (l *tlsLink) feed(input func([]byte)) error {
	for {
		if err := l.open(input); err != nil {
			return l.reason(err)
		}
		if err := l.wire.await(); err != nil {
			return l.reason(err)
		}
	}
}

// open gives the records that are there to crypto/tls and their content to input, and then lets the answers leave.
func (l *tlsLink) open(input func([]byte)) error {
	plain := l.wire.common.plain.Get().(*[plainBuffer]byte)
	defer l.wire.common.plain.Put(plain)
	l.hold()
	defer l.flush()
	for {
		n, err := l.conn.Read(plain[:])
		if n > 0 {
			input(plain[:n])
		}
		switch {
		case errors.Is(err, errRecordStop):
			return nil
		case err != nil:
			return err
		}
	}
}

func (l *tlsLink) hold() {
	l.mu.Lock()
	l.reading = true
	l.mu.Unlock()
}

func (l *tlsLink) flush() {
	l.mu.Lock()
	l.reading = false
	mine := !l.sending && l.queue != nil
	l.sending = l.sending || mine
	l.mu.Unlock()
	if mine {
		l.send()
	}
}

// reason is why reading has ended: if we have given the connection up, why that was. A peer that closes while we are still sending resets the
// connection; that is its end all the same.
func (l *tlsLink) reason(err error) error {
	if cause := l.wire.why(); cause != nil {
		err = cause
	}
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return io.EOF
	}
	return err
}
