package bench

import (
	"bytes"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// counting counts the instructions that a process retires, its own and the system's for it, by perf. Unlike times they hardly depend on what else runs on the
// machine, so that two versions of the gateway can be compared on a busy one.
type counting struct {
	cmd *exec.Cmd
	out *bytes.Buffer
}

// countInstructions begins to count; where perf is missing or not allowed to, nothing is counted.
func countInstructions(t *testing.T, pid int) *counting {
	t.Helper()
	c := &counting{out: &bytes.Buffer{}}
	c.cmd = exec.Command("perf", "stat", "-x", ",", "-e", "instructions:u,instructions:k", "-p", strconv.Itoa(pid))
	c.cmd.Stderr = c.out
	if err := c.cmd.Start(); err != nil {
		return nil
	}
	time.Sleep(perfAttaches)
	return c
}

// perfAttaches is how long perf may take until it counts.
const perfAttaches = 300 * time.Millisecond

// instructions are those in user mode, and in the system's; 0: not counted.
type instructions struct{ own, system float64 }

// stop returns what was counted.
func (c *counting) stop() (n instructions) {
	if c == nil {
		return n
	}
	_ = c.cmd.Process.Signal(syscall.SIGINT) // it may have ended by itself: it may not count here
	_ = c.cmd.Wait()                         // ended by our signal
	for line := range strings.Lines(c.out.String()) {
		fields := strings.Split(line, ",")
		if len(fields) < 3 {
			continue
		}
		count, err := strconv.ParseFloat(fields[0], 64)
		switch {
		case err != nil: // "<not supported>"
		case fields[2] == "instructions:u":
			n.own = count
		case fields[2] == "instructions:k":
			n.system = count
		}
	}
	return n
}
