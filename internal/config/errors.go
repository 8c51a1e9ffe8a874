package config

import (
	"fmt"
	"strings"
)

// Error is a mistake in a configuration file.
type Error struct {
	File         string
	Line, Column int    // from 1; 0: of the file as a whole
	Path         string // the setting, such as listeners[0].address; empty: of the file as a whole
	Cause        string // what is wrong
	Fix          string // what to do about it
}

// Error returns file:line:column, the setting, the cause and the fix in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": ")
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Cause)
	if e.Fix != "" {
		b.WriteString("; " + e.Fix)
	}
	return b.String()
}

// Errors are all the mistakes that were found in a file, in the order of their lines.
type Errors []*Error

// Error returns a line per mistake.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}
