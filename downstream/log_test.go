package downstream

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
)

// One line per refusal, with who, what and why; RFC 8768, Section 4: a loop is a warning.
func TestRefusalsAreLogged(t *testing.T) {
	for _, tt := range []struct {
		name    string
		request *coap.Message
		err     error
		want    []string
	}{
		{
			"refused", request(putCode, pathMID1, bodyPut), dots.Refuse(dots.CodeBadRequest, "not yours"),
			[]string{"level=INFO", "client=a", "method=0.03", "code=4.00", "mid=1", `text="not yours"`},
		},
		{
			"loop", with(request(putCode, pathMID1, bodyPut), coap.HopLimit, 1), nil,
			[]string{"level=WARN", "client=a", "code=5.08", "text=gate-1"},
		},
		{"served", request(putCode, pathMID1, bodyPut), nil, []string{"level=DEBUG", "code=2.01"}},
		{"unreadable", request(putCode, pathMID1, "ff"), nil, []string{"level=INFO", "code=4.00", "client=a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
			inRig(t, func(c *Config) { c.Logger = logger }, func(r *rig) {
				r.core.set(func(c *fakeCore) { c.err = tt.err })
				c := r.connect("a.example")
				out.Reset()
				c.do(tt.request)
				line := out.String()
				if strings.Count(line, "\n") != 1 {
					t.Fatalf("%d lines: %s", strings.Count(line, "\n"), line)
				}
				for _, part := range tt.want {
					if !strings.Contains(line, part) {
						t.Errorf("%s; want %s in it", line, part)
					}
				}
			})
		})
	}
}
