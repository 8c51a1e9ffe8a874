package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// source is a parsed file with its positions, and the mistakes found in it so far.
type source struct {
	name     string
	places   map[string]*token.Token // of every setting that the file has
	errors   Errors
	unusable bool // what was found leaves nothing to check further
}

// parse reads a file's structure into what f points to. Unknown settings, doubled ones and wrong kinds of value are noted. empty says what to do about
// a file without anything.
func parse(name string, text []byte, f any, empty string) *source {
	s := &source{name: name, places: map[string]*token.Token{}}
	root, err := parser.ParseBytes(text, 0)
	if err != nil {
		s.yamlError(err)
		return s
	}
	if len(root.Docs) == 0 || root.Docs[0].Body == nil {
		s.add("", "the file is empty", empty)
		s.unusable = true
		return s
	}
	if len(root.Docs) > 1 {
		s.at(root.Docs[1].Start, "", "a second document in one file", "keep one, without the --- in between")
	}
	s.walk(root.Docs[0].Body, reflect.TypeOf(f), "")
	if s.unusable {
		return s
	}
	var strict []yaml.DecodeOption
	if len(s.errors) == 0 {
		strict = append(strict, yaml.Strict())
	}
	if err := yaml.NodeToValue(root.Docs[0].Body, f, strict...); err != nil {
		s.yamlError(err)
	}
	return s
}

// yamlError notes what the library found.
func (s *source) yamlError(err error) {
	s.unusable = true
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
	for p := path; p != ""; p = parent(p) {
		if t := s.places[p]; t != nil {
			return t
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
