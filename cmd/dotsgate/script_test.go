package main

import (
	"context"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dotsgate/dotsgate/internal/lab"
	"github.com/dotsgate/dotsgate/internal/testpki"
)

// TestMain lets the scripts call dotsgate as a program, and the deployments dotslab, too.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"dotsgate": main,
		"dotslab": func() {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
			code := lab.Main(ctx, os.Args[1:], "test", lab.IO{Out: os.Stdout, Err: os.Stderr})
			stop()
			os.Exit(code)
		},
	})
}

// TestScripts plays the scripts of testdata. Each finds the certificates that the example names in its folder.
func TestScripts(t *testing.T) {
	dir := t.TempDir()
	authority := testpki.New(t, "scripts")
	leaf := authority.Server()
	files := map[string][]byte{"ca.pem": authority.PEM(), "gateway.pem": leaf.CertPEM(), "gateway.key": leaf.KeyPEM()}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("TMPDIR", dir)
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(e.WorkDir, name), text, 0o600); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "waitfor": waitFor},
	})
}

// exits runs dotsgate in the script's own process and compares its exit code: exits CODE ARGUMENT...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits CODE ARGUMENT...")
	}
	var out, errOut strings.Builder
	wd := ts.Getenv("WORK")
	for i, a := range args {
		if strings.HasSuffix(a, ".yaml") || strings.HasSuffix(a, ".sock") {
			args[i] = filepath.Join(wd, a)
		}
	}
	code := run(context.Background(), args[1:], &out, &errOut)
	if want := args[0]; want != string(rune('0'+code)) {
		ts.Fatalf("dotsgate %s exits %d, want %s\n%s%s", strings.Join(args[1:], " "), code, want, out.String(), errOut.String())
	}
	if code != 0 && errOut.Len() == 0 {
		ts.Fatalf("dotsgate %s fails without a word", strings.Join(args[1:], " "))
	}
	if strings.Contains(errOut.String(), "Usage:") {
		ts.Fatalf("the usage is thrown at whoever made a mistake:\n%s", errOut.String())
	}
	_, _ = io.WriteString(ts.Stdout(), out.String())    // for the script's record
	_, _ = io.WriteString(ts.Stderr(), errOut.String()) // for the script's record
}

// waitFor waits until a gateway answers on a socket: waitfor SOCKET.
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfor SOCKET")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", ts.MkAbs(args[0]))
		if err == nil {
			_ = c.Close() // it was only tried
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			ts.Fatalf("nobody answers on %s: %v", args[0], err)
		}
	}
}
