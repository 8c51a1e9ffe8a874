package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// tree is what is measured.
type tree struct {
	files []*file
	root  []string // the names in the module's folder, without those that begin with a dot
	gomod string
}

// file is one Go file.
type file struct {
	path  string // relative to the module, with slashes
	dir   string
	test  bool // a test file, or code made for tests only
	lines int
	src   string
	fset  *token.FileSet
	ast   *ast.File
}

// line returns the line of a position.
func (f *file) line(p token.Pos) int { return f.fset.Position(p).Line }

// load reads the module in fsys. Generated files, testdata and folders that begin with a dot are not measured.
func load(fsys fs.FS) (*tree, error) {
	t := &tree{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skipped(name, d.Name()):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		f, err := loadFile(fsys, name)
		if f != nil {
			t.files = append(t.files, f)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the tree: %w", err)
	}
	return t, t.loadRoot(fsys)
}

func (t *tree) loadRoot(fsys fs.FS) error {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return fmt.Errorf("reading the root: %w", err)
	}
	for _, e := range entries {
		if !skipped(e.Name(), e.Name()) && !strings.HasPrefix(e.Name(), ".") {
			t.root = append(t.root, e.Name())
		}
	}
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return fmt.Errorf("reading the dependencies: %w", err)
	}
	t.gomod = string(mod)
	return nil
}

// skipped reports whether a folder is none of the module's source: hidden, test data, or what git ignores.
func skipped(name, base string) bool {
	if name == "." {
		return false
	}
	return strings.HasPrefix(base, ".") || base == "testdata" || name == "build" || name == "lab"
}

func loadFile(fsys fs.FS, name string) (*file, error) {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	generated := regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
	if generated.Match(src) {
		return nil, nil
	}
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, name, src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	return &file{
		path: name, dir: path.Dir(name), test: forTests(name),
		lines: bytes.Count(src, []byte("\n")), src: string(src), fset: fset, ast: parsed,
	}, nil
}

// forTests reports whether a file is code made for tests: by its name, or in a package of test helpers.
func forTests(name string) bool {
	return strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "internal/test") ||
		strings.HasPrefix(name, "store/storetest/") || strings.HasPrefix(name, "internal/archtest/")
}
