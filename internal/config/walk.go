package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// walk goes through what the file has, notes where each setting is, which are unknown, and which are of the wrong kind for t.
func (s *source) walk(n ast.Node, t reflect.Type, path string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch n := n.(type) {
	case *ast.AnchorNode:
		s.walk(n.Value, t, path)
	case *ast.AliasNode, *ast.NullNode, *ast.TagNode: // another place has the positions; nothing; the decoder knows
	case *ast.MappingNode:
		s.settings(n, n.Values, t, path)
	case *ast.MappingValueNode:
		s.settings(n, []*ast.MappingValueNode{n}, t, path)
	case *ast.SequenceNode:
		if t.Kind() != reflect.Slice {
			s.wrongKind(n, t, path)
			return
		}
		for i, v := range n.Values {
			at := fmt.Sprintf("%s[%d]", path, i)
			s.places[at] = first(v)
			s.walk(v, t.Elem(), at)
		}
	default:
		if !scalar(n, t) {
			s.wrongKind(n, t, path)
		}
	}
}

// settings walks through settings by name.
func (s *source) settings(n ast.Node, values []*ast.MappingValueNode, t reflect.Type, path string) {
	if t.Kind() != reflect.Struct && t.Kind() != reflect.Map {
		s.wrongKind(n, t, path)
		return
	}
	for _, v := range values {
		if v.Key.IsMergeKey() {
			continue
		}
		key := v.Key.GetToken().Value
		at := strings.TrimPrefix(path+"."+key, ".")
		s.places[at] = v.Key.GetToken()
		if _, ok := v.Value.(ast.ScalarNode); ok {
			s.places[at] = v.Value.GetToken()
		}
		if t.Kind() == reflect.Map {
			s.walk(v.Value, t.Elem(), at)
		} else if known, ok := settings(t)[key]; ok {
			s.walk(v.Value, known, at)
		} else {
			s.at(v.Key.GetToken(), at, "unknown setting", suggestion(key, t))
		}
	}
}

// first returns where a value begins.
func first(n ast.Node) *token.Token {
	switch n := n.(type) {
	case *ast.MappingNode:
		if len(n.Values) > 0 {
			return n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		return n.Key.GetToken()
	}
	return n.GetToken()
}

// scalar reports whether a single value can be of kind t. Of numbers and words the decoder makes text.
func scalar(n ast.Node, t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Int, reflect.Int64, reflect.Uint64:
		_, ok := n.(*ast.IntegerNode)
		return ok
	case reflect.Float64:
		switch n.(type) {
		case *ast.IntegerNode, *ast.FloatNode:
			return true
		}
		return false
	case reflect.Bool:
		_, ok := n.(*ast.BoolNode)
		return ok
	}
	return t.Kind() == reflect.String
}

// wrongKind notes a value that is of another kind than t.
func (s *source) wrongKind(n ast.Node, t reflect.Type, path string) {
	s.unusable = true
	cause, fix := "not a value", "write a single word or a text in quotes"
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		cause, fix = "settings are expected here", "indent NAME: VALUE lines below it, or write {NAME: VALUE}"
	case reflect.Slice:
		cause, fix = "a list is expected here", "write [A, B], or lines that begin with -"
	case reflect.Bool:
		cause, fix = "not true or false", "write true or false, without quotes"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		cause, fix = "not a whole number", "write digits only, without quotes"
	case reflect.Float64:
		cause, fix = "not a number", "write it as 0.7, without quotes"
	}
	s.at(first(n), path, cause, fix)
}

// settings lists a file type's settings by name.
func settings(t reflect.Type) map[string]reflect.Type {
	of := make(map[string]reflect.Type, t.NumField())
	for i := range t.NumField() {
		of[t.Field(i).Tag.Get("yaml")] = t.Field(i).Type
	}
	return of
}

// suggestion names the setting that was probably meant.
func suggestion(key string, t reflect.Type) string {
	best, distance := "", 4
	var names []string
	for name := range settings(t) {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if d := editDistance(key, name); d < distance && d < len(name) {
			best, distance = name, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "remove it; known here: " + strings.Join(names, ", ")
}

// editDistance counts the single letters to insert, delete or change between two words.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
