package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const helpText = `Ask for a mitigation.

Usage:
  dotsctl mitigate [flags]

Flags:
      --prefix strings   a prefix
  -o, --output string    text or json
`

// known is a checker of a small world: two make targets, one program that is built and one that is not.
func known() *checker {
	return &checker{
		targets: map[string]bool{"check": true, "test": true},
		exists: func(path string) bool {
			return path == "docs/metrics.md" || path == "README.md" || path == "cmd/dotsctl" || path == "cmd/dotslab"
		},
		help: func(program string, args []string) (string, error) {
			switch {
			case program == "dotslab":
				return "", &fs.PathError{Op: "fork/exec", Path: "build/dotslab", Err: fs.ErrNotExist}
			case len(args) > 0 && args[0] == "crash":
				return "panic", errors.New("exit status 2")
			}
			return helpText, nil
		},
	}
}

func TestCommand(t *testing.T) {
	tests := []struct {
		name, line string
		count      int
		want       []string
	}{
		{"none", "ls -l", 0, nil},
		{"comment", "# make nothing", 0, nil},
		{"target", "make check", 1, nil},
		{"targets and variables", "make -j2 V=1 check test # all", 1, nil},
		{"no such target", "make check dinner", 1, []string{"there is no make target dinner"}},
		{"several", "make check && make dinner; make test", 3, []string{"there is no make target dinner"}},
		{"flags", "build/dotsctl mitigate --prefix 192.0.2.0/24 -o json", 1, nil},
		{"flag with a value", "dotsctl mitigate --prefix=192.0.2.0/24", 1, nil},
		{"environment", "sudo DOTS_KEY=x dotsctl mitigate -o json", 1, nil},
		{"pipe", "dotsctl mitigate -o json | jq '.mid && .status'", 1, nil},
		{"no such flag", "dotsctl mitigate --port 53", 1, []string{"dotsctl mitigate has no flag --port"}},
		{"part of a flag", "dotsctl mitigate --pre x", 1, []string{"dotsctl mitigate has no flag --pre"}},
		{"no such command", "dotsctl celebrate", 1, []string{"dotsctl has no command celebrate"}},
		{"no such program", "dotsbrew tea", 1, []string{"there is no program dotsbrew"}},
		{"not built", "dotslab anything --at-all", 1, nil},
		{"fails", "dotsctl crash", 1, []string{"dotsctl crash --help fails: exit status 2"}},
		{"quoted", `dotsctl mitigate --prefix "--no-flag; make dinner"`, 1, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			count, got := known().command(tt.line)
			if diff := cmp.Diff(tt.want, got); diff != "" || count != tt.count {
				t.Errorf("%d commands, want %d (-want +got)\n%s", count, tt.count, diff)
			}
		})
	}
}

func TestDocument(t *testing.T) {
	text := strings.Join([]string{
		"# Title", // 1
		"See [metrics](metrics.md), [gone](gone.md#part) and [home](../README.md).", // 2
		"[web](https://example.org/x), [here](#part), [mail](mailto:a@example.org)", // 3
		"make nothing outside of a block",                                           // 4
		"```sh",                                                                     // 5
		"make check \\",                                                             // 6
		"  dinner",                                                                  // 7
		"```",                                                                       // 8
		"```console",                                                                // 9
		"$ make lunch",                                                              // 10
		"make: this is output",                                                      // 11
		"```",                                                                       // 12
		"```yaml",                                                                   // 13
		"run: make breakfast",                                                       // 14
		"```",                                                                       // 15
		"[gone](also-gone.md)",                                                      // 16
	}, "\n")
	faults, commands := known().document("docs/a.md", text)
	want := []string{
		"docs/a.md:2: the link to gone.md#part leads nowhere",
		"docs/a.md:7: there is no make target dinner",
		"docs/a.md:10: there is no make target lunch",
		"docs/a.md:16: the link to also-gone.md leads nowhere",
	}
	if diff := cmp.Diff(want, faults); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if commands != 2 {
		t.Errorf("%d commands, want 2", commands)
	}
}

func TestTargets(t *testing.T) {
	got := targets("# comment: no\nGO := go\nA ?= b:c\n.PHONY: all\nall: build test\nbuild test: x\n\techo no: target\n")
	want := map[string]bool{".PHONY": true, "all": true, "build": true, "test": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	if _, err := run(&out, dir, "build"); err == nil {
		t.Error("checked a folder without a Makefile")
	}
	write("Makefile", "check:\n", 0o600)
	write("cmd/dotsctl/main.go", "package main\n", 0o600)
	write("build/dotsctl", "#!/bin/sh\necho usage: dotsctl \"$1\" --prefix\n", 0o700)
	write("README.md", "```sh\nmake check\nbuild/dotsctl mitigate --prefix x\n```\n[docs](docs/a.md)\n", 0o600)
	write("docs/a.md", "[up](../README.md)\n", 0o600)
	if n, err := run(&out, dir, "build"); err != nil || n != 0 || !strings.Contains(out.String(), "2 files, 2 commands, 0 faults") {
		t.Errorf("%d faults, error %v\n%s", n, err, out.String())
	}
	write("docs/a.md", "```sh\ndotsctl mitigate --gone\n```\n", 0o600)
	out.Reset()
	if n, err := run(&out, dir, "build"); err != nil || n != 1 || !strings.Contains(out.String(), "docs/a.md:2: dotsctl mitigate has no flag --gone") {
		t.Errorf("%d faults, error %v\n%s", n, err, out.String())
	}
}
