package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/store"
)

// TestDrain lets an uplink drain through the loop: the command returns once it is durable, and says what is wrong with it.
//
// RFC 8811, Section 3.2.4: a server may be taken out.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.NewMemory(), nil)
		drained := func() (list []string) {
			if err := w.gate.Look(t.Context(), func(c *Core) { list = c.Drained() }); err != nil {
				t.Fatal(err)
			}
			return list
		}
		if err := w.gate.Drain(t.Context(), "nowhere", true); err == nil || !strings.Contains(err.Error(), `"up"`) {
			t.Errorf("an unknown uplink: %v", err)
		}
		if err := w.gate.Drain(t.Context(), "up", true); err != nil || !slices.Equal(drained(), []string{"up"}) {
			t.Errorf("%v, drained %v", err, drained())
		}
		w.disk.FailCommit(1, errors.New("gone"))
		if err := w.gate.Drain(t.Context(), "up", false); dots.AsError(err).Code != dots.CodeUnavailable {
			t.Errorf("a disk that fails: %v", err)
		}
		if got := drained(); !slices.Equal(got, []string{"up"}) {
			t.Errorf("drained %v", got)
		}
		reached, release := w.disk.BlockCommit(1)
		late, cancel := context.WithCancel(t.Context())
		go func() { <-reached; cancel() }()
		if err := w.gate.Drain(late, "up", false); !errors.Is(err, context.Canceled) {
			t.Errorf("a disk that is slow: %v", err)
		}
		release()
		w.stop()
		if err := w.gate.Drain(t.Context(), "up", true); err == nil {
			t.Error("done by a gateway that stopped")
		}
	})
}
