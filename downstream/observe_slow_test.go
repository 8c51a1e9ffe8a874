package downstream

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// stalledCore is a core that keeps questions for reports while it is stalled.
type stalledCore struct {
	*fakeCore
	mu      sync.Mutex
	stalled bool
	held    []func([]dots.Report, error)
}

func (c *stalledCore) Reports(client dots.Client, mid dots.Maybe[uint32], done func([]dots.Report, error)) {
	c.mu.Lock()
	stalled := c.stalled
	if stalled {
		c.held = append(c.held, done)
	}
	c.mu.Unlock()
	if !stalled {
		c.fakeCore.Reports(client, mid, done)
	}
}

// stall begins to keep questions, or answers those that are kept; it returns how many there were.
func (c *stalledCore) stall(on bool, reports ...dots.Report) int {
	c.mu.Lock()
	c.stalled = on
	held := c.held
	if !on {
		c.held = nil
	}
	c.mu.Unlock()
	if !on {
		for _, done := range held {
			done(reports, nil)
		}
	}
	return len(held)
}

// Notifications coalesce: RFC 9132, Section 4.4.2.1. However often the state changes while a thousand observers cannot be told, each has one question
// under way and nothing in a queue, and is told the newest state once.
func TestSlowObservers(t *testing.T) {
	const sessions, each = 16, 63
	core := &stalledCore{}
	inRig(t, func(c *Config) {
		core.fakeCore = c.Core.(*fakeCore)
		c.Core, c.MaxObserversPerClient = core, sessions*each
	}, func(r *rig) {
		r.core.report(status(dots.StatusInProgress))
		var all []*watching
		for range sessions {
			c := r.connect("a.example")
			for range each {
				all = append(all, c.observe(pathMID1))
			}
		}
		r.wait(10 * time.Second)
		core.stall(true)
		for range 100 {
			r.srv.Changed(keyA1)
			r.wait(time.Second)
		}
		if n := core.stall(true); n != len(all) {
			t.Errorf("%d questions are under way for %d observers", n, len(all))
		}
		told := len(all[0].sofar())
		r.core.report(status(dots.StatusMitigated))
		if n := core.stall(false, status(dots.StatusStopped)); n != len(all) {
			t.Errorf("%d questions were kept for %d observers", n, len(all))
		}
		synctest.Wait()
		r.wait(10 * time.Second)
		for i, w := range all {
			// What the core answered then, and the change since the question was asked.
			news := slices.Clone(w.sofar()[told:])
			for j := range news {
				_, news[j], _ = strings.Cut(news[j], " ")
			}
			if !slices.Equal(news, []string{"2.05 3", "2.05 2"}) {
				t.Fatalf("observer %d was told %q", i, news)
			}
		}
	})
}
