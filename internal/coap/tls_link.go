package coap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	// maxSendQueue bounds what a session may have waiting for a peer that does not read, in bytes.
	maxSendQueue = 256 << 10
	// keptSendBuffer is the largest send buffer that an idle session keeps, in bytes.
	keptSendBuffer = 4 << 10
	// tlsWriteSize is how much of it is written at a time, in bytes.
	tlsWriteSize = 16 << 10
	// tlsWriteTimeout is how long the peer may take for that much.
	tlsWriteTimeout = 10 * time.Second
	// tlsDrainTimeout is how long what is queued at the end of a session may take to leave.
	tlsDrainTimeout = 2 * time.Second
)

var (
	// ErrSendQueueFull says that the peer does not read what is sent over TCP.
	ErrSendQueueFull = errors.New("peer does not read")
	// ErrNoALPN says that the TLS peer did not agree on the protocol "coap" where that is required.
	ErrNoALPN = errors.New("peer did not negotiate coap")
)

// tlsLink is a session's way out and in over a finished TLS handshake. Writes are queued, so that a slow peer never
// holds up the session; pump sends them.
type tlsLink struct {
	conn *tls.Conn
	peer Identity
	wake chan struct{} // capacity 1

	mu      sync.Mutex
	queue   []byte
	closing bool
	cause   error // why the connection was given up
}

// tlsIncoming is an accepted TCP connection whose handshake has not begun.
type tlsIncoming struct {
	conn        net.Conn
	requireALPN bool
}

// secure does the handshake as a server. It closes the connection when it fails.
func (i tlsIncoming) secure(ctx context.Context, s *credentialSet) (securedConn, error) {
	if s.tlsServer == nil {
		return nil, errors.Join(ErrNoCertificate, i.conn.Close())
	}
	return shakeTLS(ctx, tls.Server(i.conn, s.tlsServer), i.requireALPN)
}

// discard closes the connection.
func (i tlsIncoming) discard() { _ = i.conn.Close() } // nobody to tell

func shakeTLS(ctx context.Context, conn *tls.Conn, requireALPN bool) (securedConn, error) {
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("shaking hands over TLS: %w", err), conn.NetConn().Close())
	}
	state := conn.ConnectionState()
	// RFC 8323, Section 8.2: on a port other than 5684 the protocol is negotiated.
	if requireALPN && state.NegotiatedProtocol != alpnCoAP {
		return nil, errors.Join(ErrNoALPN, conn.Close())
	}
	peer, err := tlsIdentity(state)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &tlsLink{conn: conn, peer: peer, wake: make(chan struct{}, 1)}, nil
}

// dialTLS connects and does the handshake as a client.
func (d *Dialer) dialTLS(ctx context.Context, s *credentialSet) (securedConn, error) {
	c, err := s.tlsClientFor(d.cfg.ServerName)
	if err != nil {
		return nil, err
	}
	raw, err := d.from.stream(ctx, d.cfg.Address)
	if err != nil {
		return nil, err
	}
	return shakeTLS(ctx, tls.Client(raw, c), d.cfg.RequireALPN)
}

// WriteRecord queues b. When the peer has left too much unread it gives the connection up.
func (l *tlsLink) WriteRecord(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return net.ErrClosed
	}
	if len(l.queue)+len(b) > maxSendQueue {
		l.abandon(ErrSendQueueFull)
		return ErrSendQueueFull
	}
	l.queue = append(l.queue, b...)
	l.kick()
	return nil
}

// Close lets pump send what is queued, for a short while, and then close the connection.
func (l *tlsLink) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closing {
		l.closing = true
		_ = l.conn.SetWriteDeadline(time.Now().Add(tlsDrainTimeout)) // a closed connection needs none
		l.kick()
	}
	return nil
}

// abandon ends the connection without sending what is queued. The lock is held.
func (l *tlsLink) abandon(cause error) {
	l.closing, l.queue, l.cause = true, nil, cause
	_ = l.conn.NetConn().Close() // there is nobody to tell
	l.kick()
}

func (l *tlsLink) kick() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// pump sends what is queued until the link is closed, then closes the connection.
func (l *tlsLink) pump() {
	defer func() { _ = l.conn.Close() }() // nobody to tell
	var batch []byte
	for range l.wake {
		for {
			var closing bool
			if batch, closing = l.take(batch); len(batch) == 0 {
				if closing {
					return
				}
				break
			}
			if err := l.write(batch); err != nil {
				l.fail(err)
				return
			}
		}
	}
}

// write sends a batch in parts, each with a deadline of its own, so that a peer that reads slowly is not taken for one that
// does not read.
func (l *tlsLink) write(batch []byte) error {
	for part := range slices.Chunk(batch, tlsWriteSize) {
		l.grant()
		if _, err := l.conn.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// grant sets the deadline of the next write; at the end of the session that is Close's.
func (l *tlsLink) grant() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closing {
		_ = l.conn.SetWriteDeadline(time.Now().Add(tlsWriteTimeout)) // a closed connection tells at the write
	}
}

// take swaps the queue for the empty buffer.
func (l *tlsLink) take(empty []byte) (batch []byte, closing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cap(empty) > keptSendBuffer {
		empty = nil
	}
	batch, l.queue = l.queue, empty[:0]
	return batch, l.closing
}

func (l *tlsLink) fail(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.abandon(cause)
}

// LocalAddr is our address.
func (l *tlsLink) LocalAddr() net.Addr { return l.conn.LocalAddr() }

// RemoteAddr is the peer's address.
func (l *tlsLink) RemoteAddr() net.Addr { return l.conn.RemoteAddr() }

// Reliable is true.
func (l *tlsLink) Reliable() bool { return true }

func (l *tlsLink) identity() Identity { return l.peer }

// read waits for the next bytes of the peer; io.EOF is its end, orderly or not.
func (l *tlsLink) read(b []byte) (int, error) {
	n, err := l.conn.Read(b)
	if err != nil {
		err = l.reason(err)
	}
	return n, err
}

// reason is why reading has ended: if we have given the connection up, why that was. A peer that closes while we are
// still sending resets the connection; that is its end all the same.
func (l *tlsLink) reason(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		err = l.cause
	}
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return io.EOF
	}
	return err
}
