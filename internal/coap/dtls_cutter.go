package coap

import (
	"errors"
	"net"
	"net/netip"
	"syscall"

	sockets "github.com/dotsgate/dotsgate/internal/udp"
)

// cutter lets the system make datagrams of one length out of one piece on their way out.
type cutter struct {
	socket  *net.UDPConn
	to      netip.AddrPort
	control []byte // the control message that tells the length
	able    bool   // the system has not refused
}

// newCutter returns nil where the system does not do this.
func newCutter(socket net.PacketConn, to *net.UDPAddr) *cutter {
	conn, ok := socket.(*net.UDPConn)
	if !ok || !sockets.Segments(conn) {
		return nil
	}
	address, _ := addrPort(to)
	return &cutter{socket: conn, to: address, control: sockets.Segment(0), able: true}
}

// send sends a piece as datagrams of a length; false: none of it has left. Where the way does not do this, for want of checksums by the device
// or for a tunnel's sake, no further piece is to be tried.
func (c *cutter) send(piece []byte, length int) bool {
	sockets.SetSegment(c.control, length)
	_, _, err := c.socket.WriteMsgUDPAddrPort(piece, c.control, c.to)
	for _, never := range []error{syscall.EIO, syscall.EINVAL, syscall.EMSGSIZE, syscall.EOPNOTSUPP} {
		if errors.Is(err, never) {
			c.able = false
		}
	}
	return err == nil
}
