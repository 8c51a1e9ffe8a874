package udp

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// share lets several sockets of this user have one address.
func share(fd uintptr) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
}

// attach gives the group of a socket its filter (socket(7), SO_ATTACH_REUSEPORT_CBPF; Linux 4.5).
func attach(fd uintptr, spread int) error {
	raw, err := bpf.Assemble(steering(spread))
	if err != nil {
		return fmt.Errorf("assembling the filter: %w", err)
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	prog := &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return os.NewSyscallError("setsockopt", unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, prog))
}

// kernel fills in what the system knows of a socket's receive buffer (SO_MEMINFO, Linux 4.12; linux/sock_diag.h). The answer
// is nine words of 32 bits, for which the library has no call of its own: calls for others of the same shape read them.
func kernel(c *net.UDPConn, into *Counters) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // a closed socket has no buffer
		two, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_SOCKET, unix.SO_MEMINFO)
		if err != nil {
			return
		}
		into.Waiting, into.Room = int(two.Packets), int(two.Drops) // SK_MEMINFO_RMEM_ALLOC and SK_MEMINFO_RCVBUF
		if nine, err := unix.GetsockoptTCPInfo(int(fd), unix.SOL_SOCKET, unix.SO_MEMINFO); err == nil {
			into.Lost = uint64(nine.Lost) // word 8, SK_MEMINFO_DROPS
		}
	})
}
