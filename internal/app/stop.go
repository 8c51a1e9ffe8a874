package app

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stopWithin is how long a stop may take before it is given up. What is durable stays durable, however a stop ends.
const stopWithin = 10 * time.Second

// stop ends the stages in the reverse order of their start, each once the later ones have ended, all within stopWithin:
//
//  1. the listeners, so that nothing new comes in; their clients are told goodbye, which loses them nothing;
//  2. the server half, which then has no sessions left to tell anything;
//  3. the core, which decides and stores what was taken in, and answers who still waits;
//  4. the uplinks, so that the wants of the core's last commits could still be said; nothing is withdrawn by a stop;
//  5. the AAA client, when nobody asks it any more;
//  6. the dialers, which own the connections of the uplinks' sessions;
//  7. the store, when nobody can write any more;
//  8. metrics and admin last, so that an operator can watch a stop.
func (a *App) stop(started []*running) error {
	deadline, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	var errs []error
	for i := len(started) - 1; i > 0; i-- {
		errs = append(errs, a.halt(deadline, started[i]))
	}
	if deadline.Err() == nil {
		if err := a.store.Close(); err != nil {
			errs = append(errs, fmt.Errorf("closing the store: %w", err))
		}
	}
	errs = append(errs, a.halt(deadline, started[0]))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	a.log.Info("gateway stopped")
	return nil
}

// halt ends one stage. One that does not end in time is left behind: the others are told to end all the same.
func (a *App) halt(ctx context.Context, r *running) error {
	a.log.Debug("stopping", "part", r.name)
	r.cancel()
	ended := make(chan struct{})
	go func() {
		r.wait.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopping: %s did not end within %v", r.name, stopWithin)
	}
}

// Close gives back what Build took, for a gateway that is not Run.
func (a *App) Close() error {
	// A listener gives its address back by Run only: one whose context has ended returns at once.
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	var errs []error
	for _, s := range a.servers {
		errs = append(errs, s.Run(ended))
	}
	if a.admin != nil {
		errs = append(errs, a.admin.Run(ended))
	}
	if a.web != nil {
		errs = append(errs, a.web.Close())
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	return errors.Join(errs...)
}
