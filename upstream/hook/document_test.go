package hook

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The lines that docs/operations.md gives to receivers take our signatures, and no others.
func TestDocumentedVerification(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here")
	}
	code := documented(t, "(?s)```python\n(.*?)```")
	body := `{"action":"start"}`
	now := strconv.FormatInt(time.Now().Unix(), 10)
	old := strconv.FormatInt(time.Now().Unix()-301, 10)
	for _, tt := range []struct {
		name, stamp, signature, want string
	}{
		{"ours", now, sign([]byte(secret), now, []byte(body)), "True"},
		{"with another secret", now, sign([]byte("other"), now, []byte(body)), "False"},
		{"of another body", now, sign([]byte(secret), now, []byte("{}")), "False"},
		{"of another time", now, sign([]byte(secret), old, []byte(body)), "False"},
		{"too old", old, sign([]byte(secret), old, []byte(body)), "False"},
	} {
		run := exec.CommandContext(t.Context(), python, "-c", code+"\nimport sys\nprint(genuine(b'"+secret+"\\n', *sys.argv[1:3], sys.argv[3].encode()))",
			tt.stamp, tt.signature, body)
		out, err := run.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != tt.want {
			t.Errorf("a signature %s: %s, %v", tt.name, out, err)
		}
	}
}

// The answers in docs/operations.md are answers.
func TestDocumentedAnswers(t *testing.T) {
	section := documented(t, "(?s)\nThe answer, which may be empty(.*?)\nThe first is")
	n := 0
	for _, line := range regexp.MustCompile(`(?m)^    (\{.*\})$`).FindAllStringSubmatch(section, -1) {
		a, err := parseAnswer([]byte(line[1]))
		if err != nil || !a.tells() && a.Refused == nil && len(a.Mitigations) == 0 {
			t.Errorf("%s: %+v, %v", line[1], a, err)
		}
		n++
	}
	if n != 3 {
		t.Errorf("%d answers are documented", n)
	}
}

// documented finds a part of docs/operations.md.
func documented(t *testing.T, expr string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(expr).FindSubmatch(text)
	if found == nil {
		t.Fatalf("docs/operations.md has nothing like %s", expr)
	}
	return string(found[1])
}
