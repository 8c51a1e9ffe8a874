package front

import (
	"net"

	"github.com/dotsgate/dotsgate/internal/udp"
)

// own is a session whose records are sealed and opened here.
type own struct{}

// takeOver makes the session ours, when it can be, and reports whether it did: then nothing more is read of the library, and
// first and all that follows has gone to input. first is the data of the first record that the peer has protected after its
// Finished, which proves that ours has arrived. Called on the goroutine that reads the library, which has no lock.
func (c *Conn) takeOver(_ *association, _ []byte) bool { return false }

// deliver opens the records of a datagram that was routed to this session.
func (o *own) deliver(_ Sender, _ []byte, _ udp.Path) {}

// write seals b and sends it. Conn.out is held.
func (o *own) write(_ []byte) error { return net.ErrClosed }

// close sends close_notify, unless the session is over, and lets ended be called with io.EOF. Conn.out is held; Conn.in may be.
func (o *own) close() {}

// end lets ended be called, and nothing be sent any more. No lock of Conn is held.
func (o *own) end(_ error) {}
