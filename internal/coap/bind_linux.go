package coap

import (
	"os"
	"syscall"
)

// bindToDevice makes a socket send and receive by one interface only.
func bindToDevice(fd uintptr, device string) error {
	return os.NewSyscallError("setsockopt", syscall.BindToDevice(int(fd), device))
}
