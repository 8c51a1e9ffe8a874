package app

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bootID is where the system names its run: another one after each start of the machine.
const bootID = "/proc/sys/kernel/random/boot_id"

// machine names this run of the machine, and says for how long it has been running, suspended or not: nobody can set that. Empty: it cannot be told.
func machine() (id string, up time.Duration) {
	text, err := os.ReadFile(bootID)
	if err != nil {
		return "", 0
	}
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return "", 0
	}
	return strings.TrimSpace(string(text)), time.Duration(t.Nano())
}
