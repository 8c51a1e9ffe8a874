package policy

import (
	"strings"
	"time"
	"unicode"

	"github.com/dotsgate/dotsgate/dots"
)

// ellipsis stands for what a diagnostic has no room for.
const ellipsis = ".."

// refusal makes a 4.00 that names what is wrong: parameter, its value and why, within dots.MaxDiagnostic bytes. The value comes
// from the peer and ends up in logs too, so nothing in it may forge a line.
func refusal(parameter, value, why string) *dots.Error {
	room := dots.MaxDiagnostic - len(parameter) - len(why) - 2
	return dots.Refuse(dots.CodeBadRequest, parameter+" "+clip(printable(value), room)+" "+why)
}

// unavailable makes a 5.03 with Max-Age (the gateway's choice for quotas and failed resolution).
func unavailable(text string, after time.Duration) *dots.Error {
	return &dots.Error{Code: dots.CodeUnavailable, Text: text, MaxAge: after}
}

// printable replaces what is not printable, and broken UTF-8, by a question mark.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, s)
}

// clip shortens s to at most n bytes, on a rune boundary.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	cut := 0
	for i := range s {
		if i > n-len(ellipsis) {
			break
		}
		cut = i
	}
	return s[:cut] + ellipsis
}
