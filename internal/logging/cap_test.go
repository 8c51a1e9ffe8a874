package logging

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// capped is a limiter whose lines are read back without their times.
type capped struct {
	h   slog.Handler
	buf *bytes.Buffer
	t0  time.Time
}

func newCapped(burst int) *capped {
	buf := &bytes.Buffer{}
	text := slog.NewTextHandler(buf, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}})
	return &capped{h: newCap(text, burst, time.Second), buf: buf, t0: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// log writes n lines with one message at a time after the start.
func (c *capped) log(t *testing.T, after time.Duration, n int, msg string) {
	t.Helper()
	for range n {
		if err := c.h.Handle(context.Background(), slog.NewRecord(c.t0.Add(after), slog.LevelInfo, msg, 0)); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *capped) expect(t *testing.T, want ...string) {
	t.Helper()
	got := strings.Split(strings.TrimSuffix(c.buf.String(), "\n"), "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestCapTellsWithTheNextLine(t *testing.T) {
	c := newCapped(2)
	c.log(t, 0, 5, "refused")
	c.log(t, 999*time.Millisecond, 1, "refused")
	c.log(t, time.Second, 1, "refused")
	c.log(t, time.Second, 1, "refused")
	c.expect(t, "msg=refused", "msg=refused", "msg=refused suppressed=4", "msg=refused")
}

func TestCapCountsMessagesApart(t *testing.T) {
	c := newCapped(1)
	c.log(t, 0, 3, "a")
	c.log(t, 0, 1, "b")
	c.log(t, time.Second, 1, "a")
	c.expect(t, "msg=a", "msg=b", "msg=a suppressed=2")
}

func TestCapCountsLevelsApart(t *testing.T) {
	c := newCapped(1)
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelError, slog.LevelInfo} {
		if err := c.h.Handle(context.Background(), slog.NewRecord(c.t0, level, "m", 0)); err != nil {
			t.Fatal(err)
		}
	}
	c.expect(t, "msg=m", "msg=m")
}

// TestCapTellsWithoutTheNextLine shows that the count is not lost when a flood simply ends.
func TestCapTellsWithoutTheNextLine(t *testing.T) {
	c := newCapped(1)
	c.log(t, 0, 10, "flood")
	c.log(t, 500*time.Millisecond, 1, "calm")
	c.log(t, 2*time.Second, 1, "later")
	c.log(t, 3*time.Second, 1, "flood")
	c.expect(t, "msg=flood", "msg=calm", "msg=suppressed of=flood suppressed=9", "msg=later", "msg=flood")
}

func TestCapWaitsForEveryWindow(t *testing.T) {
	c := newCapped(1)
	c.log(t, 0, 2, "a")
	c.log(t, 600*time.Millisecond, 3, "b")
	c.log(t, 1100*time.Millisecond, 1, "x")
	c.log(t, 1600*time.Millisecond, 1, "y")
	c.expect(t, "msg=a", "msg=b", "msg=suppressed of=a suppressed=1", "msg=x", "msg=suppressed of=b suppressed=2", "msg=y")
}

func TestCapIsSharedByDerivedLoggers(t *testing.T) {
	c := newCapped(2)
	root := c.h
	c.log(t, 0, 1, "m")
	c.h = root.WithAttrs([]slog.Attr{slog.String("peer", "p")})
	c.log(t, 0, 1, "m")
	c.h = root.WithGroup("g")
	c.log(t, 0, 1, "m")
	c.h = root.WithGroup("")
	c.log(t, time.Second, 1, "m")
	c.expect(t, "msg=m", "msg=m peer=p", "msg=m suppressed=1")
}

// TestCapIsBounded shows that more messages than are counted apart share one count instead of taking more memory.
func TestCapIsBounded(t *testing.T) {
	c := newCapped(3)
	l, ok := c.h.(*limiter)
	if !ok {
		t.Fatal("not a limiter")
	}
	for i := range 3 * maxKeys {
		c.log(t, 0, 1, "m"+strconv.Itoa(i))
	}
	if got := len(l.state.keys); got > maxKeys+1 {
		t.Errorf("%d keys", got)
	}
	if got := strings.Count(c.buf.String(), "\n"); got != maxKeys+3 {
		t.Errorf("%d lines, want %d", got, maxKeys+3)
	}
}

// TestCapNew shows the cap at work in the logger that New returns, and that nothing is lost count of.
func TestCapNew(t *testing.T) {
	var buf bytes.Buffer
	log, err := New(&buf, "info", FormatText)
	if err != nil {
		t.Fatal(err)
	}
	h := log.Handler()
	t0 := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				_ = h.Handle(context.Background(), slog.NewRecord(t0, slog.LevelInfo, "m", 0))
			}
		})
	}
	wg.Wait()
	if got := strings.Count(buf.String(), "\n"); got != Burst {
		t.Errorf("%d lines in one window, want %d", got, Burst)
	}
	_ = h.Handle(context.Background(), slog.NewRecord(t0.Add(Window), slog.LevelInfo, "m", 0))
	if want := fmt.Sprintf("suppressed=%d\n", 8*500-Burst); !strings.HasSuffix(buf.String(), want) {
		t.Errorf("no %q at the end of %q", want, buf.String()[buf.Len()-80:])
	}
}
