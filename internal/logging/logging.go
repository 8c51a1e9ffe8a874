package logging

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Limits of the log that New returns.
const (
	// MaxValue is the longest value of an attribute, and the longest message, in bytes.
	MaxValue = 256
	// Burst is how many lines with the same level and message pass in one Window.
	Burst = 100
	// Window is the time over which lines are counted.
	Window = time.Second
)

// The formats New knows.
const (
	FormatText = "text" // key=value pairs
	FormatJSON = "json" // one object per line
)

// ErrFormat refuses a format that is neither FormatText nor FormatJSON.
var ErrFormat = errors.New(`the log's format is "text" or "json"`)

// New returns a logger that writes lines to w, from level on ("debug", "info", "warn" or "error", in any case; empty is
// info), in format (empty is text). It writes each line with one call of w.Write and holds a lock meanwhile, so w needs
// none. The logger is safe for concurrent use.
func New(w io.Writer, level, format string) (*slog.Logger, error) {
	return NewVar(w, &slog.LevelVar{}, level, format)
}

// NewVar is New with a level that can be changed afterwards, by setting least.
func NewVar(w io.Writer, least *slog.LevelVar, level, format string) (*slog.Logger, error) {
	if level != "" {
		if err := least.UnmarshalText([]byte(level)); err != nil {
			return nil, fmt.Errorf("setting up the log: %w", err)
		}
	}
	opts := &slog.HandlerOptions{Level: least}
	var last slog.Handler
	switch format {
	case FormatText, "":
		last = slog.NewTextHandler(w, opts)
	case FormatJSON:
		last = slog.NewJSONHandler(w, opts)
	default:
		return nil, fmt.Errorf("setting up the log: %w, not %.20q", ErrFormat, format)
	}
	return slog.New(newCap(newCleaner(last), Burst, Window)), nil
}
