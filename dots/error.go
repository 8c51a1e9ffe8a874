package dots

import (
	"errors"
	"time"
)

// MaxDiagnostic is the greatest length of a diagnostic payload, in bytes.
const MaxDiagnostic = 64

// Error is a refusal: made where the rule is, turned into CoAP once, at the edge. Text is shown to
// the peer, so it names nothing of another client and nothing behind the gateway.
type Error struct {
	Code     Code
	Text     string          // diagnostic payload, at most MaxDiagnostic bytes are sent
	Conflict Maybe[Conflict] // body of a 4.09
	MaxAge   time.Duration   // of a 5.03: when to ask again; whole seconds, 0: not told
	Redirect Maybe[Redirect] // body of a 5.03 that sends elsewhere
	// Keys are unknown comprehension-required keys of a 4.00 (RFC 9132, Section 6).
	Keys []uint64
}

// Error returns the code and the text.
func (e *Error) Error() string { return e.Code.String() + " " + e.Text }

// Refuse makes an Error of a code and a text.
func Refuse(code Code, text string) *Error { return &Error{Code: code, Text: text} }

// AsError returns the refusal in err's chain; any other error becomes 5.00 without detail,
// because what failed inside is not for the peer to know. A nil err gives nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeInternal, Text: "internal error"}
}
