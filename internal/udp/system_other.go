//go:build !linux

package udp

import (
	"errors"
	"net"
)

// cutFlag is 0: other systems do not mark what was longer than its buffer in the same way.
const cutFlag = 0

func share(uintptr) error { return errors.ErrUnsupported }

func attach(uintptr, int) error { return errors.ErrUnsupported }

func kernel(*net.UDPConn, *Counters) {}
