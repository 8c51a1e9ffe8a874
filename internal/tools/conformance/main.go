// Command conformance gathers the marks "RFC nnnn, Section x.y" from code and tests and writes docs/conformance.md: a
// hand-written head and, for every section named, where it is implemented and where it is tested.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	cfg := config{}
	flag.StringVar(&cfg.root, "root", ".", "the module's folder")
	flag.StringVar(&cfg.head, "head", "docs/conformance.head.md", "the hand-written head, relative to root")
	flag.StringVar(&cfg.out, "out", "docs/conformance.md", "the document, relative to root")
	flag.BoolVar(&cfg.check, "check", false, "write nothing; exit 1 when the document is stale")
	flag.Parse()
	fresh, err := run(os.Stdout, cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(2)
	}
	if !fresh {
		os.Exit(1)
	}
}

// config is what run needs; all fields are required except check.
type config struct {
	root, head, out string
	check           bool
}

// run writes the document, or with check only compares it. It reports whether the document is now fresh.
func run(w io.Writer, cfg config) (bool, error) {
	marks, err := scan(os.DirFS(cfg.root))
	if err != nil {
		return false, err
	}
	head, err := os.ReadFile(filepath.Join(cfg.root, cfg.head))
	if err != nil {
		return false, fmt.Errorf("reading the head: %w", err)
	}
	doc, sum := render(string(head), marks)
	if cfg.check {
		return compare(w, cfg, doc, sum)
	}
	if err := os.WriteFile(filepath.Join(cfg.root, cfg.out), []byte(doc), 0o644); err != nil { //nolint:gosec // a document, for everybody to read
		return false, fmt.Errorf("writing the document: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s: %s\n", cfg.out, sum)
	return true, err
}

func compare(w io.Writer, cfg config, doc, sum string) (bool, error) {
	old, err := os.ReadFile(filepath.Join(cfg.root, cfg.out))
	if err != nil && !os.IsNotExist(err) {
		return false, fmt.Errorf("reading the document: %w", err)
	}
	if !bytes.Equal(old, []byte(doc)) {
		_, err = fmt.Fprintf(w, "%s is stale: run make docs (%s)\n", cfg.out, sum)
		return false, err
	}
	_, err = fmt.Fprintf(w, "%s is fresh: %s\n", cfg.out, sum)
	return true, err
}
