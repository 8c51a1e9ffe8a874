package app

import (
	"errors"
	"fmt"
	"sync"
)

// storeHealth keeps how the newest commit went.
type storeHealth struct {
	mu  sync.Mutex
	err error // nil: it went well, or there was none yet
}

func (h *storeHealth) committed(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

func (h *storeHealth) last() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// ready tells why the gateway cannot do its work, nil when it can: it stores what it promises, and has somebody to ask.
func (a *App) ready() error {
	if err := a.health.last(); err != nil {
		return fmt.Errorf("the store refuses: %w", err)
	}
	for _, l := range a.upstream.Links() {
		if l.Up {
			return nil
		}
	}
	return errors.New("no uplink has a session")
}
