package app

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/admin"
)

// program writes a script that is started in the place of a gateway.
func program(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestLaunch: the program is asked to check the file, then started with its end of the pair.
func TestLaunch(t *testing.T) {
	t.Parallel()
	l, err := launch(t.Context(), program(t, `[ "$1" = check ] && exit 0; [ "$*" = "serve -c FILE" ] && [ -S /dev/fd/$DOTSGATE_HANDOVER ] && exit 7; exit 8`), "FILE")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.conn.Close() }() // nobody is there
	var exit interface{ ExitCode() int }
	if err := <-l.ended; !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("it ended with %v", err)
	}
	if _, _, err := newPipe(l.conn).receive(time.Now().Add(patience)); err == nil {
		t.Error("it has said something")
	}
	l.kill() // one that has gone
}

// TestLaunchNot: where the program does not take the file nothing is started, and the operator sees its words.
func TestLaunchNot(t *testing.T) {
	t.Parallel()
	_, err := launch(t.Context(), program(t, "echo f:1:2: a; echo f:3:4: b >&2; exit 2"), "FILE")
	var mistakes admin.Mistakes
	if !errors.As(err, &mistakes) || len(mistakes) != 2 || mistakes[0] != "f:1:2: a" || mistakes[1] != "f:3:4: b" {
		t.Errorf("told %v", err)
	}
	for _, p := range []string{program(t, "exit 1"), filepath.Join(t.TempDir(), "nothing")} {
		if _, err := launch(t.Context(), p, "FILE"); err == nil || errors.As(err, &mistakes) {
			t.Errorf("told %v", err)
		}
	}
}

// TestInherit: most processes inherit nothing.
func TestInherit(t *testing.T) {
	for text, wrong := range map[string]bool{"": false, "x": true, "-1": true, "4294967296": true} {
		t.Setenv(envHandover, text)
		h, err := Inherit()
		if h != nil || (err != nil) != wrong {
			t.Errorf("%q: %v, %v", text, h, err)
		}
		if os.Getenv(envHandover) != "" {
			t.Errorf("%q is told to others", text)
		}
	}
	(*Heir)(nil).Fail(errors.New("nobody listens"))
	if (*Heir)(nil).file("x") != nil {
		t.Error("there is a socket of nobody")
	}
}
