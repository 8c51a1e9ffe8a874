package logging

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", "", ""},
		{"ASCII", "203.0.113.7:4646", "203.0.113.7:4646"},
		{"other scripts", "Zürich 東京", "Zürich 東京"},
		{"line ends", "a\r\nb", `a\r\nb`},
		{"escape", "\x1b[31m", `\x1b[31m`},
		{"direction", "a\u202eb", `a\u202eb`},
		{"beyond the plane", "a\U000e0041", `a\U000e0041`},
		{"not UTF-8", "a\xffb", `a\xffb`},
		{"the replacement character itself", "a\ufffdb", "a\ufffdb"},
		{"exactly the limit", strings.Repeat("a", MaxValue), strings.Repeat("a", MaxValue)},
		{"one more", strings.Repeat("a", MaxValue+1), strings.Repeat("a", 238) + "...(19 more bytes)"},
		{"64 KB", strings.Repeat("a", 64<<10), strings.Repeat("a", 235) + "...(65301 more bytes)"},
		{"grows past the limit", strings.Repeat("\n", 129), strings.Repeat(`\n`, 119) + "...(10 more bytes)"},
		{"grows to the limit", strings.Repeat("\n", 128), strings.Repeat(`\n`, 128)},
		{"is not cut inside a character", strings.Repeat("東", 90), strings.Repeat("東", 79) + "...(33 more bytes)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := clean(tt.in); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range hostile() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if len(got) > MaxValue || !utf8.ValidString(got) {
			t.Fatalf("%d bytes: %q", len(got), got)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Fatalf("%U in %q", r, got)
			}
		}
		if again := clean(got); again != got {
			t.Fatalf("cleaning twice changes %q to %q", got, again)
		}
	})
}

// TestCleanCostsNothingForTheOrdinary keeps the common path free of allocations.
func TestCleanCostsNothingForTheOrdinary(t *testing.T) {
	s := "client-a.example.net"
	if n := testing.AllocsPerRun(100, func() { _ = clean(s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
