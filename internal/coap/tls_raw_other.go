//go:build !unix

package coap

import (
	"net"
	"syscall"
)

// rawOf returns nil: there every write waits its turn on a goroutine of its own.
func rawOf(net.Conn) syscall.RawConn { return nil }

func readSome(uintptr, []byte) (n int, ready bool, err error) { return 0, true, net.ErrClosed }

func writeSome(uintptr, []byte) (int, error) { return 0, net.ErrClosed }
