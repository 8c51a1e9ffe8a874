package coap

import (
	"net"
	"sync"
)

const (
	// trainLength is how many datagrams wait for each other at most. They may leave in another order than they came in, since those of one
	// length leave together: RFC 6347, Section 4.1.2.6: a peer tolerates that a record is 32 behind the newest.
	trainLength = 32
	// longestCar bounds what waits, in bytes; a longer datagram leaves at once. A train is then less than the 65,507 bytes of which
	// the system makes datagrams at a time.
	longestCar = 1500
	// keptGroups is of how many lengths the memory is used again.
	keptGroups = 4
)

// train collects datagrams to one peer, and lets them leave together where the system makes many of one length out of one long piece
// (UDP_SEGMENT, Linux 4.18): a datagram then costs a fraction of what one on its own does, since way and checks are those of all. Where there is
// nothing to wait for, a datagram leaves at once. Safe for concurrent use.
type train struct {
	socket   net.PacketConn
	to       *net.UDPAddr
	counters *Counters

	mu      sync.Mutex
	waiting int         // how many wait for its departure
	groups  []lengthOne // those of the train; their memory is used again
	cars    int         // datagrams in them
	cut     *cutter     // makes datagrams of one piece; nil: nothing does
}

// lengthOne are datagrams of one length, one behind the other.
type lengthOne struct {
	length int
	bytes  []byte
}

// newTrain makes the train of a socket.
func newTrain(socket net.PacketConn, to *net.UDPAddr, counters *Counters) *train {
	return &train{socket: socket, to: to, counters: counters, cut: newCutter(socket, to)}
}

// gather lets what is sent from now on wait for depart, which the caller must call.
func (t *train) gather() {
	t.mu.Lock()
	t.waiting++
	t.mu.Unlock()
}

// depart sends what has waited, once nobody waits for more.
func (t *train) depart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting--
	if t.waiting == 0 {
		_ = t.leave() // the next datagram shows it, too
	}
}

// send sends a datagram or lets it wait; b is copied then. The error is net.ErrClosed: any other is loss on the way.
func (t *train) send(b []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting == 0 || len(b) > longestCar {
		return t.single(b)
	}
	t.couple(b)
	if t.cars == trainLength {
		return t.leave()
	}
	return nil
}

// end sends what waits, close_notify behind it, before the socket is closed.
func (t *train) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.leave() // it is over
}

// couple adds a datagram to those of its length. The lock is held.
func (t *train) couple(b []byte) {
	t.cars++
	for i := range t.groups {
		if g := &t.groups[i]; g.length == len(b) {
			g.bytes = append(g.bytes, b...)
			return
		}
	}
	if n := len(t.groups); n < cap(t.groups) { // with the memory of an earlier train's
		t.groups = t.groups[:n+1]
		t.groups[n] = lengthOne{len(b), append(t.groups[n].bytes[:0], b...)}
		return
	}
	t.groups = append(t.groups, lengthOne{len(b), append([]byte(nil), b...)})
}

// leave sends what waits. The lock is held.
func (t *train) leave() (err error) {
	for i := range t.groups {
		if e := t.group(&t.groups[i]); e != nil {
			err = e
		}
		if i >= keptGroups {
			t.groups[i] = lengthOne{}
		}
	}
	t.groups, t.cars = t.groups[:0], 0
	return err
}

// group sends the datagrams of one length.
func (t *train) group(g *lengthOne) (err error) {
	if len(g.bytes) > g.length && t.cut != nil {
		if t.cut.send(g.bytes, g.length) {
			return nil
		}
		if !t.cut.able {
			t.cut = nil
		}
	}
	for rest := g.bytes; len(rest) > 0; rest = rest[g.length:] {
		if e := t.single(rest[:g.length]); e != nil {
			err = e
		}
	}
	return err
}

// single sends one datagram.
func (t *train) single(b []byte) error {
	_, err := datagramWriter{t.socket, true, t.counters}.send(b, t.to)
	return err
}
