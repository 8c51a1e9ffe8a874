package logging

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// maxKeys bounds the messages that are counted apart. Messages are constants of the code, so there are fewer; should
// there be more, the rest share one count, which can only keep back more.
const maxKeys = 1024

// suppressedMessage is the line that tells of the lines kept back, when the message itself does not come again.
const suppressedMessage = "suppressed"

// limiter lets at most burst lines per level, message and window through, and tells how many it kept back: in the next line
// with that message as suppressed=n, or, once the window is over, in a line of its own before the next line of any kind.
// It goes by the records' own times, so it needs no clock. All handlers made from one limiter share its counts.
type limiter struct {
	next  slog.Handler
	root  slog.Handler // next without attributes and groups, for lines of the limiter's own
	state *counts
}

// counts is what the handlers made from one limiter share.
type counts struct {
	burst  int
	window time.Duration

	mu      sync.Mutex
	keys    map[key]*count
	pending bool      // some key has kept lines back that nobody was told of
	due     time.Time // when the first of them is told at the earliest
}

type key struct {
	level   slog.Level
	message string
}

type count struct {
	start      time.Time // of the window
	passed     int
	suppressed int
}

func newCap(next slog.Handler, burst int, window time.Duration) *limiter {
	return &limiter{next: next, root: next, state: &counts{burst: burst, window: window, keys: make(map[key]*count)}}
}

// Enabled asks the next handler.
func (l *limiter) Enabled(ctx context.Context, level slog.Level) bool {
	return l.next.Enabled(ctx, level)
}

// Handle hands r on, or counts it and keeps it back.
func (l *limiter) Handle(ctx context.Context, r slog.Record) error {
	pass, suppressed, old := l.state.take(key{r.Level, r.Message}, r.Time)
	err := l.tell(ctx, r.Time, old)
	if !pass {
		return err
	}
	if suppressed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return errors.Join(err, l.next.Handle(ctx, r))
}

// WithAttrs returns a handler that adds attrs and shares the counts.
func (l *limiter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &limiter{next: l.next.WithAttrs(attrs), root: l.root, state: l.state}
}

// WithGroup returns a handler that opens a group and shares the counts.
func (l *limiter) WithGroup(name string) slog.Handler {
	if name == "" {
		return l
	}
	return &limiter{next: l.next.WithGroup(name), root: l.root, state: l.state}
}

// told is a number of lines kept back under a key.
type told struct {
	key
	suppressed int
}

// tell writes one line for each of old.
func (l *limiter) tell(ctx context.Context, now time.Time, old []told) error {
	var err error
	for _, o := range old {
		r := slog.NewRecord(now, o.level, suppressedMessage, 0)
		r.AddAttrs(slog.String("of", o.message), slog.Int("suppressed", o.suppressed))
		err = errors.Join(err, l.root.Handle(ctx, r))
	}
	return err
}

// take counts one line of k at now. It returns whether the line passes, how many lines of k were kept back before
// it that it must tell of, and what other keys have to tell.
func (c *counts) take(k key, now time.Time) (pass bool, suppressed int, old []told) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.keys) >= maxKeys && c.keys[k] == nil {
		k = key{}
	}
	n := c.keys[k]
	if n == nil {
		n = &count{start: now}
		c.keys[k] = n
	}
	if now.Sub(n.start) >= c.window {
		suppressed = n.suppressed
		*n = count{start: now}
	}
	old = c.overdue(now)
	if n.passed < c.burst {
		n.passed++
		return true, suppressed, old
	}
	n.suppressed++
	if end := n.start.Add(c.window); !c.pending || end.Before(c.due) {
		c.pending, c.due = true, end
	}
	return false, 0, old
}

// overdue returns and forgets what was kept back in windows that are over.
func (c *counts) overdue(now time.Time) []told {
	if !c.pending || now.Before(c.due) {
		return nil
	}
	var old []told
	c.pending = false
	for k, n := range c.keys {
		end := n.start.Add(c.window)
		switch {
		case n.suppressed == 0:
		case now.Before(end):
			if !c.pending || end.Before(c.due) {
				c.pending, c.due = true, end
			}
		default:
			old = append(old, told{k, n.suppressed})
			n.suppressed = 0
		}
	}
	return old
}
