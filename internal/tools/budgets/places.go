package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"strings"
)

func citation() *regexp.Regexp { return regexp.MustCompile(`RFC \d{3,5}, Section \d+(\.\d+)*`) }

// at makes an item for a named thing in a file; name may be empty.
func at(f *file, pos token.Pos, name, what string) []item {
	place := f.path
	if name != "" {
		place += ":" + name
	}
	return []item{{place: place, text: fmt.Sprintf("%s:%d: %s", f.path, f.line(pos), what)}}
}

func fileLines(f *file) []item {
	if f.lines <= maxFileLines {
		return nil
	}
	return at(f, f.ast.Name.Pos(), "", fmt.Sprint(f.lines, " lines"))
}

func mainLines(f *file) []item {
	if f.test || !strings.HasPrefix(f.path, "cmd/") || path.Base(f.path) != "main.go" || f.lines <= maxMainLines {
		return nil
	}
	return at(f, f.ast.Name.Pos(), "", fmt.Sprint(f.lines, " lines"))
}

// functions returns the declared functions and methods that have a body.
func functions(f *file) []*ast.FuncDecl {
	var out []*ast.FuncDecl
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
			out = append(out, fn)
		}
	}
	return out
}

// eachFunction gathers what find finds in the production functions of a file.
func eachFunction(f *file, find func(*ast.FuncDecl) []item) []item {
	if f.test {
		return nil
	}
	var items []item
	for _, fn := range functions(f) {
		items = append(items, find(fn)...)
	}
	return items
}

// nameOf returns T.Method or Function.
func nameOf(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return fn.Name.Name
	}
	return receiver(fn.Recv.List[0].Type) + "." + fn.Name.Name
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// linesOf counts the lines of a declaration without its comment.
func linesOf(f *file, n ast.Node) int { return f.line(n.End()) - f.line(n.Pos()) + 1 }

func functionLines(f *file) []item {
	return eachFunction(f, func(fn *ast.FuncDecl) []item {
		if n := linesOf(f, fn); n > maxFunctionLines {
			return excusable(f, fn, "funlen", fmt.Sprintf("%s has %d lines", nameOf(fn), n))
		}
		return nil
	})
}

// excusable makes an item for a function, with the reason that stands in a comment "//nolint:LINTER // reason" on its
// first line or the line above.
func excusable(f *file, fn *ast.FuncDecl, linter, what string) []item {
	items := at(f, fn.Pos(), nameOf(fn), what)
	form := regexp.MustCompile(`^//nolint:[a-z0-9,]*\b` + linter + `\b[a-z0-9,]* // (\S+ \S+.*)`)
	for _, g := range f.ast.Comments {
		for _, c := range g.List {
			behind := f.line(fn.Pos()) - f.line(c.Pos())
			if m := form.FindStringSubmatch(c.Text); m != nil && (behind == 0 || behind == 1) {
				items[0].excuse = m[1]
			}
		}
	}
	return items
}

func complexities(f *file) []item {
	return eachFunction(f, func(fn *ast.FuncDecl) []item {
		if n := complexity(fn); n > maxComplexity {
			return excusable(f, fn, "gocyclo", fmt.Sprintf("%s has complexity %d", nameOf(fn), n))
		}
		return nil
	})
}

// complexity is the cyclomatic one: one, and one more for every branch, loop, case, && and ||.
func complexity(fn *ast.FuncDecl) int {
	n := 1
	ast.Inspect(fn, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			n++
		case *ast.CaseClause:
			if node.List != nil {
				n++
			}
		case *ast.CommClause:
			if node.Comm != nil {
				n++
			}
		case *ast.BinaryExpr:
			if node.Op == token.LAND || node.Op == token.LOR {
				n++
			}
		}
		return true
	})
	return n
}

func parameters(f *file) []item {
	return eachFunction(f, func(fn *ast.FuncDecl) []item {
		if n := fn.Type.Params.NumFields(); n > maxParameters {
			return at(f, fn.Pos(), nameOf(fn), fmt.Sprintf("%s has %d parameters", nameOf(fn), n))
		}
		return nil
	})
}

func interfaces(f *file) []item {
	if f.test {
		return nil
	}
	var items []item
	ast.Inspect(f.ast, func(node ast.Node) bool {
		spec, ok := node.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if t, ok := spec.Type.(*ast.InterfaceType); ok && t.Methods.NumFields() > maxMethods {
			items = append(items, at(f, spec.Pos(), spec.Name.Name, fmt.Sprintf("%s has %d methods", spec.Name.Name, t.Methods.NumFields()))...)
		}
		return true
	})
	return items
}

func inits(f *file) []item {
	return eachFunction(f, func(fn *ast.FuncDecl) []item {
		if fn.Recv == nil && fn.Name.Name == "init" {
			return at(f, fn.Pos(), "init", "init function")
		}
		return nil
	})
}

// eachComment gathers the comments that begin with what form matches and do not match good.
func eachComment(f *file, form, good *regexp.Regexp) []item {
	var items []item
	for _, g := range f.ast.Comments {
		for _, c := range g.List {
			if form.MatchString(c.Text) && !good.MatchString(c.Text) {
				items = append(items, at(f, c.Pos(), "", fmt.Sprintf("%.60s", c.Text))...)
			}
		}
	}
	return items
}

// todos: a reason is at least three words after "TODO: " or "TODO(who): ".
func todos(f *file) []item {
	return eachComment(f, regexp.MustCompile(`^/[/*]\s*(TODO|FIXME|XXX)\b`), regexp.MustCompile(`\b(TODO|FIXME|XXX)(\([^)]*\))?: \S+ \S+ \S+`))
}

// nolints: the linters are named and a reason of at least two words follows in a comment of its own.
func nolints(f *file) []item {
	return eachComment(f, regexp.MustCompile(`^//\s*nolint\b`), regexp.MustCompile(`^//nolint:[a-z0-9,]+ // \S+ \S+`))
}
