package ctl

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

var (
	// ErrUsage says that what was asked for makes no sense: nothing was sent.
	ErrUsage = errors.New("wrong use")
	// ErrNoSession says that there is no session, or none any more, or no answer on it in time.
	ErrNoSession = errors.New("no session")
	// ErrOver says that what was asked for makes no sense any more, since the mitigation is over.
	ErrOver = errors.New("the mitigation is over")
)

// silence is a request without an answer in time. It is an ErrNoSession, since it may be that there is none any more.
type silence struct {
	lasted time.Duration
	cause  error
}

// Error says how long nothing was heard, in place of what the context says of it.
func (e *silence) Error() string {
	return fmt.Sprintf("no answer in time: the server was silent for %v", e.lasted.Round(10*time.Millisecond))
}

// Unwrap returns ErrNoSession and the context's error.
func (e *silence) Unwrap() []error { return []error{ErrNoSession, e.cause} }

// several are errors that belong together.
type several []error

// join makes one error of those that are not nil; nil when all are.
func join(errs ...error) error {
	var s several
	for _, err := range errs {
		if err != nil {
			s = append(s, err)
		}
	}
	if s == nil {
		return nil
	}
	return s
}

// Error is all of them in one line: a line feed, which separates joined errors of other rooms, is a semicolon here.
func (s several) Error() string {
	texts := make([]string, 0, len(s))
	for _, err := range s {
		texts = append(texts, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns them.
func (s several) Unwrap() []error { return s }

// AnswerError is an answer that is no success.
type AnswerError struct {
	Code dots.Code
	Text string // what the server says of it; not trusted, escaped where it is shown
}

// Error returns the code and what the server says, escaped for terminals.
func (e *AnswerError) Error() string {
	if e.Text == "" {
		return "the server answered " + e.Code.String()
	}
	return "the server answered " + e.Code.String() + ": " + Clean(e.Text)
}

// The exit codes of dotsctl.
const (
	ExitOK        = 0
	ExitFailure   = 1 // of our own, such as a state file that cannot be written
	ExitUsage     = 2
	ExitNoSession = 3
	ExitRefused   = 4 // 4.xx, or not sent since the mitigation is over
	ExitServer    = 5 // 5.xx, or an answer that means nothing
)

// ExitCode returns the exit code that an error stands for.
func ExitCode(err error) int {
	var answer *AnswerError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &answer) && answer.Code.Class() == 4, errors.Is(err, ErrOver):
		return ExitRefused
	case errors.As(err, &answer):
		return ExitServer
	case errors.Is(err, ErrNoSession):
		return ExitNoSession
	case errors.Is(err, ErrUsage):
		return ExitUsage
	}
	return ExitFailure
}
