package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/upstream"
)

// script makes a Mitigator of a shell script. Its files are in $DIR.
func script(t *testing.T, text string, change func(*CommandConfig)) (m *Mitigator, dir string) {
	t.Helper()
	dir = t.TempDir()
	cfg := CommandConfig{Uplink: "scrub", Path: "/bin/sh", Args: []string{"-c", text}, Env: []string{"DIR=" + dir}, Timeout: time.Minute}
	if change != nil {
		change(&cfg)
	}
	m, err := NewCommand(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m, dir
}

func TestCommand(t *testing.T) {
	m, dir := script(t, `
		in=$(cat); echo "$in" >> $DIR/in
		case "$in" in
		*'"action":"list"'*) printf '{"mitigations":[{"id":"%s"}]}' "$(cat $DIR/id)";;
		*'"action":"start"'*) echo '{"status":"mitigated"}';;
		*'"action":"status"'*) printf '{"mitigations":[{"id":"%s","status":"exceeded","counters":{"packets":5}},{"id":"other","status":"mitigated"}]}' "$(cat $DIR/id)";;
		esac`, nil)
	one, two := aLeg(1), aLeg(2)
	if err := os.WriteFile(filepath.Join(dir, "id"), []byte(m.id(one.Key)), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := m.Open(t.Context())
	if err != nil || len(keys) != 1 || keys[0] != one.Key {
		t.Fatalf("opened with %v, %v", keys, err)
	}
	for _, l := range []dots.Leg{one, two} {
		if err := m.Start(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	told, err := m.Status(t.Context(), []dots.LegKey{one.Key, two.Key})
	want := []upstream.LegReport{
		{Key: two.Key, Report: dots.Report{Status: dots.StatusMitigated}},
		{Key: one.Key, Report: dots.Report{Status: dots.StatusExceeded, Counters: dots.Counters{PktsDropped: dots.Some[uint64](5)}}},
	}
	if d := cmp.Diff(want, told); d != "" || err != nil {
		t.Fatalf("told, %v (-want +got)\n%s", err, d)
	}
	if err := m.Stop(t.Context(), one.Key); err != nil {
		t.Fatal(err)
	}
	in, err := os.ReadFile(filepath.Join(dir, "in"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(in)), "\n")
	if len(lines) != 5 {
		t.Fatalf("told %s", in)
	}
	for i, part := range []string{
		`"scope":"` + m.scope + `."`, `"action":"change"`, `"prefixes":["192.0.2.0/24","2001:db8::1/128"]`, `"ids":["` + m.id(one.Key) + `","`, `"action":"stop"`,
	} {
		if !strings.Contains(lines[i], part) || strings.Contains(lines[i], "secret-") {
			t.Errorf("told %s, want %s in it", lines[i], part)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		code       dots.Code // 0: no refusal
		says       string    // in the error; empty: none
	}{
		{"done", `exit 0`, 0, ""},
		{"done, with words", `echo '{"status":"mitigated"}'`, 0, ""},
		{"refused without words", `exit 1`, dots.CodeBadRequest, "refused by the mitigator"},
		{"refused with a line", `echo "no such network"; echo more; exit 1`, dots.CodeBadRequest, "no such network"},
		{"refused with an answer", `echo '{"refused":{"code":"5.03","message":"full","retry_after":9}}'; exit 1`, dots.CodeUnavailable, "full"},
		{"refused by the answer", `echo '{"refused":{"code":"5.03","message":"full"}}'`, dots.CodeUnavailable, "full"},
		{"refused with much", `head -c 3000000 /dev/zero; exit 1`, 0, "more than"},
		{"failed", `echo '{"refused":{}}'; exit 2`, 0, "exit status 2"},
		{"killed", `kill -9 $$`, 0, "killed"},
		{"nonsense", `echo OK`, 0, "reading the answer"},
		{"too much", `head -c 3000000 /dev/zero`, 0, "more than"},
		{"does not read", `exec <&-; exit 0`, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, _ := script(t, tt.text, nil)
			big := aLeg(1)
			for range 20_000 { // more than a pipe takes
				big.Request.Target.FQDNs = append(big.Request.Target.FQDNs, "www.example.net")
			}
			err := m.Start(t.Context(), big)
			var refused *dots.Error
			if errors.As(err, &refused) != (tt.code != 0) || refused != nil && refused.Code != tt.code {
				t.Errorf("got %v", err)
			}
			if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
}

// A program that hangs is killed with its children: the pipe that all of them hold is closed.
func TestCommandIsKilledWithItsChildren(t *testing.T) {
	for _, given := range []string{"the caller ends", "it leaves a child with its output"} {
		t.Run(given, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			text := `exec 3>$DIR/held; sleep 1000 & echo here >&3; wait`
			if given != "the caller ends" {
				text = `exec 3>$DIR/held; sleep 1000 & echo here >&3; exit 0`
			}
			m, dir := script(t, text, nil)
			if err := syscall.Mkfifo(filepath.Join(dir, "held"), 0o600); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- m.Stop(ctx, aLeg(1).Key) }()
			held, err := os.Open(filepath.Join(dir, "held")) // waits until it runs
			if err != nil {
				t.Fatal(err)
			}
			defer held.Close()
			if _, err := io.ReadFull(held, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
			if given == "the caller ends" {
				cancel()
			}
			var refused *dots.Error
			if err := <-done; err == nil || errors.As(err, &refused) {
				t.Errorf("got %v", err)
			}
			if _, err := io.ReadAll(held); err != nil { // it ends when nobody lives who holds it
				t.Error(err)
			}
		})
	}
}

func TestCommandTakesTooLong(t *testing.T) {
	m, _ := script(t, `sleep 1000 & sleep 1000`, func(c *CommandConfig) { c.Timeout = 100 * time.Millisecond })
	var refused *dots.Error
	if err := m.Stop(t.Context(), aLeg(1).Key); err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), "killed after 100ms") {
		t.Errorf("got %v", err)
	}
}

// Its environment is what it is given, and nothing of ours; it is not in our directory.
func TestCommandEnvironment(t *testing.T) {
	t.Setenv("DOTSGATE_SECRET", "x")
	m, dir := script(t, `cat >/dev/null; env | cut -d= -f1 | grep -v -e _ -e SHLVL -e OLDPWD | sort > $DIR/env; env | grep -c SECRET >> $DIR/env; pwd >> $DIR/env`, nil)
	if err := m.Stop(t.Context(), aLeg(1).Key); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "env"))
	if err != nil || string(got) != "DIR\nPATH\nPWD\n0\n/\n" {
		t.Errorf("it has %q, %v", got, err)
	}
}

// What it says to its standard error is logged, up to a bound.
func TestCommandSays(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	m, _ := script(t, `echo one >&2; echo "two	three" >&2; exit 3`, func(c *CommandConfig) { c.Logger = logger })
	if err := m.Stop(t.Context(), aLeg(1).Key); err == nil {
		t.Error("no error")
	}
	for _, text := range []string{"uplink=scrub text=one\n", `text="two\tthree"`} {
		if !strings.Contains(log.String(), text) {
			t.Errorf("%q is not in %s", text, log.String())
		}
	}
	log.Reset()
	m, _ = script(t, `yes >&2 & head -c 100000 /dev/zero >&2; kill $!`, func(c *CommandConfig) { c.Logger = logger })
	if err := m.Stop(t.Context(), aLeg(1).Key); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "mitigator says more") || log.Len() > 1<<20 {
		t.Errorf("%d bytes", log.Len())
	}
}

func TestCommandConfigured(t *testing.T) {
	good := CommandConfig{Uplink: "scrub", Path: "/bin/sh"}
	if _, err := NewCommand(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*CommandConfig){
		"no uplink":        func(c *CommandConfig) { c.Uplink = "" },
		"no path":          func(c *CommandConfig) { c.Path = "" },
		"relative":         func(c *CommandConfig) { c.Path = "sh" },
		"not there":        func(c *CommandConfig) { c.Path = "/nowhere/sh" },
		"not a program":    func(c *CommandConfig) { c.Path = "/etc/passwd" },
		"a directory":      func(c *CommandConfig) { c.Path = "/tmp" },
		"negative timeout": func(c *CommandConfig) { c.Timeout = -1 },
	} {
		cfg := good
		spoil(&cfg)
		if m, err := NewCommand(cfg); err == nil {
			t.Errorf("%s: got %v", name, m)
		}
	}
}

func TestBounded(t *testing.T) {
	b := bounded{most: 5}
	for _, text := range []string{"abc", "", "de", "", "f", "ghij"} {
		if n, err := fmt.Fprint(&b, text); n != len(text) || err != nil {
			t.Errorf("%q: %d, %v", text, n, err)
		}
		if over := b.over; over != (text == "f" || text == "ghij") {
			t.Errorf("%q: over %v", text, over)
		}
	}
	if n, err := io.Copy(&b, strings.NewReader("more")); n != 4 || err != nil {
		t.Errorf("copied %d, %v", n, err)
	}
	if b.kept.String() != "abcde" {
		t.Errorf("kept %q", b.kept.String())
	}
}
