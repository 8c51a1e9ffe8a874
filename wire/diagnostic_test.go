package wire

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dotsgate/dotsgate/dots"
)

func TestDiagnostic(t *testing.T) {
	for _, tt := range []struct {
		code dots.Code
		text string
		want string
	}{
		{dots.CodeBadRequest, "lifetime: missing", "lifetime: missing"},
		{dots.CodeBadRequest, "", "bad request"},
		{dots.CodeLoop, "", "loop"},
		{dots.Code(4<<5 | 30), "", "error 4.30"},
		{dots.CodeBadRequest, "a\xffb", "a?b"},
		{dots.CodeBadRequest, strings.Repeat("x", 65), strings.Repeat("x", 64)},
		{dots.CodeBadRequest, strings.Repeat("x", 63) + "\u20ac", strings.Repeat("x", 63)},
	} {
		if got := string(Diagnostic(tt.code, tt.text)); got != tt.want {
			t.Errorf("%v %q: got %q", tt.code, tt.text, got)
		}
	}
}

func TestReadDiagnostic(t *testing.T) {
	for _, payload := range []string{"", "text", "\xff\xfe", strings.Repeat("\u20ac", 200), strings.Repeat("x", 255), strings.Repeat("\xff", 300)} {
		got := ReadDiagnostic([]byte(payload))
		if len(got) > MaxReceivedDiagnostic || !utf8.ValidString(got) || (payload == "") != (got == "") {
			t.Errorf("%q read as %q", payload, got)
		}
		if utf8.ValidString(payload) && !strings.HasPrefix(payload, got) {
			t.Errorf("%q read as %q", payload, got)
		}
	}
}

func TestExpects(t *testing.T) {
	// RFC 9132, Section 4.4.1, Section 4.4.2 and Section 4.4.4: the codes of success by method.
	success := []dots.Code{dots.CodeCreated, dots.CodeDeleted, dots.CodeValid, dots.CodeChanged, dots.CodeContent}
	for op, want := range map[Op][]dots.Code{
		PutMitigation:    {dots.CodeCreated, dots.CodeChanged},
		GetMitigations:   {dots.CodeContent},
		DeleteMitigation: {dots.CodeDeleted},
		PutConfig:        {dots.CodeCreated, dots.CodeChanged},
		GetConfig:        {dots.CodeContent},
		DeleteConfig:     {dots.CodeDeleted},
		PutHeartbeat:     {dots.CodeCreated, dots.CodeChanged},
		PutRedirect:      {dots.CodeCreated, dots.CodeChanged},
	} {
		for _, code := range success {
			if got := op.Expects(code); got != slices.Contains(want, code) {
				t.Errorf("operation %d expects %v: %v", op, code, got)
			}
		}
	}
}

func TestResponseErrorStaysOnItsSide(t *testing.T) {
	err := error(&ResponseError{Code: dots.CodeContent, Text: "no"})
	if err.Error() != "reading an answer 2.05: no" || dots.AsError(err).Code != dots.CodeInternal {
		t.Errorf("%v", err)
	}
}
