//go:build !linux

package udp

import (
	"errors"
	"net"
)

func share(uintptr) error { return errors.ErrUnsupported }

func attach(uintptr, int) error { return errors.ErrUnsupported }

func kernel(*net.UDPConn, *Counters) {}
