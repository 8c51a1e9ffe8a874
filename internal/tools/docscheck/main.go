// Command docscheck reads the project's documents as a newcomer would and finds what is not true of the tree: make targets,
// programs, subcommands and flags that do not exist, and links to files that are not there. It exits 1 if it finds any.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// helpTimeout bounds one call of a program for its help text.
const helpTimeout = 10 * time.Second

func main() {
	root := flag.String("root", ".", "the module's folder")
	bin := flag.String("bin", "build", "where the built programs are, relative to root; those that are missing are not asked for their flags")
	flag.Parse()
	n, err := run(os.Stdout, *root, *bin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "docscheck:", err)
		os.Exit(2)
	}
	if n > 0 {
		os.Exit(1)
	}
}

// run checks the documents below root and returns how many faults it printed.
func run(w io.Writer, root, bin string) (int, error) {
	docs, err := documents(root)
	if err != nil {
		return 0, err
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		return 0, fmt.Errorf("reading the make targets: %w", err)
	}
	c := &checker{
		targets: targets(string(makefile)),
		exists: func(path string) bool {
			_, err := os.Stat(filepath.Join(root, path))
			return err == nil
		},
		help: func(program string, args []string) (string, error) {
			return help(filepath.Join(root, bin, program), args)
		},
	}
	n, commands := 0, 0
	for _, name := range docs {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return n, fmt.Errorf("reading %s: %w", name, err)
		}
		faults, count := c.document(filepath.ToSlash(name), string(text))
		commands += count
		n += len(faults)
		for _, f := range faults {
			if _, err := fmt.Fprintln(w, f); err != nil {
				return n, err
			}
		}
	}
	_, err = fmt.Fprintf(w, "documents: %d files, %d commands, %d faults\n", len(docs), commands, n)
	return n, err
}

// documents returns the Markdown files of the root and of docs/ and deploy/.
func documents(root string) ([]string, error) {
	var out []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "deploy/*.md", "deploy/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			rel, err := filepath.Rel(root, f)
			if err != nil {
				return nil, err
			}
			out = append(out, rel)
		}
	}
	return out, nil
}

// help returns what a program prints for --help, or an error when it is not built or fails.
func help(path string, args []string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), helpTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append(slices.Clip(args), "--help")...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// targets returns the names that a makefile has rules for.
func targets(makefile string) map[string]bool {
	names := map[string]bool{}
	for line := range strings.Lines(makefile) {
		head, tail, ok := strings.Cut(line, ":")
		if !ok || strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "#") ||
			strings.HasPrefix(tail, "=") || strings.Contains(head, "=") {
			continue
		}
		for name := range strings.FieldsSeq(head) {
			names[name] = true
		}
	}
	return names
}
