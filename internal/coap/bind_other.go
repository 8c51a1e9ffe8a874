//go:build !linux

package coap

import "errors"

// bindToDevice is Linux's only.
func bindToDevice(uintptr, string) error { return errors.ErrUnsupported }
