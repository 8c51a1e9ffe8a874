package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"regexp"
	"strings"
)

// mark is one place that names a section.
type mark struct {
	rfc, section string // "9132", "4.4.1"
	file         string // relative to the module
	name         string // of the declaration the mark stands in or above; empty for the file as a whole
	test         bool
}

// scan returns the marks of all Go files, in the order of files and lines, each place and section once. The tools and
// the rules about imports implement no protocol and are left out.
func scan(fsys fs.FS) ([]mark, error) {
	var marks []mark
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && skipped(name, d.Name()):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		found, err := scanFile(fsys, name)
		marks = append(marks, found...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("gathering marks: %w", err)
	}
	return marks, nil
}

func skipped(name, base string) bool {
	return strings.HasPrefix(base, ".") || base == "testdata" || name == "internal/tools" || name == "internal/archtest" ||
		name == "build" || name == "lab"
}

func scanFile(fsys fs.FS, name string) ([]mark, error) {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	base := fset.File(f.FileStart).Base()
	form := regexp.MustCompile(`RFC (\d{3,5}), Section (\d+(?:\.\d+)*)`)
	seen := map[mark]bool{}
	var marks []mark
	for _, at := range form.FindAllSubmatchIndex(src, -1) {
		m := mark{
			rfc: string(src[at[2]:at[3]]), section: string(src[at[4]:at[5]]),
			file: name, name: enclosing(f, token.Pos(base+at[0])), test: forTests(name),
		}
		if !seen[m] {
			seen[m] = true
			marks = append(marks, m)
		}
	}
	return marks, nil
}

func forTests(name string) bool {
	return strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "internal/test") || strings.HasPrefix(name, "store/storetest/")
}

// enclosing returns the name of the declaration that a position is in; a declaration's comment is part of it. In a group
// the name is that of the single constant, variable or type, or of the first one for the comment of the group.
func enclosing(f *ast.File, pos token.Pos) string {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if within(d, d.Doc, nil, pos) {
				return funcName(d)
			}
		case *ast.GenDecl:
			if within(d, d.Doc, nil, pos) {
				return specName(d, pos)
			}
		}
	}
	return ""
}

// within reports whether pos is in n, in the comment before it or in the one behind it.
func within(n ast.Node, before, behind *ast.CommentGroup, pos token.Pos) bool {
	from, to := n.Pos(), n.End()
	if before != nil {
		from = before.Pos()
	}
	if behind != nil {
		to = behind.End()
	}
	return from <= pos && pos < to
}

func funcName(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return d.Name.Name
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name + "." + d.Name.Name
		default:
			return d.Name.Name
		}
	}
}

func specName(d *ast.GenDecl, pos token.Pos) string {
	first := ""
	for _, s := range d.Specs {
		name := ""
		var before, behind *ast.CommentGroup
		switch s := s.(type) {
		case *ast.TypeSpec:
			name, before, behind = s.Name.Name, s.Doc, s.Comment
		case *ast.ValueSpec:
			name, before, behind = s.Names[0].Name, s.Doc, s.Comment
		}
		if first == "" {
			first = name
		}
		if within(s, before, behind, pos) {
			return name
		}
	}
	return first
}
