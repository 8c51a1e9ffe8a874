package udp

import (
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// message is the system's struct mmsghdr (recvmmsg(2), sendmmsg(2)).
type message struct {
	header unix.Msghdr
	length uint32 // of what has come or gone, in bytes
}

// calls makes the system calls of one direction of a socket. It belongs to one goroutine.
//
// They are made here and not by golang.org/x/net, because there the runtime is told that each may block, and these never do. A batch
// takes longer than the 20 µs after which the runtime's monitor takes the processor away from whoever is in such a call, and wakes
// another thread to use it, which finds nothing to do. On one core that cost as much as the datagrams. What it costs this way: who stops the
// program, to collect garbage, waits until a batch is done, as it waits for other code.
type calls struct {
	raw   syscall.RawConn
	batch []message // of the next call
	n     int       // messages done
	errno syscall.Errno
	// made once, so that nothing is allocated for a call
	receive, send func(fd uintptr) (done bool)
}

func newCalls(c *net.UDPConn) *calls {
	raw, _ := c.SyscallConn() // it fails only where there is no socket
	k := &calls{raw: raw}
	k.receive = func(fd uintptr) bool { return k.try(unix.SYS_RECVMMSG, fd) }
	k.send = func(fd uintptr) bool { return k.try(unix.SYS_SENDMMSG, fd) }
	return k
}

// try makes one system call.
func (k *calls) try(number, fd uintptr) (done bool) {
	for {
		n, _, errno := syscall.RawSyscall6(number, fd, uintptr(unsafe.Pointer(&k.batch[0])), uintptr(len(k.batch)), unix.MSG_DONTWAIT, 0, 0)
		k.n, k.errno = int(n), errno
		if errno != unix.EINTR {
			return errno != unix.EAGAIN // else the runtime waits until the socket is ready
		}
	}
}

// read waits for datagrams and receives a batch of them.
func (k *calls) read(batch []message) (n int, err error) {
	k.batch = batch
	if err := k.raw.Read(k.receive); err != nil {
		return 0, err
	}
	return k.result("recvmmsg")
}

// write sends a batch, or the first n of it.
func (k *calls) write(batch []message) (n int, err error) {
	k.batch = batch
	if err := k.raw.Write(k.send); err != nil {
		return 0, err
	}
	return k.result("sendmmsg")
}

// result is what the last system call gave.
func (k *calls) result(name string) (int, error) {
	if k.errno != 0 {
		return 0, os.NewSyscallError(name, k.errno)
	}
	return k.n, nil
}
