package lab

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/google/go-cmp/cmp"
)

func TestParseScenario(t *testing.T) {
	got, err := ParseScenario([]byte(`
steps:
  - {after: 0s, status: 1}
  - after: 1500ms
    status: 2
    rate: {bytes: 1000, packets: 3}
put:
  - {nth: 2, code: 4.09, cause: 1, retry: 30}
  - {nth: 5, code: 5.00}
  - {nth: 6, code: '0.00'}
  - {mid: 7, code: "5.03", max_age: 5, diagnostic: later}
drop: 3
silent:
  - {after: 10s, for: 2s}
max_lifetime: 600
`))
	if err != nil {
		t.Fatalf("ParseScenario() = %v", err)
	}
	seven := uint32(7)
	want := Scenario{
		Steps: []Step{
			{Status: dots.StatusInProgress},
			{After: 1500 * time.Millisecond, Status: dots.StatusMitigated, Rate: Rate{Bytes: 1000, Packets: 3}},
		},
		Refusals: []Refusal{
			{Nth: 2, Code: "4.09", Cause: dots.CauseOverlappingTargets, Retry: 30},
			{Nth: 5, Code: "5.00"},
			{Nth: 6, Code: "0.00"},
			{MID: &seven, Code: "5.03", MaxAge: 5, Diagnostic: "later"},
		},
		Drop: 3, Silences: []Silence{{After: 10 * time.Second, For: 2 * time.Second}}, MaxLifetime: 600,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got.silent(10*time.Second-1) || !got.silent(10*time.Second) || !got.silent(12*time.Second-1) || got.silent(12*time.Second) {
		t.Error("silent() is not from 10 s to 12 s")
	}
	for _, tt := range []struct {
		nth  int
		mid  uint32
		code CodeText
	}{{1, 1, ""}, {2, 1, "4.09"}, {3, 7, "5.03"}, {2, 7, "4.09"}} {
		if r, ok := got.refusal(tt.nth, dots.Request{MID: tt.mid}); r.Code != tt.code || ok != (tt.code != "") {
			t.Errorf("refusal(%d, %d) = %v, %v", tt.nth, tt.mid, r.Code, ok)
		}
	}
}

func TestScenarioMistakes(t *testing.T) {
	tests := []struct{ yaml, want string }{
		{"stepps: []", "stepps"},
		{"steps: [{status: 5}]", "step 1: status 5"},
		{"steps: [{status: 9}]", "step 1: status 9"},
		{"steps: [{after: 2s, status: 1}, {after: 1s, status: 2}]", "step 2: before"},
		{"steps: [{after: soon, status: 1}]", "soon"},
		{"put: [{code: 4.9}]", `put 1: code "4.9"`},
		{"put: [{nth: 1}]", "put 1: code"},
		{`put: [{code: "9.01"}]`, "put 1: code"},
		{"drop: -1", "negative"},
		{"max_lifetime: -1", "negative"},
	}
	for _, tt := range tests {
		if _, err := ParseScenario([]byte(tt.yaml)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.yaml, err, tt.want)
		}
	}
}

func TestParseCode(t *testing.T) {
	for s, want := range map[CodeText]dots.Code{
		"2.01": dots.CodeCreated, "4.09": dots.CodeConflict, "5.08": dots.CodeLoop, "0.00": dots.CodeSilent, "4.22": dots.CodeUnprocessable,
	} {
		if got, err := parseCode(s); err != nil || got != want || got.String() != string(s) {
			t.Errorf("parseCode(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []CodeText{"", "4", "4.", "4.1", "4.001", "8.00", "4.32", "-1.00", "a.bc"} {
		if got, err := parseCode(s); err == nil {
			t.Errorf("parseCode(%q) = %v", s, got)
		}
	}
}

func TestReadScenario(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadScenario(filepath.Join(dir, "none")); err == nil {
		t.Error("a file that is not there was read")
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := ReadScenario(empty)
	if err != nil {
		t.Fatalf("an empty file: %v", err)
	}
	if diff := cmp.Diff(DefaultScenario().Steps, s.steps()); diff != "" {
		t.Errorf("the steps of an empty scenario, -want +got:\n%s", diff)
	}
	if err := DefaultScenario().check(); err != nil {
		t.Errorf("the default scenario: %v", err)
	}
}

// TestScenarioOfTheDocuments: the example in docs/lab.md is one, it has every setting, and the table below it tells of each.
func TestScenarioOfTheDocuments(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "lab.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	example, table, found := strings.Cut(rest, "```\n")
	if !found {
		t.Fatal("there is no example")
	}
	got, err := ParseScenario([]byte(example))
	if err != nil {
		t.Fatalf("the example: %v", err)
	}
	seven := uint32(7)
	want := Scenario{
		Steps: DefaultScenario().Steps,
		Refusals: []Refusal{
			{Nth: 2, Code: "4.09", Cause: dots.CauseOverlappingTargets, Retry: 30},
			{MID: &seven, Code: "5.03", MaxAge: 5, Diagnostic: "later"},
			{Prefix: "203.0.113.200/32", Code: "4.09", Cause: dots.CauseOverlappingTargets},
		},
		Drop: 1, Silences: []Silence{{After: 30 * time.Second, For: 10 * time.Second}}, MaxLifetime: 600,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the example, -want +got:\n%s", diff)
	}
	for _, part := range []any{Scenario{}, Step{}, Rate{}, Refusal{}, Silence{}} {
		for i := range reflect.TypeOf(part).NumField() {
			name := reflect.TypeOf(part).Field(i).Tag.Get("yaml")
			for where, in := range map[string]string{"example": example, "table": table} {
				if !strings.Contains(in, name) {
					t.Errorf("the %s does not tell of %s", where, name)
				}
			}
		}
	}
}

// TestRefusedPrefix: a refusal may be for a target only, which is then the scope of its conflict.
func TestRefusedPrefix(t *testing.T) {
	s, err := ParseScenario([]byte("put: [{prefix: 203.0.113.128/25, code: 4.09, cause: 1}]"))
	if err != nil {
		t.Fatal(err)
	}
	for prefix, refused := range map[string]bool{"203.0.113.200/32": true, "203.0.113.0/24": true, "203.0.113.0/25": false, "192.0.2.1/32": false} {
		r, ok := s.refusal(1, dots.Request{Target: prefixes("2001:db8::/32", prefix)})
		if ok != refused {
			t.Errorf("%s is refused: %v", prefix, ok)
		}
		if scope := r.response().Conflict.Value.Scope; ok && !scope.Equal(prefixes("203.0.113.128/25")) {
			t.Errorf("the conflict's scope is %v", scope)
		}
	}
	if _, err := ParseScenario([]byte("put: [{prefix: here, code: 4.09}]")); err == nil {
		t.Error("a prefix that is none")
	}
}
