package ctl

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

func TestClean(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"plain text, 4.09 ~", "plain text, 4.09 ~"},
		{"Überlauf 雪", "Überlauf 雪"},
		{"\x1b[31mred", `\x1b[31mred`},
		{"a\tb\r\nc", `a\tb\r\nc`},
		{"\x00\x7f", `\x00\x7f`},
		{"\u009b2J", `\u009b2J`},                       // the one-character CSI
		{"abc\u202edef", `abc\u202edef`},               // right-to-left override
		{"a\u00a0b\u200b", `a\u00a0b\u200b`},           // spaces that are none
		{"\xff\xfe", `\xff\xfe`},                       // no UTF-8
		{"\ufffd", `\ufffd`},                           // what stands for it
		{"\U000e0041", `\U000e0041`},                   // a tag
		{"half \xe2\x82", `half \xe2\x82`},             // cut off
		{`back\slash "quotes"`, `back\slash "quotes"`}, // nothing a terminal minds
	}
	for _, tt := range tests {
		if got := Clean(tt.in); got != tt.want {
			t.Errorf("Clean(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestCleanJSON(t *testing.T) {
	in := map[string]string{"a": "\x1b[2J\u009b\u202e\U000e0041 plain 雪 \x7f", "b": "line\nfeed"}
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	clean := cleanJSON(raw)
	if i := strings.IndexFunc(string(clean), func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("left as it is at %d: %q", i, clean[i:])
	}
	var out map[string]string
	if err := json.Unmarshal(clean, &out); err != nil {
		t.Fatalf("%s: %v", clean, err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Errorf("the meaning changed, -want +got:\n%s", diff)
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"plain", "\x1b[2J", "\xff", "\u202e", "\U000e0041"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Errorf("Clean(%q) holds %q", s, r)
			}
		}
		if again := Clean(got); again != got {
			t.Errorf("Clean(%q) = %q, and again %q", s, got, again)
		}
	})
}
