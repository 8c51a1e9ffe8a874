package main

import (
	"go/ast"
	"go/token"
	"strings"
)

// variable is a package variable of production code.
type variable struct {
	file *file
	pos  token.Pos
	name string
	why  string // why it counts as mutable; empty if it does not
}

// mutable finds package variables that can change: those that some function of the package assigns to, increments,
// deletes from or takes the address of; those whose type is made to change (sync, sync/atomic); and exported ones that
// are not errors, because any package could assign to them.
func (t *tree) mutable() []item {
	byDir := map[string][]*file{}
	var dirs []string
	for _, f := range t.files {
		if f.test {
			continue
		}
		if byDir[f.dir] == nil {
			dirs = append(dirs, f.dir)
		}
		byDir[f.dir] = append(byDir[f.dir], f)
	}
	var items []item
	for _, dir := range dirs {
		vars := declared(byDir[dir])
		for _, f := range byDir[dir] {
			markWrites(f, vars)
		}
		for _, f := range byDir[dir] {
			items = append(items, mutableIn(f, vars)...)
		}
	}
	return items
}

// mutableIn returns the mutable variables of one file, in the order of their declaration.
func mutableIn(f *file, vars map[string]*variable) []item {
	var items []item
	eachVar(f, func(name *ast.Ident, _ *ast.ValueSpec, _ int) {
		if v := vars[name.Name]; v != nil && v.pos == name.Pos() && v.file == f && v.why != "" {
			items = append(items, at(f, v.pos, v.name, v.name+" "+v.why)...)
		}
	})
	return items
}

func eachVar(f *file, visit func(name *ast.Ident, spec *ast.ValueSpec, i int)) {
	for _, d := range f.ast.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, s := range g.Specs {
			spec, ok := s.(*ast.ValueSpec)
			if !ok {
				continue
			}
			for i, name := range spec.Names {
				visit(name, spec, i)
			}
		}
	}
}

func declared(files []*file) map[string]*variable {
	vars := map[string]*variable{}
	for _, f := range files {
		eachVar(f, func(name *ast.Ident, spec *ast.ValueSpec, i int) {
			if name.Name == "_" {
				return
			}
			v := &variable{file: f, pos: name.Pos(), name: name.Name}
			switch {
			case changing(spec.Type) || i < len(spec.Values) && changing(spec.Values[i]):
				v.why = "is of a type that is made to change"
			case name.IsExported() && !strings.HasPrefix(name.Name, "Err"):
				v.why = "is exported, so that any package could change it"
			}
			vars[name.Name] = v
		})
	}
	return vars
}

// changing reports whether an expression is of a type of sync or sync/atomic, as far as its text tells.
func changing(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.UnaryExpr:
		return changing(e.X)
	case *ast.StarExpr:
		return changing(e.X)
	case *ast.CompositeLit:
		return changing(e.Type)
	case *ast.IndexExpr:
		return changing(e.X)
	case *ast.SelectorExpr:
		x, ok := e.X.(*ast.Ident)
		return ok && (x.Name == "sync" || x.Name == "atomic")
	}
	return false
}

// write is an expression that is written to.
type write struct {
	to  ast.Expr
	why string
}

// markWrites notes the variables that f's functions change.
func markWrites(f *file, vars map[string]*variable) {
	for _, fn := range functions(f) {
		local := locals(fn)
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			for _, w := range writes(n) {
				id := root(w.to)
				if id == nil || local[id.Name] {
					continue
				}
				if v := vars[id.Name]; v != nil && v.why == "" {
					v.why = w.why
				}
			}
			return true
		})
	}
}

// writes returns what a node writes to.
func writes(n ast.Node) []write {
	switch n := n.(type) {
	case *ast.AssignStmt:
		var out []write
		for _, lhs := range n.Lhs {
			if n.Tok != token.DEFINE {
				out = append(out, write{lhs, "is assigned to"})
			}
		}
		return out
	case *ast.IncDecStmt:
		return []write{{n.X, "is assigned to"}}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			return []write{{n.X, "has its address taken"}}
		}
	case *ast.CallExpr:
		if fn, ok := n.Fun.(*ast.Ident); ok && (fn.Name == "delete" || fn.Name == "clear") && len(n.Args) > 0 {
			return []write{{n.Args[0], "is deleted from"}}
		}
	}
	return nil
}

// locals returns the names that a function declares anywhere: a package variable of the same name is taken as hidden.
func locals(fn *ast.FuncDecl) map[string]bool {
	names := map[string]bool{}
	add := func(exprs ...ast.Expr) {
		for _, e := range exprs {
			if id, ok := e.(*ast.Ident); ok {
				names[id.Name] = true
			}
		}
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				add(n.Lhs...)
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				add(n.Key, n.Value)
			}
		case *ast.ValueSpec:
			for _, id := range n.Names {
				add(id)
			}
		case *ast.Field:
			for _, id := range n.Names {
				add(id)
			}
		}
		return true
	})
	return names
}

// root returns the identifier at the start of x.f[i]. and the like.
func root(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.SelectorExpr:
		return root(e.X)
	case *ast.IndexExpr:
		return root(e.X)
	case *ast.StarExpr:
		return root(e.X)
	case *ast.ParenExpr:
		return root(e.X)
	}
	return nil
}
