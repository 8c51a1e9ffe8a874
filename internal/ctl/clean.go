package ctl

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean returns s with everything escaped that could steer a terminal or hide in it: control characters, invalid bytes,
// marks of direction and spaces that are none. What peers say is shown through it.
func Clean(s string) string {
	plain := true
	for _, r := range s {
		plain = plain && shown(r)
	}
	if plain {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[0]), 16))
		case shown(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[size:]
	}
	return b.String()
}

// shown reports whether a character is shown as it is.
func shown(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) }

// cleanJSON escapes in a JSON document what encoding/json leaves and a terminal may take for a command. Outside of strings
// a document holds none of it, so that its meaning stays.
func cleanJSON(document []byte) []byte {
	var b []byte
	for _, r := range string(document) {
		switch {
		case r == '\n' || shown(r):
			b = utf8.AppendRune(b, r)
		case r > 0xffff:
			high, low := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
			b = append(b, `\u`+strconv.FormatUint(uint64(high), 16)+`\u`+strconv.FormatUint(uint64(low), 16)...)
		default:
			hex := strconv.FormatUint(uint64(r), 16)
			b = append(b, `\u`+strings.Repeat("0", 4-len(hex))+hex...)
		}
	}
	return b
}
