package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// source is a parsed file with its positions, and the mistakes found in it so far.
type source struct {
	name   string
	root   *ast.File
	errors Errors
}

// parse reads the file's structure into f. Unknown settings, doubled ones and wrong kinds of value are noted.
func parse(name string, text []byte, f *file) *source {
	s := &source{name: name}
	root, err := parser.ParseBytes(text, 0)
	if err != nil {
		s.yamlError(err)
		return s
	}
	s.root = root
	if len(root.Docs) == 0 || root.Docs[0].Body == nil {
		s.add("", "the file is empty", "start from: dotsgate config --example")
		return s
	}
	if len(root.Docs) > 1 {
		s.at(root.Docs[1].Start, "", "a second document in one file", "keep one, without the --- in between")
	}
	s.unknown(root.Docs[0].Body, reflect.TypeFor[file](), "")
	if len(s.errors) > 0 {
		return s
	}
	if err := yaml.NodeToValue(root.Docs[0].Body, f, yaml.Strict()); err != nil {
		s.yamlError(err)
	}
	return s
}

// yamlError notes what the library found.
func (s *source) yamlError(err error) {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil {
		s.at(y.GetToken(), "", y.GetMessage(), "see docs/configuration.md for what belongs here")
		return
	}
	s.add("", err.Error(), "see docs/configuration.md")
}

// at notes a mistake at a token.
func (s *source) at(t *token.Token, path, cause, fix string) {
	e := &Error{File: s.name, Path: path, Cause: cause, Fix: fix}
	if t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
	}
	s.errors = append(s.errors, e)
}

// add notes a mistake of a setting, at the setting or, where it is missing, at what should hold it.
func (s *source) add(path, cause, fix string) { s.at(s.find(path), path, cause, fix) }

// addf is add with a formatted cause.
func (s *source) addf(path, fix, format string, args ...any) {
	s.add(path, fmt.Sprintf(format, args...), fix)
}

// find returns the token of a setting, or of the nearest thing around it that the file has.
func (s *source) find(path string) *token.Token {
	if s.root == nil || len(s.root.Docs) == 0 {
		return nil
	}
	for p := path; p != ""; p = parent(p) {
		yp, err := yaml.PathString("$." + p)
		if err != nil {
			continue
		}
		if n, err := yp.FilterFile(s.root); err == nil && n != nil {
			return n.GetToken()
		}
	}
	return nil
}

// parent cuts the last step off a path.
func parent(path string) string {
	i := strings.LastIndexAny(path, ".[")
	if i < 0 {
		return ""
	}
	return path[:i]
}

// unknown notes every setting that t does not know, with the nearest one that it does.
func (s *source) unknown(n ast.Node, t reflect.Type, path string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		s.unknownIn(n.Values, t, path)
	case *ast.MappingValueNode:
		s.unknownIn([]*ast.MappingValueNode{n}, t, path)
	case *ast.SequenceNode:
		if t.Kind() != reflect.Slice {
			return
		}
		for i, v := range n.Values {
			s.unknown(v, t.Elem(), fmt.Sprintf("%s[%d]", path, i))
		}
	case *ast.AnchorNode:
		s.unknown(n.Value, t, path)
	}
}

func (s *source) unknownIn(values []*ast.MappingValueNode, t reflect.Type, path string) {
	for _, v := range values {
		key := v.Key.GetToken().Value
		at := strings.TrimPrefix(path+"."+key, ".")
		switch t.Kind() {
		case reflect.Map:
			s.unknown(v.Value, t.Elem(), at)
		case reflect.Struct:
			known, ok := settings(t)[key]
			if !ok {
				s.at(v.Key.GetToken(), at, "unknown setting", suggestion(key, t))
				continue
			}
			s.unknown(v.Value, known, at)
		}
	}
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
