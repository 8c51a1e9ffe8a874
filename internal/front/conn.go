package front

import (
	"container/list"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/udp"
)

var (
	// ErrReplaced says that a handshake had to give way to a newer one.
	ErrReplaced = errors.New("replaced by a newer handshake")

	errNoState = errors.New("reading the DTLS state")
)

// Conn is one peer: first its handshake, then its session. It is safe for concurrent use after Handshake.
//
// While the library has the session, association is set; when its records are protected here, own is. Both lead to send.
type Conn struct {
	front       *Front
	origin      udp.Path // where its ClientHello came from, and its place in the table
	random      [randomSize]byte
	route       atomic.Pointer[route]
	id          atomic.Pointer[connectionID] // what it was given
	association atomic.Pointer[association]
	own         atomic.Pointer[own]

	waiting  atomic.Bool   // it counts as pending
	turn     *list.Element // the pending's, under its lock
	unproven atomic.Bool   // the gate let it in without proof
	replaced atomic.Bool
	gone     atomic.Bool

	out  sync.Mutex // around what is written
	in   sync.Mutex // around input
	suit bool       // its records can be protected here

	input func([]byte)
	ended func(error)
	early error // why a resumed session ended before it was served; under in
	owner atomic.Value
}

// Handshake shakes hands as a server, until ctx ends. The front adds the connection ID generator to opts. The state is for
// its certificates and identity; it is not to be resumed from. On an error the connection is closed. Called once, and before
// Serve.
func (c *Conn) Handshake(ctx context.Context, opts []dtls.ServerOption) (*dtls.State, error) {
	defer c.front.pending.done(c)
	a := c.association.Load()
	opts = append(slices.Clip(opts), dtls.WithConnectionIDGenerator(c.newID))
	library, err := dtls.ServerWithOptions(a, a.last, opts...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("preparing a DTLS handshake: %w", err), c.drop())
	}
	a.library.Store(library)
	if err := library.HandshakeContext(ctx); err != nil {
		if c.replaced.Load() {
			err = errors.Join(ErrReplaced, err)
		}
		return nil, errors.Join(fmt.Errorf("shaking hands over DTLS: %w", err), library.Close(), c.drop())
	}
	state, ok := library.ConnectionState()
	if !ok {
		return nil, errors.Join(errNoState, library.Close(), c.drop())
	}
	c.suit = c.front.cfg.RecordPath == Own && c.front.records.suits(&state)
	c.settle(a)
	return &state, nil
}

// settle makes this the session at its address. The one that it succeeds ends without a word, since the peer has forgotten it.
func (c *Conn) settle(a *association) {
	before := c.front.table.settle(c, c.id.Load() != nil)
	a.settle()
	if c.gone.Load() {
		c.front.table.forget(c) // it was closed meanwhile
	}
	if before != nil {
		before.end()
	}
}

// newID makes the connection ID, the same at every call. The library calls it when the peer wants one.
func (c *Conn) newID() []byte {
	if id := c.id.Load(); id != nil {
		return id[:]
	}
	var id connectionID
	_, _ = rand.Read(id[:]) // it cannot fail: it ends the program when the system has no randomness
	c.front.table.name(c, id)
	if c.gone.Load() {
		c.front.table.forget(c)
	}
	return id[:]
}

// Serve begins the session. input is called for each record of application data, one call at a time, and does not keep b;
// it must not wait for the peer. ended is called once, after the last input, on a goroutine of its own: with io.EOF when the
// peer has ended the session or Close was called, with the reason otherwise. Serve returns at once. Called once, after
// Handshake or Resume; a Conn that is never served is to be closed.
func (c *Conn) Serve(input func(b []byte), ended func(error)) {
	if c.own.Load() != nil {
		c.serveResumed(input, ended)
		return
	}
	c.input, c.ended = input, ended
	go c.read()
}

// read hands on what the library has decrypted, until the session ends or is taken over.
func (c *Conn) read() {
	a := c.association.Load()
	library := a.library.Load()
	buf := make([]byte, udp.MaxDatagram)
	for {
		n, err := library.Read(buf)
		switch {
		case err == nil:
			if c.suit && c.takeOver(a, buf[:n]) {
				return
			}
			c.take(buf[:n])
		case hasEnded(err):
			_ = c.Close() // it has ended
			c.ended(io.EOF)
			return
		default:
			// Only the end of the association is an error: anything else that the library reports is one bad record, and the
			// next may be good.
			c.front.counters.Malformed.Add(1)
		}
	}
}

// hasEnded tells the end of the library's connection from one bad record.
func hasEnded(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, dtls.ErrConnClosed)
}

// take hands one record's data to the session.
func (c *Conn) take(b []byte) {
	c.in.Lock()
	defer c.in.Unlock()
	c.input(b)
}

// deliver takes a datagram that was routed to this connection. It may change b, and does not keep it.
func (c *Conn) deliver(via Sender, b []byte, from udp.Path) {
	c.heardOn(via, from, len(b))
	if a := c.association.Load(); a != nil && a.deliver(via, b, from) {
		return
	}
	if o := c.own.Load(); o != nil {
		o.deliver(via, b, from)
	}
}

// Write sends b as one record. It may be called from under input. An error means that the session is over; what the system
// does not send is taken as lost.
func (c *Conn) Write(b []byte) error {
	if o := c.own.Load(); o != nil {
		return o.write(b) // it has a lock of its own
	}
	c.out.Lock()
	defer c.out.Unlock()
	if o := c.own.Load(); o != nil {
		return o.write(b)
	}
	library := c.library()
	if library == nil || c.gone.Load() {
		return net.ErrClosed
	}
	if _, err := library.Write(b); err != nil {
		return fmt.Errorf("writing a DTLS record: %w", err)
	}
	return nil
}

// Close sends close_notify and forgets the peer. It may be called from under input, and more than once. Before Handshake it
// forgets the peer without an answer.
func (c *Conn) Close() error {
	c.out.Lock()
	defer c.out.Unlock()
	if o := c.own.Load(); o != nil {
		o.close()
	} else if library := c.library(); library != nil {
		_ = library.Close() // it is over either way
	}
	return c.drop()
}

// library is nil before the handshake, and once the session is taken over.
func (c *Conn) library() *dtls.Conn {
	if a := c.association.Load(); a != nil {
		return a.library.Load()
	}
	return nil
}

// drop forgets the peer without a word.
func (c *Conn) drop() error {
	c.gone.Store(true)
	c.front.table.forget(c)
	c.front.pending.done(c)
	c.front.gate.leave(c)
	if a := c.association.Load(); a != nil {
		return a.Close()
	}
	return nil
}

// end is drop for a session that goes on under another connection, or a handshake that gives way.
func (c *Conn) end() {
	if a := c.association.Load(); a != nil {
		a.mute()
	}
	_ = c.drop() // it cannot fail
	if o := c.own.Load(); o != nil {
		o.end(io.EOF)
	}
}

// SetOwner notes who uses the connection, for Config.Moved. owner is not nil. Called once, before Serve.
func (c *Conn) SetOwner(owner any) { c.owner.Store(owner) }

// Owner returns what SetOwner was given, nil before.
func (c *Conn) Owner() any { return c.owner.Load() }

// Confirm says that the peer has answered what was sent to its address to: the limit that Config.Moved speaks of ends, if
// the peer is still there.
func (c *Conn) Confirm(to netip.AddrPort) {
	for {
		r := c.route.Load()
		if r.trial == nil || r.to.Peer != to {
			return
		}
		if c.route.CompareAndSwap(r, &route{via: r.via, to: r.to}) {
			return
		}
	}
}

// LocalAddr is our address: the one that the peer uses, where that is known.
func (c *Conn) LocalAddr() net.Addr {
	addr := c.front.Addr()
	local := c.route.Load().to.Local
	if u, ok := addr.(*net.UDPAddr); ok && local.IsValid() {
		return net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, uint16(u.Port)))
	}
	return addr
}

// RemoteAddr is the peer's address of the moment, a *net.UDPAddr: with a connection ID it may change.
func (c *Conn) RemoteAddr() net.Addr { return udpAddr(c.route.Load().to) }
