package main

import (
	"go/ast"
	"go/token"
	"strings"
)

const undocumentedText = " is exported and not documented"

// undocumented finds exported names of production code without a comment. The comment of a group stands for its
// constants, variables or types.
func undocumented(f *file) []item {
	if f.test || f.ast.Name.Name == "main" {
		return nil
	}
	var items []item
	for _, d := range f.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Doc == nil && exported(d) {
				items = append(items, at(f, d.Pos(), nameOf(d), nameOf(d)+undocumentedText)...)
			}
		case *ast.GenDecl:
			if d.Doc == nil && d.Tok != token.IMPORT {
				items = append(items, undocumentedSpecs(f, d)...)
			}
		}
	}
	return items
}

// exported reports whether others can call fn: the method of a hidden type can only be reached through an interface.
func exported(fn *ast.FuncDecl) bool {
	if !fn.Name.IsExported() {
		return false
	}
	return fn.Recv == nil || len(fn.Recv.List) == 0 || ast.IsExported(receiver(fn.Recv.List[0].Type))
}

func undocumentedSpecs(f *file, d *ast.GenDecl) []item {
	var items []item
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Doc == nil && spec.Name.IsExported() {
				items = append(items, at(f, spec.Pos(), spec.Name.Name, spec.Name.Name+undocumentedText)...)
			}
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				if spec.Doc == nil && spec.Comment == nil && name.IsExported() {
					items = append(items, at(f, spec.Pos(), name.Name, name.Name+undocumentedText)...)
				}
			}
		}
	}
	return items
}

// packagesUndocumented finds packages none of whose files says what the package is. A package of tests alone needs no
// comment.
func (t *tree) packagesUndocumented() []item {
	documented, first := map[string]bool{}, map[string]*file{}
	for _, f := range t.files {
		if strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		if first[f.dir] == nil {
			first[f.dir] = f
		}
		if doc := f.ast.Doc.Text(); strings.HasPrefix(doc, "Package "+f.ast.Name.Name+" ") || strings.HasPrefix(doc, "Command ") {
			documented[f.dir] = true
		}
	}
	var items []item
	for _, f := range t.files {
		if first[f.dir] == f && !documented[f.dir] {
			items = append(items, item{place: f.dir, text: f.dir + `: no comment "Package ` + f.ast.Name.Name + ` ..." (or "Command ...")`})
		}
	}
	return items
}
