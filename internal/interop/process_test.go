//go:build interop

package interop

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long an event is waited for that should come at once or within seconds.
const patience = 30 * time.Second

// process is a child process whose output is read line by line.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	over chan struct{} // closed when the process has ended and its output is read

	mu    sync.Mutex
	lines []string
	grown chan struct{} // closed and replaced when there is a further line
}

// spawn starts a program. It is killed at the end of the test, if it lives then, and waited for.
func spawn(t *testing.T, program string, args ...string) *process {
	t.Helper()
	return launch(t, exec.Command(program, args...))
}

// launch is spawn for a command that is prepared.
func launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	program := cmd.Args[0]
	p := &process{t: t, name: program, cmd: cmd, over: make(chan struct{}), grown: make(chan struct{})}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = in, in
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	_ = in.Close() // the child has it
	go func() {
		defer close(p.over)
		p.read(out)
		_ = p.cmd.Wait() // exit codes say nothing here: what was printed is judged
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", strings.Join(cmd.Args, " "), p.gist())
		}
	})
	return p
}

func (p *process) read(out io.ReadCloser) {
	defer out.Close()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, lines.Text())
		close(p.grown)
		p.grown = make(chan struct{})
		p.mu.Unlock()
	}
}

// kill ends the process at once and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.over
}

// snapshot returns the lines so far, and a channel that is closed when there are more.
func (p *process) snapshot() ([]string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines[:len(p.lines):len(p.lines)], p.grown
}

// gist is what was printed without libcoap's steps of a handshake and suchlike.
func (p *process) gist() string {
	lines, _ := p.snapshot()
	return strings.Join(slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.Contains(l, " DEBG ") }), "\n")
}

func (p *process) text() string {
	lines, _ := p.snapshot()
	return strings.Join(lines, "\n")
}

// waitFor waits for a line that contains all the words, and returns it; "" when the process ends without.
func (p *process) waitFor(words ...string) string {
	p.t.Helper()
	found := ""
	_, err := p.until(func(lines []string) bool {
		for _, line := range lines {
			if containsAll(line, words) {
				found = line
				return true
			}
		}
		return false
	})
	if errors.Is(err, context.DeadlineExceeded) {
		p.t.Fatalf("%s never said %q", p.name, words)
	}
	return found
}

// errOver says that a process ended without what was waited for.
var errOver = errors.New("process ended")

// until waits until found accepts what the process has said, and returns that; the error is errOver or that of the deadline.
func (p *process) until(found func(lines []string) bool) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		ended := false
		select {
		case <-p.over: // nothing comes after what there is now
			ended = true
		default:
		}
		lines, grown := p.snapshot()
		switch {
		case found(lines):
			return lines, nil
		case ended:
			return lines, errOver
		}
		select {
		case <-grown:
		case <-p.over:
		case <-ctx.Done():
			return lines, ctx.Err()
		}
	}
}

// wait waits until the process has ended by itself and returns what it said.
func (p *process) wait() []string {
	p.t.Helper()
	select {
	case <-p.over:
	case <-time.After(2 * patience):
		p.t.Fatalf("%s does not end", p.name)
	}
	lines, _ := p.snapshot()
	return lines
}

func containsAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}
