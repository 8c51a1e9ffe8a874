package coap

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// errDeadlinePassed is what a read returns at its deadline.
var errDeadlinePassed = fmt.Errorf("waiting for a datagram: %w", os.ErrDeadlineExceeded)

// deadline is a moment that can be moved, as a channel that is closed once it has passed.
type deadline struct {
	mu     sync.Mutex
	timer  *time.Timer
	passed chan struct{}
}

func newDeadline() *deadline { return &deadline{passed: make(chan struct{})} }

// set moves the deadline; the zero time means never.
func (d *deadline) set(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.passed // the timer has fired and is about to close it
	}
	d.timer = nil
	over := d.isOver()
	wait := time.Until(at)
	if at.IsZero() || wait > 0 {
		if over {
			d.passed = make(chan struct{})
		}
		if !at.IsZero() {
			passed := d.passed
			d.timer = time.AfterFunc(wait, func() { close(passed) })
		}
		return
	}
	if !over {
		close(d.passed)
	}
}

func (d *deadline) isOver() bool {
	select {
	case <-d.passed:
		return true
	default:
		return false
	}
}

// done is closed when the deadline in force now has passed.
func (d *deadline) done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed
}
