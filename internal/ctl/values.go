package ctl

import (
	"fmt"
	"strings"
)

// flagValues are the values of a flag that may be repeated, each of them a list.
type flagValues struct {
	name   string
	values []string
	commas bool // a comma is part of a value, as of a URI: white space alone separates
}

// parts takes the lists apart at commas and white space. A part that is empty is an error: what was meant to be there, such
// as a variable of a script, would be left out without a word.
func (f flagValues) parts() ([]string, error) {
	var all []string
	for _, value := range f.values {
		list := []string{value}
		if !f.commas {
			list = strings.Split(value, ",")
		}
		for _, part := range list {
			words := strings.Fields(part)
			if len(words) == 0 {
				return nil, fmt.Errorf("--%s %q: a value is empty", f.name, value)
			}
			all = append(all, words...)
		}
	}
	return all, nil
}

// each appends what every part of a flag's values stands for.
func each[T any](f flagValues, parse func(string) (T, error), into *[]T) error {
	parts, err := f.parts()
	if err != nil {
		return err
	}
	for _, s := range parts {
		v, err := parse(s)
		if err != nil {
			return err
		}
		*into = append(*into, v)
	}
	return nil
}

func asItIs(s string) (string, error) { return s, nil }
