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

// counting counts the instructions that a process retires in user mode, by perf. Unlike times they hardly depend on what else runs on the
// machine, so that two versions of the gateway can be compared on a busy one.
type counting struct {
	cmd *exec.Cmd
	out *bytes.Buffer
}

// countInstructions begins to count; where perf is missing or not allowed to, nothing is counted.
func countInstructions(t *testing.T, pid int) *counting {
	t.Helper()
	c := &counting{out: &bytes.Buffer{}}
	c.cmd = exec.Command("perf", "stat", "-x", ",", "-e", "instructions:u", "-p", strconv.Itoa(pid))
	c.cmd.Stderr = c.out
	if err := c.cmd.Start(); err != nil {
		return nil
	}
	time.Sleep(perfAttaches)
	return c
}

// perfAttaches is how long perf may take until it counts.
const perfAttaches = 300 * time.Millisecond

// stop returns what was counted; 0: nothing was.
func (c *counting) stop() float64 {
	if c == nil {
		return 0
	}
	_ = c.cmd.Process.Signal(syscall.SIGINT) // it may have ended by itself: it may not count here
	_ = c.cmd.Wait()                         // ended by our signal
	for line := range strings.Lines(c.out.String()) {
		if fields := strings.Split(line, ","); len(fields) > 2 && strings.HasPrefix(fields[2], "instructions") {
			n, err := strconv.ParseFloat(fields[0], 64)
			if err == nil {
				return n
			}
		}
	}
	return 0
}
