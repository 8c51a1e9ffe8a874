package bench

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// counting counts the instructions that a process retires, its own and the system's for it, by perf. Unlike times they hardly depend on what else runs on the
// machine, so that two versions of the gateway can be compared on a busy one.
type counting struct {
	cmd          *exec.Cmd
	out          *bytes.Buffer
	tell, answer *os.File
	ends         [2]*os.File // perf's
}

// countInstructions makes perf ready to count; where it is missing or not allowed to, nothing is counted. It has attached itself when this returns, which takes
// long, and counts nothing before start.
func countInstructions(t *testing.T, pid int) *counting {
	t.Helper()
	c := &counting{out: &bytes.Buffer{}}
	if err := c.pipes(); err != nil {
		t.Fatal(err)
	}
	// Its own descriptors begin with 3.
	c.cmd = exec.Command("perf", "stat", "-x", ",", "-e", "instructions:u,instructions:k", "-D", "-1", "--control", "fd:3,4", "-p", strconv.Itoa(pid))
	c.cmd.Stderr, c.cmd.ExtraFiles = c.out, c.ends[:]
	err := c.cmd.Start()
	_ = errors.Join(c.ends[0].Close(), c.ends[1].Close()) // perf has its own
	if err != nil {
		c.close()
		return nil
	}
	if !c.say("disable") { // attached, it answers
		_ = c.cmd.Wait() // it does not count here
		c.close()
		return nil
	}
	return c
}

func (c *counting) pipes() (err error) {
	if c.ends[0], c.tell, err = os.Pipe(); err != nil {
		return err
	}
	c.answer, c.ends[1], err = os.Pipe()
	return err
}

func (c *counting) close() { _ = errors.Join(c.tell.Close(), c.answer.Close()) }

// say tells perf to do something, and reports whether it has done it.
func (c *counting) say(what string) bool {
	if _, err := io.WriteString(c.tell, what+"\n"); err != nil {
		return false
	}
	_, err := c.answer.Read(make([]byte, 16)) // "ack"
	return err == nil
}

// start begins to count.
func (c *counting) start() {
	if c != nil {
		c.say("enable")
	}
}

// pause ends that.
func (c *counting) pause() {
	if c != nil {
		c.say("disable")
	}
}

// instructions are those in user mode, and in the system's; 0: not counted.
type instructions struct{ own, system float64 }

// stop returns what was counted.
func (c *counting) stop() (n instructions) {
	if c == nil {
		return n
	}
	_ = c.cmd.Process.Signal(syscall.SIGINT) // it may have ended by itself
	_ = c.cmd.Wait()                         // ended by our signal
	c.close()
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
