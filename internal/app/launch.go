package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/dotsgate/dotsgate/internal/admin"
)

// envHandover names, for a process that is to take over, the descriptor of its end of the pair.
const envHandover = "DOTSGATE_HANDOVER"

// launched is a process that is to take over.
type launched struct {
	conn  *net.UnixConn
	ended <-chan error // gets how it ended, once
	kill  func()
}

// launcher checks that a program takes a configuration, and starts it to take over.
type launcher func(ctx context.Context, binary, file string) (*launched, error)

// launch is the launcher of the system. The new process has our environment, our output and our place in the tree of control groups.
func launch(ctx context.Context, binary, file string) (*launched, error) {
	if err := checkWith(ctx, binary, file); err != nil {
		return nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer func() { _ = theirs.Close() }()            // the process has its own
	cmd := exec.Command(binary, "serve", "-c", file) //nolint:noctx // it outlives this process
	cmd.Env = append(os.Environ(), envHandover+"=3")
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", binary, err), ours.Close())
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()                                                      // it ends with that process, or with this one
	return &launched{conn: ours, ended: ended, kill: func() { _ = cmd.Process.Kill() }}, nil // it may have gone already
}

// checkWith asks a program whether it takes a configuration. What it has against it are admin.Mistakes.
func checkWith(ctx context.Context, binary, file string) error {
	out, err := exec.CommandContext(ctx, binary, "check", "-c", file).CombinedOutput()
	if err == nil {
		return nil
	}
	text := strings.TrimSpace(string(out))
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && text != "" {
		return admin.Mistakes(strings.Split(text, "\n"))
	}
	return fmt.Errorf("having %s check %s: %w", binary, file, err)
}

// socketPair makes two ends of a connection of packets.
func socketPair() (ours *net.UnixConn, theirs *os.File, err error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("making a pair of sockets: %w", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "hand-over")
	if ours, err = connOf(os.NewFile(uintptr(fds[0]), "hand-over")); err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}

// connOf makes a connection of an end, and closes the file.
func connOf(end *os.File) (*net.UnixConn, error) {
	c, err := net.FileConn(end)
	_ = end.Close() // the connection has a duplicate
	if err != nil {
		return nil, fmt.Errorf("using a pair of sockets: %w", err)
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("using a pair of sockets: it is none"), c.Close())
	}
	return conn, nil
}
