package wire

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

func TestAnswerBody(t *testing.T) {
	const format = 271
	payload := []byte{0xf6}
	for op, want := range map[Op]struct{ full, empty bool }{
		GetMitigations: {true, true}, GetConfig: {true, true}, // a GET without a body is found broken by its reader
		PutMitigation: {true, false}, DeleteMitigation: {}, PutConfig: {}, DeleteConfig: {}, PutHeartbeat: {}, PutRedirect: {},
	} {
		for _, f := range []dots.Maybe[uint16]{{}, dots.Some[uint16](format)} {
			if got, err := op.AnswerBody(CoAPResponse{Format: f, Payload: payload}, format); got != want.full || err != nil {
				t.Errorf("operation %d: read %v, %v", op, got, err)
			}
			if got, err := op.AnswerBody(CoAPResponse{Format: f}, format); got != want.empty || err != nil {
				t.Errorf("operation %d without a body: read %v, %v", op, got, err)
			}
		}
		got, err := op.AnswerBody(CoAPResponse{Format: dots.Some[uint16](0), Payload: payload}, format)
		if got || (err != nil) != want.full {
			t.Errorf("operation %d with a text: read %v, %v", op, got, err)
		}
	}
}

func TestUnusable(t *testing.T) {
	own := &ResponseError{Code: dots.CodeContent, Text: "own"}
	for _, tt := range []struct {
		err  error
		text string
	}{
		{own, "own"},
		{fmt.Errorf("reading: %w", own), "own"},
		{dots.Refuse(dots.CodeBadRequest, "mid: missing"), "mid: missing"},
		{errors.New("secret"), "internal error"},
	} {
		var got *ResponseError
		if !errors.As(Unusable(dots.CodeContent, tt.err), &got) || got.Code != dots.CodeContent || got.Text != tt.text {
			t.Errorf("%v became %v", tt.err, got)
		}
	}
}

// RFC 9132, Section 4: every error has a text of its own, short enough, and none that says another's code.
func TestWordOfEveryCode(t *testing.T) {
	for code, want := range map[dots.Code]string{
		dots.CodeBadRequest: "bad request", dots.CodeUnauthorized: "not authorised", dots.CodeBadOption: "bad option",
		dots.CodeForbidden: "forbidden", dots.CodeNotFound: "not found", dots.CodeMethodNotAllowed: "method not allowed",
		dots.CodeNotAcceptable: "not acceptable", dots.CodeIncomplete: "a block is missing", dots.CodeConflict: "conflict",
		dots.CodePreconditionFailed: "precondition failed", dots.CodeTooLarge: "too large",
		dots.CodeUnsupportedFormat: "unsupported content format", dots.CodeUnprocessable: "value out of range",
		dots.CodeInternal: "internal error", dots.CodeNotImplemented: "not implemented", dots.CodeUnavailable: "try again later",
		dots.CodeLoop: "loop",
	} {
		if got := string(Diagnostic(code, "")); got != want {
			t.Errorf("%v says %q", code, got)
		}
	}
	seen := map[string]dots.Code{}
	for code := dots.CodeBadRequest; code < 6<<5; code++ {
		text := string(Diagnostic(code, ""))
		if other, twice := seen[text]; twice || text == "" || len(text) > dots.MaxDiagnostic {
			t.Errorf("%v says %q, as %v does", code, text, other)
		}
		seen[text] = code
	}
}

// A text is cut between characters, wherever the limit falls in one.
func TestDiagnosticIsCutBetweenCharacters(t *testing.T) {
	for _, character := range []string{"x", "\u00e4", "\u20ac", "\U0001f600"} {
		for lead := range 5 {
			text := strings.Repeat("x", lead) + strings.Repeat(character, 80)
			got := string(Diagnostic(dots.CodeBadRequest, text))
			room := dots.MaxDiagnostic - lead
			want := text[:lead+room/len(character)*len(character)]
			if got != want {
				t.Errorf("%d and %s: cut to %q", lead, character, got)
			}
		}
	}
}
