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
	// scenarios are the scripts that tests play.
	scenarios []scenario
	root      []string // the names in the module's folder, without those that begin with a dot
	gomod     string
}

// scenario is a script of commands and expected traces, which its package's tests play.
type scenario struct {
	path  string // relative to the module, with slashes
	lines int
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

// load reads the module in fsys. Generated files, folders that begin with a dot and test data other than scenarios are
// not measured.
func load(fsys fs.FS) (*tree, error) {
	t := &tree{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == testData:
			if err := t.loadScenarios(fsys, name); err != nil {
				return err
			}
			return fs.SkipDir
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

const (
	testData    = "testdata"        // the folder's name that the go command keeps for the data of tests
	toolsFolder = "internal/tools/" // counts neither as production nor as tests; see testRatio
)

// loadScenarios counts the scenario files below a folder of test data.
func (t *tree) loadScenarios(fsys fs.FS, dir string) error {
	return fs.WalkDir(fsys, dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !isScenario(name) {
			return err
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		t.scenarios = append(t.scenarios, scenario{path: name, lines: bytes.Count(src, []byte("\n"))})
		return nil
	})
}

// isScenario reports whether a file of test data is a script. Text outside of the core's folder may be anything, such as
// the dump of a message, and lines of data are no measure of testing.
func isScenario(name string) bool {
	if strings.HasPrefix(name, toolsFolder) {
		return false
	}
	return path.Ext(name) == ".txtar" || path.Ext(name) == ".txt" && strings.HasPrefix(name, "gateway/"+testData+"/")
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
	return strings.HasPrefix(base, ".") || base == testData || name == "build" || name == "lab"
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
