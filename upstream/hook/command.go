package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/upstream"
)

// DefaultTimeout bounds a run of a program, or an attempt of a webhook.
const DefaultTimeout = 10 * time.Second

const (
	exitRefused = 1 // the exit code of a refusal
	maxStderr   = 4096
	// outputDelay is how long is waited for the output of children that a program leaves behind.
	outputDelay = time.Second
)

// CommandConfig is what a Mitigator is made of that runs a program for every message.
type CommandConfig struct {
	Uplink string // required: its name in the configuration
	// Owner tells this gateway from others whose mitigations the same program does, and never changes; may be empty.
	Owner string
	Path  string   // required: the program, absolute
	Args  []string // its arguments
	// Env is what it has as environment beside PATH, which is that of the system's own programs; "NAME=VALUE".
	Env     []string
	Timeout time.Duration // of a run, after which it is killed with its children; 0: DefaultTimeout
	Logger  *slog.Logger  // nil: what it says to its standard error is lost
}

// command runs a program.
type command struct {
	cfg CommandConfig
	one sync.Mutex // a run at a time
}

// NewCommand makes a Mitigator that runs a program. The message is on its standard input, its answer on its standard output; what is on its standard
// error is logged. Its exit code is 0 where it has done what was asked, 1 where it refuses (the answer or the first line says why), and
// any other where it is to be asked again.
func NewCommand(cfg CommandConfig) (*Mitigator, error) {
	switch {
	case cfg.Uplink == "" || cfg.Path == "":
		return nil, errors.New("configuring a command: Uplink and Path are required")
	case !filepath.IsAbs(cfg.Path):
		return nil, fmt.Errorf("configuring a command: %s is not absolute", cfg.Path)
	case cfg.Timeout < 0:
		return nil, errors.New("configuring a command: Timeout is negative")
	}
	if _, err := exec.LookPath(cfg.Path); err != nil {
		return nil, fmt.Errorf("configuring a command: %w", err)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return newMitigator(newIdentity(cfg.Owner, cfg.Uplink), &command{cfg: cfg}), nil
}

func (c *command) open() error { return nil }
func (c *command) close()      {}

// status asks about all of them in one run.
func (c *command) status(ctx context.Context, m *Mitigator, keys []dots.LegKey) ([]upstream.LegReport, error) {
	ids := make([]string, len(keys))
	for i, k := range keys {
		ids[i] = m.id(k)
	}
	a, err := c.ask(ctx, newMessage(message{Action: actionStatus, IDs: ids}))
	if err != nil {
		return nil, err
	}
	return m.reports(a, keys), nil
}

// ask runs the program once.
func (c *command) ask(ctx context.Context, m message) (answer, error) {
	in, err := json.Marshal(m)
	if err != nil {
		return answer{}, fmt.Errorf("writing a message: %w", err)
	}
	out, err := c.run(ctx, append(in, '\n'))
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitRefused {
		return refusedOr(refusalOf(out), nil)
	}
	if err != nil {
		return answer{}, fmt.Errorf("running %s: %w", c.cfg.Path, err)
	}
	return refusedOr(parseAnswer(out))
}

// refusalOf is what a program says that refuses: its answer, or the first line of what it prints.
func refusalOf(out []byte) answer {
	if a, err := parseAnswer(out); err == nil && a.Refused != nil {
		return a
	}
	return answer{Refused: &refusal{Message: string(out[:min(len(out), maxStderr)])}}
}

// run runs the program in a process group of its own, which is killed when the time is over, and returns its standard output.
func (c *command) run(ctx context.Context, in []byte) ([]byte, error) {
	c.one.Lock()
	defer c.one.Unlock()
	limit, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	out, said := bounded{most: maxAnswer}, bounded{most: maxStderr}
	cmd := exec.CommandContext(limit, c.cfg.Path, c.cfg.Args...)
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, c.cfg.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd) }
	cmd.WaitDelay = outputDelay
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		_ = killGroup(cmd) // who kept the output open is there still, so the number is no other's by now
	}
	c.log(&said)
	switch {
	case limit.Err() != nil && ctx.Err() == nil:
		return nil, fmt.Errorf("killed after %v", c.cfg.Timeout)
	case errors.Is(err, exec.ErrWaitDelay):
		return nil, errors.New("a child of it kept its output open")
	case out.over:
		return nil, fmt.Errorf("it printed more than %d bytes", maxAnswer)
	}
	return out.kept.Bytes(), err
}

// killGroup kills a program and its children, as far as they have not left its process group.
func killGroup(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// log logs what a program said to its standard error, one line each.
func (c *command) log(said *bounded) {
	for line := range strings.Lines(said.kept.String()) {
		c.cfg.Logger.Info("mitigator says", "uplink", c.cfg.Uplink, "text", strings.TrimSpace(line))
	}
	if said.over {
		c.cfg.Logger.Info("mitigator says more", "uplink", c.cfg.Uplink)
	}
}

// bounded keeps the beginning of what is written, and takes the rest without keeping it. It is not a bytes.Buffer, which would read
// by itself, past the bound.
type bounded struct {
	kept bytes.Buffer
	most int
	over bool
}

// Write keeps what there is room for.
func (b *bounded) Write(p []byte) (int, error) {
	room := b.most - b.kept.Len()
	if len(p) > room {
		b.over = true
	}
	b.kept.Write(p[:min(len(p), room)])
	return len(p), nil
}
