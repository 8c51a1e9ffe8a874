package wire

import (
	"strings"
	"unicode/utf8"

	"github.com/dotsgate/dotsgate/dots"
)

// MaxReceivedDiagnostic bounds the text that is kept of a peer's diagnostic payload, in bytes: the list
// of names in a 5.08 may be longer than what is sent otherwise (RFC 8768, Section 4).
const MaxReceivedDiagnostic = 255

// Diagnostic returns the diagnostic payload of an error: never empty, valid UTF-8, at most dots.MaxDiagnostic
// bytes, cut between characters. RFC 9132, Section 4: errors carry a diagnostic payload.
func Diagnostic(code dots.Code, text string) []byte {
	if text == "" {
		text = word(code)
	}
	return []byte(cut(strings.ToValidUTF8(text, "?"), dots.MaxDiagnostic))
}

// ReadDiagnostic returns a peer's diagnostic payload as valid text of at most MaxReceivedDiagnostic bytes.
func ReadDiagnostic(payload []byte) string {
	if len(payload) > MaxReceivedDiagnostic {
		payload = payload[:min(len(payload), MaxReceivedDiagnostic+utf8.UTFMax)]
	}
	return cut(strings.ToValidUTF8(string(payload), "?"), MaxReceivedDiagnostic)
}

func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// word is what an error says that was given no text.
func word(code dots.Code) string {
	words := map[dots.Code]string{
		dots.CodeBadRequest:         "bad request",
		dots.CodeUnauthorized:       "not authorised",
		dots.CodeBadOption:          "bad option",
		dots.CodeForbidden:          "forbidden",
		dots.CodeNotFound:           "not found",
		dots.CodeMethodNotAllowed:   "method not allowed",
		dots.CodeNotAcceptable:      "not acceptable",
		dots.CodeIncomplete:         "a block is missing",
		dots.CodeConflict:           "conflict",
		dots.CodePreconditionFailed: "precondition failed",
		dots.CodeTooLarge:           "too large",
		dots.CodeUnsupportedFormat:  "unsupported content format",
		dots.CodeUnprocessable:      "value out of range",
		dots.CodeInternal:           "internal error",
		dots.CodeNotImplemented:     "not implemented",
		dots.CodeUnavailable:        "try again later",
		dots.CodeLoop:               "loop",
	}
	if w, ok := words[code]; ok {
		return w
	}
	return "error " + code.String()
}
