package udp

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"
)

// Segments reports whether the system makes many datagrams of one piece that is sent on a socket (UDP_SEGMENT, Linux 4.18). An older one would take
// the control message for nothing, and send the piece as one datagram.
func Segments(c *net.UDPConn) bool {
	able := false
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { // a closed socket sends nothing
			_, err := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
			able = err == nil
		})
	}
	return able
}

// segmentSize is the size of the length of a datagram in the control message, in bytes.
const segmentSize = 2

// segmentRoom is the size of the control message, in bytes.
func segmentRoom() int { return unix.CmsgSpace(segmentSize) }

// Segment makes the control message that goes with a piece (cmsg(3)): its length, which is a word of the machine's, its level and type, and how
// long each datagram is, in bytes; the last one may be shorter.
func Segment(length int) []byte {
	b := make([]byte, segmentRoom())
	word := unix.SizeofCmsghdr - 8
	if word == 8 {
		binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(segmentSize)))
	} else {
		binary.NativeEndian.PutUint32(b, uint32(unix.CmsgLen(segmentSize)))
	}
	binary.NativeEndian.PutUint32(b[word:], unix.SOL_UDP)
	binary.NativeEndian.PutUint32(b[word+4:], unix.UDP_SEGMENT)
	SetSegment(b, length)
	return b
}

// SetSegment changes the length in such a control message.
func SetSegment(b []byte, length int) {
	binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], uint16(length))
}
