package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// child is a process that the lab started and ends.
type child struct {
	name string
	cmd  *exec.Cmd
	log  string        // the file that gets what it says
	gone chan struct{} // closed when it has ended
	err  error         // how, once gone is closed
}

// startChild starts a program in a process group of its own, so that a Ctrl-C reaches the lab alone, which then ends
// its children in order. What the program says goes to a file.
func startChild(name, log, program string, args ...string) (*child, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	defer out.Close() // the child has it too
	c := &child{name: name, cmd: exec.Command(program, args...), log: log, gone: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = out, out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.gone)
	}()
	return c, nil
}

// pid is the process's number.
func (c *child) pid() int { return c.cmd.Process.Pid }

// ended reports whether the process has ended.
func (c *child) ended() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// stop asks the process to end, and kills it when it has not after grace. An error says that it did not end well.
func (c *child) stop(grace time.Duration) error {
	if !c.ended() {
		_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may just have ended
	}
	select {
	case <-c.gone:
	case <-time.After(grace):
		_ = c.cmd.Process.Kill() // likewise
		<-c.gone
		return fmt.Errorf("%s did not end within %v and was killed", c.name, grace)
	}
	if c.err != nil {
		return fmt.Errorf("%s ended badly: %w\n%s", c.name, c.err, c.tail())
	}
	return nil
}

// tail is the end of what the process said.
func (c *child) tail() string {
	const most, lines = 4096, 15
	raw, err := os.ReadFile(c.log)
	if err != nil {
		return ""
	}
	raw = bytes.TrimRight(raw[max(0, len(raw)-most):], "\n")
	said := strings.Split(string(raw), "\n")
	return "  " + strings.Join(said[max(0, len(said)-lines):], "\n  ")
}

// whileAlive calls try until it succeeds, ctx ends or one of the children does.
func whileAlive(ctx context.Context, children []*child, try func(context.Context) error) error {
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		for _, c := range children {
			if c.ended() {
				return fmt.Errorf("%s has ended:\n%s", c.name, c.tail())
			}
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
