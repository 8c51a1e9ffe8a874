package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/config"
)

// Exit codes.
const (
	exitFailure = 1 // the gateway or the command failed
	exitUsage   = 2 // the command line or the configuration is wrong
)

// tell says why a command failed, and returns the exit code. understood: the command line could be read.
func tell(w io.Writer, err error, understood bool) int {
	var bad config.Errors
	var mistakes admin.Mistakes
	wrong := errors.As(err, &bad) || errors.As(err, &mistakes)
	text := err.Error()
	if !wrong { // a mistake has a line of its own, anything else is one line
		text = strings.Join(strings.Fields(text), " ")
	}
	_, _ = fmt.Fprintln(w, text) // there is nobody else to tell
	if !understood || wrong || errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailure
}
