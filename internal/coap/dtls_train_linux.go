package coap

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// cutter lets the system make datagrams of one length out of one piece on their way out (UDP_SEGMENT, Linux 4.18).
type cutter struct {
	socket  *net.UDPConn
	to      netip.AddrPort
	control []byte // the control message that tells the length
	able    bool   // the system has not refused
}

// newCutter returns nil where the system does not do this.
func newCutter(socket net.PacketConn, to *net.UDPAddr) *cutter {
	conn, ok := socket.(*net.UDPConn)
	if !ok {
		return nil
	}
	// An older system would take the control message for nothing, and send the piece as one datagram.
	known := false
	if raw, err := conn.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { // a closed socket sends nothing
			_, err := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
			known = err == nil
		})
	}
	if !known {
		return nil
	}
	address, _ := addrPort(to)
	return &cutter{socket: conn, to: address, control: controlMessage(unix.SOL_UDP, unix.UDP_SEGMENT, lengthSize), able: true}
}

// lengthSize is the size of the length of a datagram in UDP_SEGMENT, in bytes.
const lengthSize = 2

// controlMessage is a control message with room for so many bytes (cmsg(3)): its length, which is a word of the machine's, its level and its type.
func controlMessage(level, kind uint32, size int) []byte {
	b := make([]byte, unix.CmsgSpace(size))
	word := unix.SizeofCmsghdr - 8
	if word == 8 {
		binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(size)))
	} else {
		binary.NativeEndian.PutUint32(b, uint32(unix.CmsgLen(size)))
	}
	binary.NativeEndian.PutUint32(b[word:], level)
	binary.NativeEndian.PutUint32(b[word+4:], kind)
	return b
}

// send sends a piece as datagrams of a length; false: none of it has left. Where the way does not do this, for want of checksums by the device
// or for a tunnel's sake, no further piece is to be tried.
func (c *cutter) send(piece []byte, length int) bool {
	binary.NativeEndian.PutUint16(c.control[unix.CmsgLen(0):], uint16(length))
	_, _, err := c.socket.WriteMsgUDPAddrPort(piece, c.control, c.to)
	for _, never := range []error{unix.EIO, unix.EINVAL, unix.EMSGSIZE, unix.EOPNOTSUPP} {
		if errors.Is(err, never) {
			c.able = false
		}
	}
	return err == nil
}
