package logging

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// cleaner makes every string in a record safe to show: see clean. Numbers, times and truth values pass as they are;
// anything else is logged as the string it prints as.
type cleaner struct{ next slog.Handler }

func newCleaner(next slog.Handler) *cleaner { return &cleaner{next: next} }

// Enabled asks the next handler.
func (c *cleaner) Enabled(ctx context.Context, level slog.Level) bool {
	return c.next.Enabled(ctx, level)
}

// Handle hands on a clean copy of r.
func (c *cleaner) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, clean(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(cleanAttr(a))
		return true
	})
	return c.next.Handle(ctx, out)
}

// WithAttrs returns a handler that adds clean copies of attrs to every record.
func (c *cleaner) WithAttrs(attrs []slog.Attr) slog.Handler {
	return newCleaner(c.next.WithAttrs(cleanAttrs(attrs)))
}

// WithGroup returns a handler that puts what follows into a group.
func (c *cleaner) WithGroup(name string) slog.Handler {
	if name == "" {
		return c
	}
	return newCleaner(c.next.WithGroup(clean(name)))
}

func cleanAttrs(attrs []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = cleanAttr(a)
	}
	return out
}

func cleanAttr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindGroup:
		v = slog.GroupValue(cleanAttrs(v.Group())...)
	case slog.KindString:
		v = slog.StringValue(clean(v.String()))
	case slog.KindAny:
		v = slog.StringValue(clean(printed(v.Any())))
	}
	return slog.Attr{Key: clean(a.Key), Value: v}
}

// printed returns what x prints as. A value whose own method panics must not end the program, and fmt sees to that.
func printed(x any) string {
	if b, ok := x.([]byte); ok { // bytes are shown as text: what is not printable is escaped anyway
		return string(b)
	}
	return fmt.Sprintf("%+v", x)
}

// clean returns s with everything that is not printable written as a Go escape sequence: control characters, line ends,
// terminal escapes, characters that turn the direction of writing, spaces that are not ' ', and bytes that are not UTF-8.
// A result longer than MaxValue bytes is cut and ends in a note of how many bytes of s are missing. At most MaxValue
// bytes of s are looked at, however long it is.
func clean(s string) string {
	if harmless(s) {
		return s
	}
	var b strings.Builder
	cut, at := 0, 0 // cut: the length and place at which a note of the rest still fits
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		part := escape(r, s[i:i+size])
		if b.Len()+len(part) > MaxValue {
			return b.String()[:cut] + rest(len(s)-at)
		}
		b.WriteString(part)
		i += size
		if b.Len()+len(rest(len(s)-i)) <= MaxValue {
			cut, at = b.Len(), i
		}
	}
	return b.String()
}

// harmless reports whether s is short, plain ASCII: nearly all values are.
func harmless(s string) bool {
	if len(s) > MaxValue {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// escape returns how one character is written; raw are its bytes.
func escape(r rune, raw string) string {
	if r == utf8.RuneError && len(raw) == 1 {
		return fmt.Sprintf(`\x%02x`, raw[0])
	}
	if unicode.IsPrint(r) {
		return raw
	}
	return strings.Trim(strconv.QuoteRuneToASCII(r), "'")
}

// rest is the note at the end of a value that was cut.
func rest(n int) string { return "...(" + strconv.Itoa(n) + " more bytes)" }
