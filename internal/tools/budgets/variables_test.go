package main

import (
	"testing"
	"testing/fstest"
)

// TestVariables goes through the ways in which a package variable is changed, hidden or only read.
func TestVariables(t *testing.T) {
	tests := []struct {
		name, body string
		want       string // why the variable t counts as mutable; "" if it does not
	}{
		{"through a pointer", "var t = new(int)\n\nfunc f() { *t = 1 }", "is assigned to"},
		{"in parentheses", "var t int\n\nfunc f() { (t) = 1 }", "is assigned to"},
		{"element of a field", "var t struct{ a map[int]int }\n\nfunc f() { t.a[1]++ }", "is assigned to"},
		{"emptied", "var t = map[int]int{}\n\nfunc f() { clear(t) }", "is deleted from"},
		{"among others", "var t int\n\nfunc f() { a, t = 1, 2 }", "is assigned to"},
		{"in a closure", "var t int\n\nfunc f() { func() { t = 1 }() }", "is assigned to"},
		{"in a method", "var t int\n\nfunc (x T) f() { t = 1 }", "is assigned to"},
		{"address of a field", "var t struct{ a int }\n\nfunc f() *int { return &t.a }", "has its address taken"},
		{"pointer to a lock", "var t *sync.RWMutex", "is of a type that is made to change"},
		{"one-time gate", "var t = sync.Once{}", "is of a type that is made to change"},
		{"generic atomic", "var t atomic.Pointer[int]", "is of a type that is made to change"},
		{"two reasons", "var t sync.Mutex\n\nfunc f() { t = sync.Mutex{} }", "is of a type that is made to change"},
		{"another package's sync", "var t = other.Mutex{}", ""},
		{"what a call returns", "var t = 1\n\nfunc f() { g().x = t }", ""},
		{"address of another thing", "var t = 1\n\nfunc f() *T { return &T{t} }", ""},
		{"a function named delete of a type", "var t = 1\n\nfunc f() { x.delete(t) }", ""},
		{"hidden by a range", "var t = 1\n\nfunc f() { for t := range x { t++ } }", ""},
		{"hidden by a range's value", "var t = 1\n\nfunc f() { for _, t := range x { t++ } }", ""},
		{"hidden by a declaration", "var t = 1\n\nfunc f() { var t int; t = 2 }", ""},
		{"hidden by a closure's parameter", "var t = 1\n\nfunc f() { func(t int) { t = 2 }(t) }", ""},
		{"hidden by a result", "var t = 1\n\nfunc f() (t int) { t = 2; return }", ""},
		{"a field of that name", "var t = 1\n\nfunc f() { x.t = t }", ""},
		{"a constant", "const t = 1", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			items := measured(t, source(tt.body))["mutable-package-variables"].items
			got := ""
			for _, it := range items {
				if it.place != "p/p.go:t" {
					t.Errorf("names %s", it.place)
				}
				got += it.text
			}
			want := ""
			if tt.want != "" {
				want = "p/p.go:4: t " + tt.want
			}
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestVariableOfAnotherFile: a package is one room, whatever file writes to its variables; another package is not.
func TestVariableOfAnotherFile(t *testing.T) {
	fsys := source("var t int")
	fsys["q/q.go"] = &fstest.MapFile{Data: []byte("// Package q is.\npackage q\n\nvar t int\n")}
	fsys["p/p_test.go"] = &fstest.MapFile{Data: []byte("package p\n\nfunc g() { t = 1 }\n")}
	if items := measured(t, fsys)["mutable-package-variables"].items; len(items) != 0 {
		t.Errorf("only a test writes to it: %v", items)
	}
	fsys["p/write.go"] = &fstest.MapFile{Data: []byte("package p\n\nfunc f() { t = 1 }\n")}
	items := measured(t, fsys)["mutable-package-variables"].items
	if len(items) != 1 || items[0].place != "p/p.go:t" {
		t.Errorf("got %v, want p/p.go:t alone", items)
	}
}

// TestNamesOfMethods shows how the receiver is told, since excuses name it.
func TestNamesOfMethods(t *testing.T) {
	for receiver, want := range map[string]string{
		"(T)": "T.F", "(t T)": "T.F", "(t *T)": "T.F", "(t *T[K])": "T.F", "(t T[K, V])": "T.F", "": "F",
	} {
		items := measured(t, source("func "+receiver+" F(a, b, c, d, e int) {}"))["parameters"].items
		if len(items) != 1 || items[0].place != "p/p.go:"+want {
			t.Errorf("%s: got %v, want %s", receiver, items, want)
		}
	}
}
