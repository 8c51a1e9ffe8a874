package config

import (
	"errors"
	"testing"
)

// FuzzParse holds that no text makes Parse panic, and that what it says of a mistake lies in the text.
func FuzzParse(f *testing.F) {
	for _, text := range []string{good, Example, "", "a: &a [*a]", "node: {id: !!int x}", "domains: [{aliases: {a: null}}]", "<<: {}", "? [a]\n: b"} {
		f.Add(text)
	}
	dir := folder(f)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseIn(dir, text)
		if (c == nil) == (err == nil) {
			t.Fatalf("configuration %v and error %v", c, err)
		}
		if err == nil {
			return
		}
		var es Errors
		if !errors.As(err, &es) || len(es) == 0 {
			t.Fatalf("an error that is no list of mistakes: %v", err)
		}
		for _, e := range es {
			if e.Cause == "" || e.Line < 0 {
				t.Errorf("a mistake without cause: %+v", e)
			}
		}
	})
}
