package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const sample = `// Package p is about RFC 9132, Section 1.
package p

// Answer answers.
//
// RFC 9132, Section 4.4.1: a rule. RFC 9132, Section 4.4.1: again.
func Answer() {
	// RFC 9132, Section 4.4.10: inside
	// RFC 9132, Section 12.
	_ = "RFC 7252, Section 5.2.2: in a string"
}

// M is. RFC 8323, Section 3.2
func (t *T[K]) M() {}

// Group: RFC 9132, Section 6
const (
	A = 1 // RFC 9132, Section 7.1
	// B is (RFC 9132, Section 7.3).
	B = 2
	C = 3
)

// RFC 9132 as a whole, Section 9 and RFC 1, Section 2 are no marks.
type T[K any] struct {
	f int // RFC 9133, Section 3.2.2
}
`

func TestScan(t *testing.T) {
	got, err := scan(fstest.MapFS{
		"p/p.go":                {Data: []byte(sample)},
		"p/p_test.go":           {Data: []byte("package p\n\n// RFC 9132, Section 4.4.1\nfunc TestAnswer() {}\n")},
		"internal/testx/x.go":   {Data: []byte("package testx\n\n// RFC 9132, Section 5\nfunc X() {}\n")},
		"internal/tools/t/t.go": {Data: []byte("package t // RFC 9132, Section 5\n")},
		"p/testdata/x.go":       {Data: []byte("package x // RFC 9132, Section 5\n")},
		".bin/x.go":             {Data: []byte("package x // RFC 9132, Section 5\n")},
		"docs/x.md":             {Data: []byte("RFC 9132, Section 5\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []mark{
		{rfc: "9132", section: "5", file: "internal/testx/x.go", name: "X", test: true},
		{rfc: "9132", section: "1", file: "p/p.go"},
		{rfc: "9132", section: "4.4.1", file: "p/p.go", name: "Answer"},
		{rfc: "9132", section: "4.4.10", file: "p/p.go", name: "Answer"},
		{rfc: "9132", section: "12", file: "p/p.go", name: "Answer"},
		{rfc: "7252", section: "5.2.2", file: "p/p.go", name: "Answer"},
		{rfc: "8323", section: "3.2", file: "p/p.go", name: "T.M"},
		{rfc: "9132", section: "6", file: "p/p.go", name: "A"},
		{rfc: "9132", section: "7.1", file: "p/p.go", name: "A"},
		{rfc: "9132", section: "7.3", file: "p/p.go", name: "B"},
		{rfc: "9133", section: "3.2.2", file: "p/p.go", name: "T"},
		{rfc: "9132", section: "4.4.1", file: "p/p_test.go", name: "TestAnswer", test: true},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(mark{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := scan(fstest.MapFS{"a.go": {Data: []byte("pack")}}); err == nil {
		t.Error("a file that does not parse was read")
	}
}

func TestRender(t *testing.T) {
	doc, sum := render("# Head\n\nText.\n\n\n", []mark{
		{rfc: "9132", section: "4.10", file: "b.go", name: "B"},
		{rfc: "9132", section: "4.9", file: "a.go", name: "A"},
		{rfc: "9132", section: "4.9", file: "a.go", name: "A2"},
		{rfc: "9132", section: "4.9", file: "c.go"},
		{rfc: "9132", section: "4.9", file: "a_test.go", name: "TestA", test: true},
		{rfc: "768", section: "1", file: "u_test.go", name: "TestU", test: true},
	})
	want := "# Head\n\nText.\n\n" + generated + `
3 sections named, 2 of them in tests. A section without a test is a gap or is proved by a test of the whole.

## RFC 768

| section | code | tests |
|---|---|---|
| 1 | - | u_test.go: TestU |

## RFC 9132

| section | code | tests |
|---|---|---|
| 4.9 | a.go: A, A2<br>c.go | a_test.go: TestA |
| 4.10 | b.go: B | - |
`
	if diff := cmp.Diff(want, doc); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if sum != "3 sections named, 2 of them in tests" {
		t.Errorf("sum %q", sum)
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	step := func(check, wantFresh bool, wantText string) {
		t.Helper()
		var out strings.Builder
		fresh, err := run(&out, config{root: dir, head: "head.md", out: "out.md", check: check})
		if err != nil {
			t.Fatal(err)
		}
		if fresh != wantFresh || !strings.Contains(out.String(), wantText) {
			t.Errorf("fresh %v, said %q; want %v, %q", fresh, out.String(), wantFresh, wantText)
		}
	}
	if _, err := run(&strings.Builder{}, config{root: dir, head: "head.md", out: "out.md"}); err == nil {
		t.Error("wrote a document without a head")
	}
	write("head.md", "# Head\n")
	write("a.go", "package a\n\n// RFC 9132, Section 4.4.1\nfunc A() {}\n")
	step(true, false, "out.md is stale: run make docs")
	if _, err := os.Stat(filepath.Join(dir, "out.md")); err == nil {
		t.Error("checking wrote the document")
	}
	step(false, true, "out.md: 1 sections named, 0 of them in tests")
	step(true, true, "out.md is fresh")

	write("a.go", "package a\n\n\n\n// RFC 9132, Section 4.4.1\nfunc A() {}\n")
	step(true, true, "out.md is fresh") // a move within a file changes nothing
	write("a_test.go", "package a\n\n// RFC 9132, Section 4.4.1\nfunc TestA() {}\n")
	step(true, false, "stale")
	step(false, true, "1 of them in tests")
	write("head.md", "# Another head\n")
	step(true, false, "stale")
}
