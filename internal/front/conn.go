package front

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"github.com/pion/dtls/v3"
)

// Conn is one peer: first its handshake, then its session. It is safe for concurrent use after Handshake.
type Conn struct {
	front *Front
}

// Handshake shakes hands as a server, until ctx ends. The front adds the connection ID generator to opts. The state is for
// its certificates and identity; it is not to be resumed from. On an error the connection is closed. Called once, and before Serve.
func (c *Conn) Handshake(ctx context.Context, opts []dtls.ServerOption) (*dtls.State, error) {
	return nil, errors.New("not yet")
}

// Serve begins the session. input is called for each record of application data, one call at a time, and does not keep b;
// it must not wait for the peer. ended is called once, after the last input, on a goroutine of its own: with io.EOF when the
// peer has ended the session or Close was called, with the reason otherwise. Serve returns at once. Called once, after
// Handshake; a Conn that is never served is to be closed.
func (c *Conn) Serve(input func(b []byte), ended func(error)) {}

// Write sends b as one record. It may be called from under input. An error means that the session is over; what the system
// does not send is taken as lost.
func (c *Conn) Write(b []byte) error { return net.ErrClosed }

// Close sends close_notify and forgets the peer. It may be called from under input, and more than once.
func (c *Conn) Close() error { return nil }

// Confirm says that the peer has answered what was sent to its address to: the limit that Config.Moved speaks of ends, if the peer is still there.
func (c *Conn) Confirm(to netip.AddrPort) {}

// LocalAddr is our address: the one that the peer uses, where that is known.
func (c *Conn) LocalAddr() net.Addr { return c.front.Addr() }

// RemoteAddr is the peer's address of the moment: with a connection ID it may change.
func (c *Conn) RemoteAddr() net.Addr { return nil }
