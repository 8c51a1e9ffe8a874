package udp

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Reader reads the datagrams of a socket of its owner's in batches. It belongs to one goroutine.
type Reader struct {
	calls calls
	rooms *Rooms
	in    *inbound // nil: nothing was read since it waited
}

// NewReader makes a reader of a socket, which stays the caller's.
func NewReader(c *net.UDPConn, rooms *Rooms) *Reader {
	raw, _ := c.SyscallConn() // it fails only where there is no socket
	r := &Reader{calls: calls{raw: raw}, rooms: rooms}
	r.calls.receive = r.try
	return r
}

// try reads a batch, if there is one. A reader that is to wait holds no room.
func (r *Reader) try(fd uintptr) (done bool) {
	if r.in == nil {
		r.in = r.rooms.get()
	}
	r.in.prepare()
	r.calls.batch = r.in.messages
	if r.calls.try(unix.SYS_RECVMMSG, fd) {
		return true
	}
	r.rooms.pool.Put(r.in)
	r.in = nil
	return false
}

// Read waits for datagrams and hands them on. The error is the socket's, net.ErrClosed among them, or the system's.
func (r *Reader) Read(to Received) error {
	r.calls.errno = syscall.Errno(0)
	if err := r.calls.raw.Read(r.calls.receive); err != nil {
		return err
	}
	n, err := r.calls.result("recvmmsg")
	if err != nil {
		return err
	}
	r.in.used = n
	r.in.hand(n, to)
	return nil
}

func newRoom(n int) *inbound { return newInboundRoom(n, false) }
