package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// hostile is what a peer may put into a name, an option or a diagnostic.
func hostile() map[string]string {
	return map[string]string{
		"line feed":           "x\ntime=2026-01-01T00:00:00Z level=INFO msg=\"mitigation withdrawn\" client=victim",
		"carriage return":     "x\rlevel=ERROR msg=forged",
		"both":                "x\r\n{\"level\":\"INFO\",\"msg\":\"forged\"}",
		"vertical tab":        "x\vy\fz",
		"terminal colour":     "\x1b[31mred\x1b[0m",
		"terminal title":      "\x1b]0;owned\a",
		"clear the screen":    "\x1b[2J\x1b[H",
		"8-bit control":       "x\u009b31m",
		"backspace":           "secret\b\b\b\b\b\bpublic",
		"NUL":                 "a\x00b",
		"DEL":                 "a\x7fb",
		"direction override":  "user\u202eresu\u202c",
		"direction isolate":   "a\u2066b\u2069c",
		"left-to-right mark":  "a\u200eb\u061cc",
		"zero width":          "a\u200bb\ufeffc",
		"line separator":      "a\u2028b\u2029c",
		"next line":           "a\u0085b",
		"no-break space":      "a\u00a0b",
		"not UTF-8":           "a\xff\xfe\xc3b",
		"half a surrogate":    "a\xed\xa0\x80b",
		"quotes":              `a" level=ERROR msg="forged`,
		"backslashes":         `a\" b\n`,
		"equals sign":         "a=b c=d",
		"private use":         "a\ue000b",
		"tag characters":      "a\U000e0041b",
		"64 KB":               strings.Repeat("A", 64<<10),
		"64 KB of line feeds": strings.Repeat("\n", 64<<10),
		"64 KB of bidi":       strings.Repeat("\u202e", 21<<10),
		"64 KB of non-UTF-8":  strings.Repeat("\xff", 64<<10),
		"empty":               "",
	}
}

// oneLine checks that out is one line of printable text and returns it.
func oneLine(t *testing.T, out string) string {
	t.Helper()
	line, ok := strings.CutSuffix(out, "\n")
	if !ok || !utf8.ValidString(line) {
		t.Fatalf("not a line of UTF-8: %q", out)
	}
	for _, r := range line {
		if !unicode.IsPrint(r) {
			t.Fatalf("%U in the line %q", r, line)
		}
	}
	return line
}

func logger(t *testing.T, format string) (*slog.Logger, *bytes.Buffer) {
	t.Helper()
	var buf bytes.Buffer
	log, err := New(&buf, "debug", format)
	if err != nil {
		t.Fatal(err)
	}
	return log, &buf
}

// TestOneEventIsOneLine logs every hostile string in every place of a record and in both formats.
func TestOneEventIsOneLine(t *testing.T) {
	places := map[string]func(*slog.Logger, string){
		"value":     func(l *slog.Logger, s string) { l.Info("refused", "diagnostic", s) },
		"error":     func(l *slog.Logger, s string) { l.Info("refused", "err", errors.New(s)) },
		"bytes":     func(l *slog.Logger, s string) { l.Info("refused", "payload", []byte(s)) },
		"struct":    func(l *slog.Logger, s string) { l.Info("refused", "body", struct{ Name string }{s}) },
		"strings":   func(l *slog.Logger, s string) { l.Info("refused", "names", []string{s, s}) },
		"key":       func(l *slog.Logger, s string) { l.Info("refused", "k"+s, 1) },
		"message":   func(l *slog.Logger, s string) { l.Info("refused " + s) },
		"group":     func(l *slog.Logger, s string) { l.Info("refused", slog.Group("g"+s, "k", s)) },
		"with":      func(l *slog.Logger, s string) { l.With("peer", s).Info("refused") },
		"withgroup": func(l *slog.Logger, s string) { l.WithGroup("g"+s).Info("refused", "k", s) },
		"valuer":    func(l *slog.Logger, s string) { l.Info("refused", "v", valuer(s)) },
	}
	for _, format := range []string{FormatText, FormatJSON} {
		for place, write := range places {
			for name, s := range hostile() {
				t.Run(format+"/"+place+"/"+name, func(t *testing.T) {
					log, buf := logger(t, format)
					write(log, s)
					line := oneLine(t, buf.String())
					if len(line) > 3000 {
						t.Errorf("a line of %d bytes", len(line))
					}
					if format == FormatJSON {
						checkJSON(t, line)
					}
				})
			}
		}
	}
}

// valuer is a value that makes its own log value.
type valuer string

// LogValue returns the string in a group.
func (v valuer) LogValue() slog.Value { return slog.GroupValue(slog.String("inner", string(v))) }

func checkJSON(t *testing.T, line string) {
	t.Helper()
	var got struct{ Level, Msg string }
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	if got.Level != "INFO" || !strings.HasPrefix(got.Msg, "refused") {
		t.Errorf("level %q, message %q: forged by %q", got.Level, got.Msg, line)
	}
}

// TestTextCannotBeForged reads the text format as a consumer does: quoted values are skipped whole.
func TestTextCannotBeForged(t *testing.T) {
	for name, s := range hostile() {
		log, buf := logger(t, FormatText)
		log.Info("refused", "diagnostic", s, "client", "a")
		keys := textKeys(t, oneLine(t, buf.String()))
		if got := strings.Join(keys, " "); got != "time level msg diagnostic client" {
			t.Errorf("%s: keys %s in %q", name, got, buf)
		}
	}
}

// textKeys returns the keys of a line of key=value pairs whose values may be quoted.
func textKeys(t *testing.T, line string) []string {
	t.Helper()
	var keys []string
	for line != "" {
		k, rest, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("no key in %q", line)
		}
		keys = append(keys, k)
		if strings.HasPrefix(rest, `"`) {
			end := 1
			for end < len(rest) && rest[end] != '"' {
				if rest[end] == '\\' {
					end++
				}
				end++
			}
			rest = rest[min(end+1, len(rest)):]
			line = strings.TrimPrefix(rest, " ")
			continue
		}
		_, line, _ = strings.Cut(rest, " ")
	}
	return keys
}

func TestOrdinaryValuesStayAsTheyAre(t *testing.T) {
	log, buf := logger(t, FormatJSON)
	log.Warn("leg refused",
		"client", "Zürich 東京", "mid", uint32(123), "delta", -1.5, "ok", true, "wait", 2*time.Second,
		"prefix", netip.MustParsePrefix("192.0.2.0/24"), "err", errors.New("dialling uplink a: refused"), "none", nil)
	var got map[string]any
	if err := json.Unmarshal(buf.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]any{
		"level": "WARN", "msg": "leg refused", "client": "Zürich 東京", "mid": 123.0, "delta": -1.5, "ok": true,
		"wait": 2e9, "prefix": "192.0.2.0/24", "err": "dialling uplink a: refused", "none": "<nil>",
	} {
		if got[k] != want {
			t.Errorf("%s is %#v, want %#v", k, got[k], want)
		}
	}
}

func TestNew(t *testing.T) {
	tests := []struct {
		level, format string
		lines         int // of one line per level, debug to error
		bad           bool
	}{
		{"", "", 3, false},
		{"debug", "text", 4, false},
		{"INFO", "json", 3, false},
		{"warn", "text", 2, false},
		{"Error", "json", 1, false},
		{"loud", "text", 0, true},
		{"info", "xml", 0, true},
		{"info", strings.Repeat("\n", 1000), 0, true},
	}
	for _, tt := range tests {
		var buf bytes.Buffer
		log, err := New(&buf, tt.level, tt.format)
		if (err != nil) != tt.bad {
			t.Errorf("New(%q, %.20q): %v", tt.level, tt.format, err)
			continue
		}
		if tt.bad {
			if len(err.Error()) > 160 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			continue
		}
		log.Debug("m")
		log.Info("m")
		log.Warn("m")
		log.Error("m")
		if got := strings.Count(buf.String(), "\n"); got != tt.lines {
			t.Errorf("level %q: %d lines, want %d", tt.level, got, tt.lines)
		}
	}
}

func TestNewNamesTheFormatError(t *testing.T) {
	if _, err := New(&bytes.Buffer{}, "info", "xml"); !errors.Is(err, ErrFormat) {
		t.Errorf("got %v, want ErrFormat", err)
	}
}
