package gateway

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/store"
)

// TestErrBusy tells what was never taken in from what was taken and failed: only the first says that nothing has changed.
func TestErrBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.NewMemory(), func(c *Config) { c.Mailbox = 1 })
		if err := w.gate.Drain(t.Context(), "nowhere", true); err == nil || errors.Is(err, ErrBusy) {
			t.Errorf("an order that is wrong: %v", err)
		}
		enter, leave := make(chan struct{}), make(chan struct{})
		w.gate.box.deliver(query(func(*Core) { close(enter); <-leave }))
		<-enter
		w.gate.LinkUp("up") // fills it
		for what, err := range map[string]error{
			"an order": w.gate.Drain(t.Context(), "up", true),
			"a look":   w.gate.Look(context.Background(), func(*Core) {}),
		} {
			var refused *dots.Error
			if !errors.Is(err, ErrBusy) || !errors.As(err, &refused) || refused.Code != dots.CodeUnavailable || refused.MaxAge != 5*time.Second {
				t.Errorf("%s: %v", what, err)
			}
		}
		w.get(1)
		w.want("get 1: 5.03 busy")
		close(leave)
	})
}
