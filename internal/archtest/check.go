package archtest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// rules is everything check judges by.
type rules struct {
	module   string // our module's path
	rooms    []room
	modules  []module
	standard []ban
}

// importer is one file's import of one package.
type importer struct {
	pkg  string // the importing package, relative to the module; "." is the root
	file string
	imp  string // the import path as written
	test bool   // a _test.go file
}

// check reads every Go file below fsys and returns one line per import that no rule allows.
func (r rules) check(fsys fs.FS) ([]string, error) {
	imports, err := scan(fsys)
	if err != nil {
		return nil, err
	}
	var bad []string
	for _, im := range imports {
		if msg := r.judge(im); msg != "" {
			bad = append(bad, fmt.Sprintf("%s: imports %s: %s", im.file, im.imp, msg))
		}
	}
	return bad, nil
}

// judge returns why im is not allowed, or "".
func (r rules) judge(im importer) string {
	if im.imp == r.module || strings.HasPrefix(im.imp, r.module+"/") {
		return r.judgeOurs(im, strings.TrimPrefix(strings.TrimPrefix(im.imp, r.module), "/"))
	}
	if first, _, _ := strings.Cut(im.imp, "/"); !strings.Contains(first, ".") && im.imp != "unsafe" {
		return r.judgeStandard(im)
	}
	return r.judgeModule(im)
}

func (r rules) judgeOurs(im importer, target string) string {
	if target == im.pkg { // an external test of its own package
		return ""
	}
	for _, rm := range r.rooms {
		if !matches(rm.path, im.pkg) {
			continue
		}
		if matchesAny(rm.may, target) || im.test && (matchesAny(rm.inTests, target) || matchesAny(helpers(), target)) {
			return ""
		}
		return fmt.Sprintf("%s may import %s: %s", rm.path, list(rm.may), rm.why)
	}
	return im.pkg + " is not in rooms.go: say there what it may import, and why"
}

func (r rules) judgeModule(im importer) string {
	for _, m := range r.modules {
		if im.imp != m.path && !strings.HasPrefix(im.imp, m.path+"/") {
			continue
		}
		if matchesAny(m.rooms, im.pkg) || im.test && m.tests {
			return ""
		}
		if m.tests && matchesAny(helpers(), im.pkg) { // a test helper is test code in another folder
			return ""
		}
		return fmt.Sprintf("only %s may: %s", users(m), m.why)
	}
	return "not in modules.go: say there who may import it, and why"
}

func (r rules) judgeStandard(im importer) string {
	for _, b := range r.standard {
		if im.test || !matches(b.path, im.pkg) {
			continue
		}
		for _, not := range b.not {
			if im.imp == not {
				return b.why
			}
		}
	}
	return ""
}

// scan returns the imports of every Go file, without those of testdata and of folders that begin with a dot.
func scan(fsys fs.FS) ([]importer, error) {
	var imports []importer
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "build"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		found, err := scanFile(fsys, name)
		imports = append(imports, found...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading imports: %w", err)
	}
	return imports, nil
}

func scanFile(fsys fs.FS, name string) ([]importer, error) {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	imports := make([]importer, 0, len(f.Imports))
	for _, spec := range f.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: unquoting %s: %w", name, spec.Path.Value, err)
		}
		imports = append(imports, importer{
			pkg: path.Dir(name), file: name, imp: imp, test: strings.HasSuffix(name, "_test.go"),
		})
	}
	return imports, nil
}

// matches reports whether pkg is what pattern stands for; see room.path.
func matches(pattern, pkg string) bool {
	if pattern == "**" {
		return true
	}
	head, wild := strings.CutSuffix(pattern, "*")
	if !wild {
		return pattern == pkg
	}
	rest, ok := strings.CutPrefix(pkg, head)
	return ok && rest != "" && !strings.Contains(rest, "/")
}

func matchesAny(patterns []string, pkg string) bool {
	for _, p := range patterns {
		if matches(p, pkg) {
			return true
		}
	}
	return false
}

func users(m module) string {
	switch {
	case len(m.rooms) == 0 && m.tests:
		return "test files"
	case len(m.rooms) == 0:
		return "nobody"
	case m.tests:
		return list(m.rooms) + " and test files"
	}
	return list(m.rooms)
}

func list(patterns []string) string {
	if len(patterns) == 0 {
		return "nothing of ours"
	}
	return strings.Join(patterns, ", ")
}
