//go:build !linux

package app

import "time"

// machine would name this run of the machine: only Linux tells.
func machine() (id string, up time.Duration) { return "", 0 }
