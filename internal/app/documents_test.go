package app

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/front"
)

// TestLogLinesAreDocumented holds that docs/operations.md tells what to do about every line that wants attention, and about no
// other.
func TestLogLinesAreDocumented(t *testing.T) {
	const root = "../.."
	text, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Log lines")
	section, _, _ = strings.Cut(section, "\n## ")
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|[^|]+\\|[^|]+\\|[^|]+\\|$").FindAllStringSubmatch(section, -1) {
		documented[m[1]] = true
	}
	said := map[string]bool{}
	line := regexp.MustCompile(`(?:\.Warn\(|\.Error\(|note\(slog\.LevelWarn, |note\(slog\.LevelError, |note\(outcomeLevel\(out\), )"([^":]+)`)
	for _, dir := range []string{"downstream", "gateway", "upstream", "upstream/*", "internal/app"} {
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			code, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range line.FindAllStringSubmatch(string(code), -1) {
				said[m[1]] = true
			}
		}
	}
	delete(said, "panic") // the stack's lines, told with the line before them
	for s := range said {
		found := false
		for d := range documented {
			if d == s || strings.HasPrefix(d, s+":") {
				delete(documented, d)
				found = true
			}
		}
		if !found {
			t.Errorf("%q is logged, and docs/operations.md does not say what to do", s)
		}
	}
	for d := range documented {
		t.Errorf("docs/operations.md explains %q, which nothing logs", d)
	}
	if len(said) < 15 {
		t.Errorf("only %d lines found: the code was not read", len(said))
	}
}

// TestSourceLimitsAreDocumented holds that docs/configuration.md gives the defaults that the transports have.
func TestSourceLimitsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for setting, want := range map[string]string{
		"max_sessions":      fmt.Sprintf("0 is %d", coap.DefaultMaxSessions),
		"max_handshakes":    fmt.Sprintf("0 is %d", coap.DefaultMaxHandshakes),
		"source.rate":       fmt.Sprintf("0 is %g with DTLS, %g with TLS", front.DefaultRate, coap.DefaultSourceRate),
		"source.burst":      fmt.Sprintf("0 is %d with DTLS, %d with TLS", front.DefaultBurst, coap.DefaultSourceBurst),
		"source.handshakes": fmt.Sprintf("0 is %d with DTLS, %d with TLS", front.DefaultMaxPerPrefix, coap.DefaultSourceHandshakes),
	} {
		row := regexp.MustCompile("(?m)^\\| `listeners\\[\\]\\." + regexp.QuoteMeta(setting) + "` .*$").FindString(string(text))
		if !strings.Contains(row, want+" |") {
			t.Errorf("%q does not say %q", row, want)
		}
	}
	if front.DefaultMaxPending != coap.DefaultMaxHandshakes {
		t.Error("the transports differ in how many handshakes they have under way")
	}
}
