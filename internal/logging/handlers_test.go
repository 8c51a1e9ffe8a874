package logging

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestRowOfHandlers: what log/slog asks of a handler holds for the three in a row.
func TestRowOfHandlers(t *testing.T) {
	var buf bytes.Buffer
	log, err := New(&buf, "warn", FormatText)
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]slog.Handler{
		"the row": log.Handler(), "with attributes": log.With("a", 1).Handler(), "in a group": log.WithGroup("g").Handler(),
		"the cleaner": newCleaner(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelWarn})),
	} {
		for level, want := range map[slog.Level]bool{slog.LevelDebug: false, slog.LevelInfo: false, slog.LevelWarn: true, slog.LevelError: true} {
			if got := h.Enabled(context.Background(), level); got != want {
				t.Errorf("%s: %s is enabled: %v", name, level, got)
			}
		}
		if h.WithGroup("") != h {
			t.Errorf("%s: a group without a name is another handler", name)
		}
	}
	log.With("peer", "p\n1").WithGroup("leg").With("mid", 7).Warn("refused", "code", "4.00")
	if want := ` level=WARN msg=refused peer=p\n1 leg.mid=7 leg.code=4.00` + "\n"; !strings.HasSuffix(buf.String(), want) {
		t.Errorf("got %q, want it to end in %q", buf.String(), want)
	}
}

// TestDerivedLoggersAreApart: what one request's logger is given does not show in another's lines.
func TestDerivedLoggersAreApart(t *testing.T) {
	log, buf := logger(t, FormatText)
	base := log.With("session", 1)
	first, second := base.With("client", "a"), base.With("client", "b")
	first.Info("one")
	second.Info("two")
	base.Info("three")
	for _, want := range []string{"msg=one session=1 client=a\n", "msg=two session=1 client=b\n", "msg=three session=1\n"} {
		if !strings.Contains(buf.String(), want) {
			t.Errorf("no %q in\n%s", want, buf)
		}
	}
}

// TestFailingWriterIsTold: the error comes back, and the next line is tried all the same.
func TestFailingWriterIsTold(t *testing.T) {
	w := &failing{left: 2}
	h := newCap(newCleaner(slog.NewTextHandler(w, nil)), 1, time.Second)
	t0 := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, step := range []struct {
		after   time.Duration
		message string
		failed  bool
	}{
		{0, "a", true},
		{0, "a", false}, // kept back: nothing is written
		{time.Second, "b", true},
		{time.Second, "c", false},
	} {
		err := h.Handle(context.Background(), slog.NewRecord(t0.Add(step.after), slog.LevelInfo, step.message, 0))
		if errors.Is(err, io.ErrShortWrite) != step.failed {
			t.Errorf("line %d: %v, want a failure: %v", i+1, err, step.failed)
		}
	}
	// The line about the one kept back failed; b, after it, was written.
	if got := w.String(); !strings.Contains(got, "msg=b") || !strings.Contains(got, "msg=c") || strings.Contains(got, "of=a") {
		t.Errorf("written: %q", got)
	}
}

// failing is a disk that is full for the first so many lines.
type failing struct {
	bytes.Buffer
	left int
}

func (f *failing) Write(p []byte) (int, error) {
	if f.left > 0 {
		f.left--
		return 0, io.ErrShortWrite
	}
	return f.Buffer.Write(p)
}

// TestClockThatGoesBack: a clock that was set back by an hour neither opens the cap nor shuts it for good.
func TestClockThatGoesBack(t *testing.T) {
	c := newCapped(1)
	c.log(t, time.Hour, 2, "m")
	c.log(t, 0, 2, "m")
	c.log(t, time.Hour+time.Second, 1, "m")
	c.expect(t, "msg=m", "msg=m suppressed=3")
}

// TestCapTellsInItsOwnName: the line about lines kept back is not of the peer or group whose line happened to come next.
func TestCapTellsInItsOwnName(t *testing.T) {
	c := newCapped(1)
	root := c.h
	c.log(t, 0, 3, "flood")
	c.h = root.WithAttrs([]slog.Attr{slog.String("peer", "p")}).WithGroup("g")
	c.log(t, time.Second, 1, "calm")
	c.expect(t, "msg=flood", "msg=suppressed of=flood suppressed=2", "msg=calm peer=p")
}
