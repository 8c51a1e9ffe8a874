package ctl

import (
	"errors"

	"github.com/dotsgate/dotsgate/dots"
)

var (
	// ErrUsage says that what was asked for makes no sense: nothing was sent.
	ErrUsage = errors.New("wrong use")
	// ErrNoSession says that there is no session, or none any more, or no answer on it in time.
	ErrNoSession = errors.New("no session")
)

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
	ExitRefused   = 4 // 4.xx
	ExitServer    = 5 // 5.xx, or an answer that means nothing
)

// ExitCode returns the exit code that an error stands for.
func ExitCode(err error) int {
	var answer *AnswerError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &answer) && answer.Code.Class() == 4:
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
