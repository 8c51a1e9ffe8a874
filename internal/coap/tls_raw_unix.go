//go:build unix

package coap

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// rawOf gives access to the connection's socket, or nil where there is none.
func rawOf(conn net.Conn) syscall.RawConn {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// readSome reads what there is, without waiting. ready is false when there is nothing.
func readSome(fd uintptr, b []byte) (n int, ready bool, err error) {
	n, err = syscall.Read(int(fd), b)
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return 0, errors.Is(err, syscall.EINTR), nil
	case err != nil:
		return 0, true, err
	case n == 0:
		return 0, true, io.EOF
	}
	return n, true, nil
}

// writeSome writes what the system takes, without waiting.
func writeSome(fd uintptr, b []byte) (int, error) {
	n, err := syscall.Write(int(fd), b)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		return 0, nil
	}
	return max(n, 0), err
}
