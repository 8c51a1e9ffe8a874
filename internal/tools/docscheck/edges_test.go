package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLinks shows which targets are looked for, and where.
func TestLinks(t *testing.T) {
	for _, tt := range []struct {
		name, document, line string
		want                 []string // the targets that lead nowhere
	}{
		{"beside", "docs/a.md", "[m](metrics.md)", nil},
		{"up and down", "docs/a.md", "[m](../docs/metrics.md)", nil},
		{"from the root", "README.md", "[m](docs/metrics.md)", nil},
		{"from the wrong folder", "README.md", "[m](metrics.md)", []string{"metrics.md"}},
		{"with a part", "docs/a.md", "[m](metrics.md#requests)", nil},
		{"part of a file that is gone", "docs/a.md", "[m](gone.md#requests)", []string{"gone.md#requests"}},
		{"with a title", "docs/a.md", `[m](metrics.md "All of them") and [n](gone.md "Not")`, []string{"gone.md"}},
		{"picture", "docs/a.md", "![m](gone.png)", []string{"gone.png"}},
		{"several", "docs/a.md", "[a](x.md), [b](metrics.md), [c](y.md)", []string{"x.md", "y.md"}},
		{"elsewhere", "docs/a.md", "[a](https://example.org/x.md) [b](http://example.org) [c](mailto:a@example.org)", nil},
		{"on this page", "docs/a.md", "[a](#part)", nil},
		{"no link", "docs/a.md", "f(x.md) and [a] (y.md)", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var want []string
			for _, target := range tt.want {
				want = append(want, tt.document+":3: the link to "+target+" leads nowhere")
			}
			if diff := cmp.Diff(want, known().links(tt.document, 3, tt.line)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestBlocks shows which lines are commands.
func TestBlocks(t *testing.T) {
	block := func(language, text string) string { return "```" + language + "\n" + text + "\n```\n" }
	for _, tt := range []struct {
		name, text string
		commands   int
		faults     int
	}{
		{"sh", block("sh", "make dinner"), 1, 1},
		{"bash", block("bash", "make dinner"), 1, 1},
		{"shell", block("shell", "make dinner"), 1, 1},
		{"sh with a prompt", block("sh", "$ make dinner"), 1, 1},
		{"console without a prompt", block("console", "make dinner"), 0, 0},
		{"console with a prompt", block("console", "$ make dinner"), 1, 1},
		{"another language", block("yaml", "make dinner"), 0, 0},
		{"no language", block("", "make dinner"), 0, 0},
		{"indented", "1. so:\n\n   ```sh\n   make dinner\n   ```\n", 1, 1},
		{"never closed", "```sh\nmake dinner\n", 1, 1},
		{"over three lines", block("sh", "make \\\n  check \\\n  dinner"), 1, 1},
		{"continued at the end", block("sh", "make check \\") + block("sh", "make dinner"), 1, 1},
		{"a link in a block", block("sh", "echo [a](gone.md)"), 0, 0},
		{"empty", "", 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			faults, commands := known().document("docs/a.md", tt.text)
			if commands != tt.commands || len(faults) != tt.faults {
				t.Errorf("%d commands, faults %q; want %d and %d", commands, faults, tt.commands, tt.faults)
			}
		})
	}
}

func TestSplit(t *testing.T) {
	for _, tt := range []struct{ line, verbs, flags string }{
		{"", "", ""},
		{"mitigate", "mitigate", ""},
		{"alias list", "alias list", ""},
		{"mitigate --prefix 192.0.2.0/24 -o json", "mitigate", "--prefix -o"},
		{"mitigate --prefix=192.0.2.0/24", "mitigate", "--prefix"},
		{"--config x check", "", "--config"},
		{"get 123 192.0.2.1 A.example", "get", ""},
		{"- -- run", "run", ""},
	} {
		verbs, flags := split(strings.Fields(tt.line))
		if strings.Join(verbs, " ") != tt.verbs || strings.Join(flags, " ") != tt.flags {
			t.Errorf("%q: got %q, %q; want %q, %q", tt.line, verbs, flags, tt.verbs, tt.flags)
		}
	}
}

func TestStripped(t *testing.T) {
	for line, want := range map[string]string{
		"make check":               "make check",
		"make check # dinner":      "make check",
		"# make check":             "",
		"echo 'a; b' && make x":    "echo Q && make x",
		`echo "a # b" c`:           "echo Q c",
		"curl http://x/#part -o y": "curl http://x/#part -o y",
	} {
		if got := strings.TrimSpace(stripped(line)); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

// TestDocuments: the root, docs and deploy are read; what is elsewhere is nobody's manual.
func TestDocuments(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"README.md", "docs/a.md", "docs/deep/b.md", "deploy/cpe/c.md", "deploy/d.md",
		"gateway/notes.md", "docs/e.txt", "docs/deep/deeper/f.md", ".git/g.md",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := documents(dir)
	slices.Sort(got)
	want := []string{"README.md", "deploy/cpe/c.md", "deploy/d.md", "docs/a.md", "docs/deep/b.md"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// TestHelp asks real programs.
func TestHelp(t *testing.T) {
	dir := t.TempDir()
	program := func(name, script string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text, err := help(program("good", `echo "$@"; echo also this >&2`), []string{"alias", "list"})
	if err != nil || text != "alias list --help\nalso this\n" {
		t.Errorf("got %q, %v", text, err)
	}
	if text, err := help(program("bad", "echo no such command; exit 3"), nil); err == nil || text != "no such command\n" {
		t.Errorf("a program that fails: %q, %v", text, err)
	}
	if _, err := help(filepath.Join(dir, "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a program that is not built: %v", err)
	}
}

// TestHelpKeepsItsArguments: asking for help must not write into the caller's list.
func TestHelpKeepsItsArguments(t *testing.T) {
	words := append(make([]string, 0, 4), "alias", "list")
	_, _ = help(filepath.Join(t.TempDir(), "none"), words[:1]) // the answer is not looked at
	if words[1] != "list" {
		t.Errorf("the word after the arguments is now %q", words[1])
	}
}

// TestRunFailures: what cannot be read or written is no clean bill.
func TestRunFailures(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("Makefile", "check:\n")
	write("README.md", "[gone](gone.md)\n")
	if n, err := run(nobody{}, dir, "build"); !errors.Is(err, io.ErrClosedPipe) || n != 1 {
		t.Errorf("nobody listens: %d faults, error %v", n, err)
	}
	write("README.md", "all is well\n")
	if _, err := run(nobody{}, dir, "build"); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("nobody listens to the sum: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.md"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := run(io.Discard, dir, "build"); err == nil || !strings.HasPrefix(err.Error(), "reading folder.md: ") {
		t.Errorf("a document that cannot be read: %v", err)
	}
}

// nobody is a reader that has gone.
type nobody struct{}

func (nobody) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
