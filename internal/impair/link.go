package impair

import (
	"net"
	"sync"
	"time"
)

// Link is one end of a line that carries CoAP without DTLS: what it has to be for that is coap.Link, which nothing here need know.
// Safe for concurrent use.
type Link struct {
	out   *Way
	peer  *Link
	local *net.UDPAddr

	arrivals Schedule // of what the peer has sent

	mu     sync.Mutex
	input  func(b []byte)
	ended  func(err error)
	closed bool
}

// NewPair makes the two ends of a line: what a writes passes the conditions ab, what b writes ba. Nothing is delivered to an end
// before Receive is called on it; until then it is lost.
func NewPair(seed uint64, ab, ba Conditions) (a, b *Link) {
	a = &Link{out: NewWay(ab, 2*seed), local: &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}}
	b = &Link{out: NewWay(ba, 2*seed+1), local: &net.UDPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 2}}
	a.peer, b.peer = b, a
	return a, b
}

// Receive has input called for each datagram that arrives, and ended, once, with nil, when the peer's goodbye does: as the methods
// Input and InputClosed of a coap.Session want it. One call at a time, on a goroutine of its own, and never from inside
// WriteRecord. b is input's to keep. ended may be nil.
func (l *Link) Receive(input func(b []byte), ended func(err error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.input, l.ended = input, ended
}

// Out is what becomes of what this end writes.
func (l *Link) Out() *Way { return l.out }

// WriteRecord sends a datagram; on an end that is closed it is lost.
func (l *Link) WriteRecord(b []byte) error {
	if !l.isClosed() {
		l.send(b, l.peer.arrive)
	}
	return nil
}

// Close says goodbye, as close_notify does: by one datagram, which may be lost as any other. From then on nothing leaves or arrives.
func (l *Link) Close() error {
	if l.shut() {
		l.send([]byte("goodbye"), func([]byte) { l.peer.leave() })
	}
	return nil
}

// Kill ends it without a word, as a crash does.
func (l *Link) Kill() { l.shut() }

// LocalAddr is the end's address: 192.0.2.1 for the first of a pair, 192.0.2.2 for the second.
func (l *Link) LocalAddr() net.Addr { return l.local }

// RemoteAddr is the other end's address.
func (l *Link) RemoteAddr() net.Addr { return l.peer.local }

// Reliable is false: these are datagrams.
func (l *Link) Reliable() bool { return false }

func (l *Link) send(b []byte, arrive func([]byte)) {
	for _, d := range l.out.Pass(time.Now(), b) {
		l.peer.arrivals.Add(d.At, func() { arrive(d.Data) }) // what finds no room is lost
	}
}

// shut closes the end, and tells whether it was open.
func (l *Link) shut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := !l.closed
	l.closed = true
	l.arrivals.Close()
	return was
}

func (l *Link) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *Link) arrive(b []byte) {
	l.mu.Lock()
	input := l.input
	if l.closed {
		input = nil
	}
	l.mu.Unlock()
	if input != nil {
		input(b)
	}
}

// leave takes the peer's goodbye.
func (l *Link) leave() {
	l.mu.Lock()
	ended := l.ended
	if l.closed {
		ended = nil
	}
	l.ended = nil
	l.mu.Unlock()
	if ended != nil {
		ended(nil)
	}
}
