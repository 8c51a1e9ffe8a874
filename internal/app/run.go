package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/gateway"
)

// stopWithin is how long a stop may take before it is given up.
const stopWithin = 10 * time.Second

// stage is a group of tasks that start together and stop together.
type stage struct {
	name  string
	tasks []func(context.Context) error
}

// stages in the order of their start; they stop in the reverse order, each once the later ones have ended:
//
//  1. metrics and admin first and last, so that an operator can watch a start and a stop;
//  2. the dialers own the connections that the uplinks' sessions run on;
//  3. the uplinks outlive the core, so that the wants of its last commits are still said;
//  4. the core outlives the server half, so that requests taken in are decided and stored;
//  5. the server half outlives its listeners, so that their sessions end in order;
//  6. the listeners come last, when everything behind them is there, and go first, saying goodbye to their clients.
func (a *App) stages() []stage {
	aside := []func(context.Context) error{a.gauges}
	if a.web != nil {
		aside = append(aside, a.web.Run)
	}
	if a.admin != nil {
		aside = append(aside, a.admin.Run)
	}
	var dialers, listeners []func(context.Context) error
	for _, d := range a.dialers {
		dialers = append(dialers, d.Run)
	}
	for _, s := range a.servers {
		listeners = append(listeners, s.Run)
	}
	return []stage{
		{"metrics and admin", aside},
		{"dialers", dialers},
		{"uplinks", []func(context.Context) error{a.upstream.Run}},
		{"core", []func(context.Context) error{a.gateway.Run}},
		{"server half", []func(context.Context) error{a.downstream.Run}},
		{"listeners", listeners},
	}
}

// running is a stage that was started.
type running struct {
	stage
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// Run runs the gateway until ctx ends or a part of it fails, then stops it in order. It returns nil after an orderly stop.
func (a *App) Run(ctx context.Context) error {
	failed := make(chan error, 1)
	var started []*running
	for _, s := range a.stages() {
		started = append(started, start(s, failed))
	}
	a.log.Info("gateway started", "node", a.cfg.NodeID, "listeners", len(a.servers), "uplinks", len(a.dialers))
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		a.log.Error("a part of the gateway failed, stopping", "error", err.Error())
	}
	return errors.Join(err, a.stop(started))
}

// start starts a stage's tasks. It outlives the program's context: stop ends it in its turn.
func start(s stage, failed chan<- error) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{stage: s, cancel: cancel}
	for _, task := range s.tasks {
		r.wait.Go(func() {
			if err := task(ctx); err != nil && !errors.Is(err, context.Canceled) {
				select {
				case failed <- fmt.Errorf("%s: %w", s.name, err):
				default: // only the first failure stops the gateway
				}
			}
		})
	}
	return r
}

// stop ends the stages in reverse order, all within stopWithin, and closes the store.
func (a *App) stop(started []*running) error {
	deadline := time.After(stopWithin)
	for i := len(started) - 1; i >= 0; i-- {
		r := started[i]
		r.cancel()
		ended := make(chan struct{})
		go func() {
			r.wait.Wait()
			close(ended)
		}()
		select {
		case <-ended:
		case <-deadline:
			return fmt.Errorf("stopping: %s did not end within %v", r.name, stopWithin)
		}
	}
	if err := a.store.Close(); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	a.log.Info("gateway stopped")
	return nil
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

// Reload reads the certificates and revocation lists again. Live sessions go on; where new files are bad, the old ones stay in force.
func (a *App) Reload() error {
	var errs []error
	for _, c := range a.credentials {
		errs = append(errs, c.Reload())
	}
	return errors.Join(errs...)
}

// ReloadOn reloads at each SIGHUP until ctx ends.
func (a *App) ReloadOn(ctx context.Context) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
		}
		if err := a.Reload(); err != nil {
			a.log.Error("reloading credentials failed, the old ones stay in force", "error", err.Error())
			continue
		}
		a.log.Info("credentials reloaded; other settings take effect after a restart")
	}
}

// gaugeEvery is how often the gauges of the core are set.
const gaugeEvery = 5 * time.Second

// gauges keeps the metrics of mitigations up to date until ctx ends.
func (a *App) gauges(ctx context.Context) error {
	t := time.NewTicker(gaugeEvery)
	defer t.Stop()
	for {
		var counts map[dots.Status]int
		err := a.gateway.Look(ctx, func(c *gateway.Core) { counts = c.Statuses(time.Now()) })
		if err == nil {
			a.metrics.SetMitigations(counts)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}
