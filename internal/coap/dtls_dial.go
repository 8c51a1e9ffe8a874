package coap

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/record"
	sockets "github.com/dotsgate/dotsgate/internal/udp"
)

// errServerLeft says that the server has ended the session right after the handshake.
var errServerLeft = errors.New("the server has ended the session")

// clientRecords is what the sessions of a dialer have in common whose records are sealed and opened here. The zero value is
// ready.
type clientRecords struct {
	exporter record.Exporter
	buffers  record.Buffers
	rooms    sockets.Rooms // to read datagrams into
	drops    record.Drops
}

// maxWaiting bounds the datagrams that come before the client's handshake is over and wait for that.
const maxWaiting = 64

// dtlsSocket is a dialer's socket. It is not connected, so that the system may choose another source address when
// the old one goes away; datagrams of strangers are dropped here. It is the library's until the session is taken over.
type dtlsSocket struct {
	net.PacketConn
	server   *net.UDPAddr
	counters *Counters
	records  *clientRecords // nil: sessions stay with the library
	pathMTU  int
	settled  atomic.Bool // the handshake is over
	held     atomic.Bool // nothing more is the library's
	emptied  atomic.Bool // and it has been told so
	waiting  [][]byte    // datagrams for when the handshake is over; whoever reads has them

	out   sync.Mutex // around what the library sends, so that mute is for good
	muted bool
}

// ReadFrom waits, for the library, for the server's next datagram.
func (s *dtlsSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		switch {
		case s.held.Load():
			s.emptied.Store(true)
			return 0, nil, net.ErrClosed
		case s.settled.Load() && len(s.waiting) > 0:
			first := s.waiting[0]
			s.waiting = s.waiting[1:]
			return copy(b, first), s.server, nil
		}
		n, err := s.receive(b)
		if err != nil && !s.held.Load() {
			return 0, nil, err
		}
		if rest := s.setAside(b[:n]); len(rest) > 0 {
			return len(rest), s.server, nil
		}
	}
}

// setAside returns what of a datagram is for the library now, and lets the rest wait in its turn.
//
// A server may send data right behind its Finished. Before the library sees that the handshake is over it would keep one
// record of it and drop the others, and each lost message costs its repetition's time.
func (s *dtlsSocket) setAside(b []byte) []byte {
	settled := s.settled.Load()
	b = record.ForLibrary(b, settled, 0)
	switch {
	case !settled:
		var data []byte
		b, data = splitData(b)
		s.wait(data)
		return b
	case s.held.Load() || len(s.waiting) > 0:
		s.wait(b)
		return nil
	}
	return b
}

// wait keeps a copy of what is to be read later; when too much is kept it is lost, as it may be on its way.
func (s *dtlsSocket) wait(b []byte) {
	if len(b) > 0 && len(s.waiting) < maxWaiting {
		s.waiting = append(s.waiting, bytes.Clone(b))
	}
}

// splitData takes the protected application data out of a datagram, in place.
func splitData(b []byte) (rest, data []byte) {
	kept := 0
	for r, more := record.Next(b, 0); r != nil; r, more = record.Next(more, 0) {
		if record.ContentType(r[0]) == record.ApplicationData && record.Epoch(r) > 0 {
			data = append(data, r...)
		} else {
			kept += copy(b[kept:], r)
		}
	}
	return b[:kept], data
}

// receive waits for the server's next datagram. Errors of the system that may pass are waited out.
func (s *dtlsSocket) receive(b []byte) (int, error) {
	want, _ := addrPort(s.server)
	var pause backoff
	for {
		n, from, err := s.read(b)
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, err
		}
		if err != nil {
			time.Sleep(pause.next())
			continue
		}
		if samePlace(from, want) {
			return n, nil
		}
	}
}

// samePlace reports whether two addresses are the same, their zones aside: those are the names of interfaces to one reader and numbers to another.
// It is no more than a sieve, since every record is authenticated.
func samePlace(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && a.Addr().WithZone("") == b.Addr().WithZone("")
}

// read is one read of the socket. The system's sockets need no memory for an address.
func (s *dtlsSocket) read(b []byte) (int, netip.AddrPort, error) {
	if u, ok := s.PacketConn.(*net.UDPConn); ok {
		n, from, err := u.ReadFromUDPAddrPort(b)
		return n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), err
	}
	n, addr, err := s.PacketConn.ReadFrom(b)
	if err != nil {
		return n, netip.AddrPort{}, err
	}
	from, _ := addrPort(addr)
	return n, from, nil
}

// WriteTo sends one datagram of the library's.
func (s *dtlsSocket) WriteTo(b []byte, to net.Addr) (int, error) {
	s.out.Lock()
	defer s.out.Unlock()
	if s.muted {
		return len(b), nil
	}
	return datagramWriter{s.PacketConn, s.settled.Load(), s.counters}.send(b, to)
}

// Close closes the socket, unless it is the library's no more.
func (s *dtlsSocket) Close() error {
	s.out.Lock()
	defer s.out.Unlock()
	if s.muted {
		return nil
	}
	return s.PacketConn.Close()
}

// suits reports whether a session of this state can be taken over.
func (s *dtlsSocket) suits(state *dtls.State) bool {
	return s.records != nil && s.records.exporter.Check(state) == nil
}

// recordLink is a session's way out and in over a record layer of ours, which has a socket of its own. It is its
// record.Owner.
type recordLink struct {
	socket  *dtlsSocket
	train   *train
	session *record.Session
	peer    Identity
	early   [][]byte // data that the library has opened
	input   func(b []byte)

	mu     sync.Mutex
	reason error // why it is over
}

// takeOver makes a finished handshake's session ours. A client may do so at once: it has seen the server's Finished, which
// the server has sent because it had ours, so that no flight need be repeated (RFC 6347, Section 4.2.4).
//
// The order matters: a record that the library sends after the export would have a number, and so a nonce, that is used again
// here. So the library is first told that nothing more comes, and what it has opened is kept; then it is muted for good;
// only then is its state exported; then it is closed, which it announces to nobody any more. Whatever fails, the connection
// is closed.
func (s *dtlsSocket) takeOver(conn *dtls.Conn, peer Identity) (securedConn, error) {
	s.hold()
	l := &recordLink{socket: s, train: newTrain(s.PacketConn, s.server, s.counters), peer: peer, early: opened(conn)}
	if !s.emptied.Load() { // the library has come to an end of its own
		return nil, errors.Join(errServerLeft, conn.Close())
	}
	s.mute()
	layer, err := s.records.layer(conn)
	_ = conn.Close() // it is muted
	if err == nil {
		err = s.PacketConn.SetReadDeadline(time.Time{})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("taking the session over from the library: %w", err), s.PacketConn.Close())
	}
	l.session = record.NewSession(record.SessionConfig{Layer: layer, Owner: l, Buffers: &s.records.buffers, Drops: &s.records.drops})
	return l, nil
}

// opened is the data that the library has opened when it comes to its end.
func opened(conn *dtls.Conn) (data [][]byte) {
	buf := make([]byte, maxDatagram)
	for {
		n, err := conn.Read(buf)
		switch {
		case err == nil:
			data = append(data, bytes.Clone(buf[:n]))
		case isDTLSEnd(err):
			return data
		}
	}
}

// layer exports the state of a connection that is muted.
func (r *clientRecords) layer(conn *dtls.Conn) (*record.Layer, error) {
	state, ok := conn.ConnectionState()
	if !ok {
		return nil, errNoDTLSState
	}
	state.PeerCertificates = nil // they are not needed here
	exported, err := r.exporter.Export(&state)
	if err != nil {
		return nil, err
	}
	return record.New(exported)
}

// hold ends the library's reading with net.ErrClosed, and leaves what comes to us.
func (s *dtlsSocket) hold() {
	s.held.Store(true)
	_ = s.PacketConn.SetReadDeadline(time.Now()) // wakes the reader; if it fails, the next datagram does
}

// mute drops whatever the library writes from now on: when it returns, the last datagram of the library has left.
func (s *dtlsSocket) mute() {
	s.out.Lock()
	defer s.out.Unlock()
	s.muted = true
}

func (l *recordLink) push(input func(b []byte), ended func(error)) { l.serve(input, ended) }

// serve begins to read the socket.
func (l *recordLink) serve(input func(b []byte), ended func(error)) {
	l.input = input
	go func() {
		for _, b := range l.early {
			if l.isOpen() {
				input(b)
			}
		}
		for _, b := range l.socket.waiting {
			l.session.Receive(b, nil)
		}
		l.early, l.socket.waiting = nil, nil
		l.read()
		l.mu.Lock()
		reason := l.reason
		l.mu.Unlock()
		ended(reason)
	}()
}

// read opens what comes until the socket is closed.
func (l *recordLink) read() {
	conn, ok := l.socket.PacketConn.(*net.UDPConn)
	if !ok {
		l.readSingly()
		return
	}
	want, _ := addrPort(l.socket.server)
	reader := sockets.NewReader(conn, &l.socket.records.rooms)
	take := func(b []byte, from netip.AddrPort) {
		if samePlace(from, want) {
			l.session.Receive(b, nil)
		}
	}
	var pause backoff
	for {
		err := reader.Read(take)
		switch {
		case err == nil:
			pause = backoff{}
		case errors.Is(err, net.ErrClosed):
			return
		default:
			time.Sleep(pause.next())
		}
	}
}

// readSingly is read for a socket that is not the system's.
func (l *recordLink) readSingly() {
	buf := make([]byte, maxDatagram)
	for {
		n, err := l.socket.receive(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			l.session.Receive(buf[:n], nil)
		}
	}
}

// WriteRecord sends b as one datagram.
func (l *recordLink) WriteRecord(b []byte) error { return l.session.Write(b) }

// Close sends close_notify and closes the socket.
func (l *recordLink) Close() error {
	l.session.Close()
	return nil
}

// LocalAddr is our address.
func (l *recordLink) LocalAddr() net.Addr { return l.socket.LocalAddr() }

// RemoteAddr is the server's address.
func (l *recordLink) RemoteAddr() net.Addr { return l.socket.server }

// Reliable is false.
func (l *recordLink) Reliable() bool { return false }

func (l *recordLink) identity() Identity { return l.peer }

// Input is record.Owner's.
func (l *recordLink) Input(b []byte) { l.input(b) }

// Send is record.Owner's.
func (l *recordLink) Send(b []byte) error { return l.train.send(b) }

// gather and depart let what is sent between them leave together.
func (l *recordLink) gather() { l.train.gather() }
func (l *recordLink) depart() { l.train.depart() }

// Ended is record.Owner's.
func (l *recordLink) Ended(err error) {
	l.mu.Lock()
	l.reason = err
	l.mu.Unlock()
	l.train.end()
	_ = l.socket.PacketConn.Close() // the reader then ends
}

func (l *recordLink) isOpen() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reason == nil
}

var errNoDTLSState = errors.New("reading the DTLS state")

// isDTLSEnd tells the end of the library's connection from one bad record.
func isDTLSEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, dtls.ErrConnClosed)
}
