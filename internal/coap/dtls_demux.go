package coap

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of the demultiplexer. Whatever exceeds one is dropped, as the network may drop it too.
const (
	maxDatagram        = 8192    // bytes; the library reads no more
	maxQueuedDatagrams = 64      // per association
	maxQueuedBytes     = 1 << 16 // per association
	maxUnaccepted      = 128     // associations that the accept loop has not taken yet
)

// dtlsDemux shares one UDP socket among associations: by connection ID first, then by address. This file is the whole
// seam to whatever reads the socket; above it there is one net.PacketConn for each association.
type dtlsDemux struct {
	socket   net.PacketConn
	incoming chan *dtlsAssociation
	stopped  chan struct{}
	stop     sync.Once
	counters *Counters

	mu     sync.Mutex
	byAddr map[netip.AddrPort]*dtlsAssociation
	byCID  map[string]*dtlsAssociation
}

func newDTLSDemux(socket net.PacketConn, counters *Counters) *dtlsDemux {
	return &dtlsDemux{
		socket: socket, counters: counters,
		incoming: make(chan *dtlsAssociation, maxUnaccepted),
		stopped:  make(chan struct{}),
		byAddr:   make(map[netip.AddrPort]*dtlsAssociation),
		byCID:    make(map[string]*dtlsAssociation),
	}
}

// run reads the socket until it is closed. An error of the system is waited out.
func (d *dtlsDemux) run() {
	buf := make([]byte, maxDatagram)
	var pause backoff
	for {
		n, from, err := d.socket.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(pause.next())
			continue
		}
		pause.reset()
		d.route(buf[:n], from)
	}
}

func (d *dtlsDemux) route(b []byte, from net.Addr) {
	addr, ok := addrPort(from)
	if !ok {
		return
	}
	current, successor := d.find(b, addr, from)
	for _, a := range []*dtlsAssociation{current, successor} {
		if a != nil {
			a.deliver(b, from)
		}
	}
}

// find is the association that a datagram belongs to. A ClientHello from an unknown address opens one.
//
// RFC 6347, Section 4.2.8: so does a ClientHello from the address of an association whose handshake is over, for a
// client that has lost its state; the old association lives on until the new handshake has proven the peer. Until
// then both get what comes: neither understands what is protected for the other.
func (d *dtlsDemux) find(b []byte, addr netip.AddrPort, from net.Addr) (current, successor *dtlsAssociation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	// RFC 9146, Section 3: a connection ID says whose record this is, whatever the address.
	if cid := recordCID(b); cid != nil {
		if a := d.byCID[string(cid)]; a != nil {
			return a, nil
		}
	}
	current = d.byAddr[addr]
	switch {
	case current == nil:
		if current = d.open(b, addr, from); current != nil {
			d.byAddr[addr] = current
		}
	case current.settled.Load() && current.successor == nil:
		current.successor = d.open(b, addr, from)
	}
	if current == nil {
		return nil, nil
	}
	return current, current.successor
}

// open makes an association for a ClientHello; nil for anything else, after the stop, and when too many wait to be
// accepted. The lock is held.
func (d *dtlsDemux) open(b []byte, addr netip.AddrPort, from net.Addr) *dtlsAssociation {
	select {
	case <-d.stopped:
		return nil
	default:
	}
	if !opensAssociation(b) {
		return nil
	}
	a := &dtlsAssociation{
		demux: d, addr: addr, remote: from, closed: make(chan struct{}),
		in: make(chan dtlsDatagram, maxQueuedDatagrams), readDeadline: newDeadline(), over: make(chan struct{}),
	}
	select {
	case d.incoming <- a:
		return a
	default:
		return nil
	}
}

// stopAccepting keeps the associations there are and opens no more.
func (d *dtlsDemux) stopAccepting() { d.stop.Do(func() { close(d.stopped) }) }

// dtlsDatagram is one datagram with its source.
type dtlsDatagram struct {
	data []byte
	from net.Addr
}

// dtlsAssociation is one peer's part of the socket, as a net.PacketConn for the library.
type dtlsAssociation struct {
	demux        *dtlsDemux
	addr         netip.AddrPort
	remote       net.Addr
	in           chan dtlsDatagram
	queued       atomic.Int64 // bytes in in
	readDeadline *deadline
	finishing    atomic.Bool   // our Finished is on its way: what comes waits for over
	settled      atomic.Bool   // the handshake is over
	over         chan struct{} // closed when settled
	closed       chan struct{}
	once         sync.Once
	cid          []byte           // under demux.mu
	successor    *dtlsAssociation // under demux.mu: the peer's attempt to begin anew
}

func (a *dtlsAssociation) deliver(b []byte, from net.Addr) {
	b = filterRecords(bytes.Clone(b), a.settled.Load())
	if len(b) == 0 || a.queued.Load()+int64(len(b)) > maxQueuedBytes {
		return
	}
	select {
	case a.in <- dtlsDatagram{data: b, from: from}:
		a.queued.Add(int64(len(b)))
	default:
	}
}

// newCID makes the association's connection ID, the same at every call, and makes the demultiplexer know it.
func (a *dtlsAssociation) newCID() []byte {
	a.demux.mu.Lock()
	defer a.demux.mu.Unlock()
	if a.cid == nil {
		a.cid = make([]byte, cidLength)
		_, _ = rand.Read(a.cid) // it cannot fail: it ends the program when the system has no randomness
		select {
		case <-a.closed:
		default:
			a.demux.byCID[string(a.cid)] = a
		}
	}
	return a.cid
}

// settle marks the end of the handshake. The association takes the place of the one it succeeds, which ends without a
// word, since the peer has forgotten it. A peer with a connection ID needs its address no more: the address is free
// for whoever gets it next. It is called once.
func (a *dtlsAssociation) settle() {
	a.settled.Store(true)
	close(a.over)
	if old := a.takePlace(); old != nil {
		_ = old.Close() // it cannot fail
	}
}

func (a *dtlsAssociation) takePlace() (old *dtlsAssociation) {
	a.demux.mu.Lock()
	defer a.demux.mu.Unlock()
	if old = a.demux.byAddr[a.addr]; old != nil && old.successor == a {
		old.successor = nil
		a.demux.byAddr[a.addr] = a
	} else {
		old = nil
	}
	if a.cid != nil {
		a.forgetAddress()
	}
	return old
}

// forgetAddress leaves the address to the successor, if there is one. The lock is held.
func (a *dtlsAssociation) forgetAddress() {
	current := a.demux.byAddr[a.addr]
	switch {
	case current == nil:
	case current.successor == a:
		current.successor = nil
	case current == a && a.successor != nil:
		a.demux.byAddr[a.addr], a.successor = a.successor, nil
	case current == a:
		delete(a.demux.byAddr, a.addr)
	}
}

// ReadFrom waits for the next datagram, and for the end of the handshake where it comes after our Finished.
func (a *dtlsAssociation) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		select {
		case g := <-a.in:
			a.queued.Add(-int64(len(g.data)))
			data, err := a.held(g.data)
			if err != nil {
				return 0, nil, err
			}
			if len(data) > 0 {
				return copy(b, data), g.from, nil
			}
		case <-a.closed:
			return 0, nil, net.ErrClosed
		case <-a.readDeadline.done():
			return 0, nil, errDeadlinePassed
		}
	}
}

// held keeps a datagram, and so all behind it in the queue, that comes when our Finished is on its way and the library has
// not seen yet that the handshake is over: of what a quick peer sends at once it would keep one record and drop the rest,
// and each lost request costs its repetition's time.
//
// RFC 5246, Section 7.3: the server's Finished is the last message of a full handshake, the only kind there is here, since
// no session is ever resumed. So the end of the handshake waits for nothing that is held.
func (a *dtlsAssociation) held(data []byte) ([]byte, error) {
	if !a.finishing.Load() {
		return data, nil
	}
	if !a.settled.Load() {
		select {
		case <-a.over:
		case <-a.closed:
			return nil, net.ErrClosed
		case <-a.readDeadline.done():
			return nil, errDeadlinePassed
		}
	}
	return filterRecords(data, true), nil // it may have come in before
}

// WriteTo sends one datagram.
func (a *dtlsAssociation) WriteTo(b []byte, to net.Addr) (int, error) {
	select {
	case <-a.closed:
		return 0, net.ErrClosed
	default:
	}
	settled := a.settled.Load()
	if !settled && holdsProtected(b) {
		a.finishing.Store(true) // before it is sent: the answer may be quick
	}
	return datagramWriter{a.demux.socket, settled, a.demux.counters}.send(b, to)
}

// Close gives the association's place in the tables up; the socket lives on.
func (a *dtlsAssociation) Close() error {
	a.once.Do(func() {
		a.demux.mu.Lock()
		defer a.demux.mu.Unlock()
		close(a.closed)
		a.forgetAddress()
		if a.cid != nil {
			delete(a.demux.byCID, string(a.cid))
		}
	})
	return nil
}

// LocalAddr is the socket's address.
func (a *dtlsAssociation) LocalAddr() net.Addr { return a.demux.socket.LocalAddr() }

// SetDeadline sets the deadline of reads; writes do not wait.
func (a *dtlsAssociation) SetDeadline(t time.Time) error { return a.SetReadDeadline(t) }

// SetReadDeadline ends a waiting ReadFrom at t; the zero time means never.
func (a *dtlsAssociation) SetReadDeadline(t time.Time) error {
	a.readDeadline.set(t)
	return nil
}

// SetWriteDeadline does nothing: writes do not wait.
func (a *dtlsAssociation) SetWriteDeadline(time.Time) error { return nil }

// addrPort is a UDP address as a map key, the same for an IPv4 address and its IPv4-mapped form.
func addrPort(a net.Addr) (netip.AddrPort, bool) {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	p := u.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), true
}
