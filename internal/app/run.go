package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/gateway"
	"github.com/dotsgate/dotsgate/internal/metrics"
)

// stage is a group of tasks that start together and stop together.
type stage struct {
	name  string
	tasks []func(context.Context) error
}

// stages in the order of their start: each finds there what it leans on. They stop in the reverse order (see stop).
func (a *App) stages() []stage {
	aside := []func(context.Context) error{a.pressure.Run, giveBack, a.collect, a.gauges, a.watchTranslation, a.watchLeaving}
	if a.web != nil {
		aside = append(aside, a.web.Run)
	}
	if a.admin != nil {
		aside = append(aside, a.admin.Run)
	}
	var listeners []func(context.Context) error
	for _, s := range a.servers {
		listeners = append(listeners, s.Run, func(ctx context.Context) error { s.Replay(ctx); return nil })
	}
	return []stage{
		{"metrics and admin", aside},
		{"dialers", []func(context.Context) error{a.dialers.run}},
		{"AAA client", []func(context.Context) error{a.advisers.run}},
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
	stages := a.stages()
	for i, s := range stages {
		if i == len(stages)-1 {
			a.resume()
		}
		started = append(started, start(s, failed))
	}
	for i, s := range a.servers {
		a.log.Info("listening", "address", s.Addr().String(), "transport", a.cfg.Listeners[i].Transport)
		a.tellSteering(s)
	}
	a.log.Info("gateway started", "node", a.cfg.NodeID, "listeners", len(a.servers), "uplinks", len(a.now.Load().lines), "store", a.cfg.Store)
	a.serving(ctx)
	var err error
	var heir *succession
	select {
	case <-ctx.Done():
	case heir = <-a.leave:
	case err = <-failed:
		a.log.Error("a part of the gateway failed, stopping", "error", err.Error())
	}
	close(a.left)
	if heir != nil {
		return a.handOver(heir, started)
	}
	return errors.Join(err, a.stop(started))
}

// serving tells those who wait for it that the gateway serves: the process before, whose place it has taken, and systemd.
func (a *App) serving(ctx context.Context) {
	if err := tellSystemd(ctx, os.Getenv, a.heir != nil); err != nil {
		a.log.Warn("the service manager was not told that the gateway serves", "error", err.Error())
	}
	a.took()
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

// gaugeEvery is how often the gauges of the core are set.
const gaugeEvery = 5 * time.Second

// gauges keeps the metrics of mitigations up to date until ctx ends.
func (a *App) gauges(ctx context.Context) error {
	t := time.NewTicker(gaugeEvery)
	defer t.Stop()
	started := a.gateway.Now()
	var slow uint64 // requests refused for their client's rate, as told so far
	for {
		var counts map[dots.Status]int
		var silence map[string]time.Duration
		var made gateway.Counts
		routes := metrics.Routes{Drained: map[string]bool{}, Blind: map[string]int{}, RTT: map[string]time.Duration{}}
		err := a.gateway.Look(ctx, func(c *gateway.Core) {
			counts = c.Statuses()
			silence = c.Silence(a.gateway.Now(), started)
			made = c.Counts()
			routes.Shared, routes.Recursed = c.Shared(), c.Recursed()
			for _, uplink := range c.Drained() {
				routes.Drained[uplink] = true
			}
		})
		if err == nil {
			for _, l := range a.upstream.Links() {
				routes.Blind[l.Name], routes.RTT[l.Name] = l.Blind, l.RTT.Value
			}
			a.metrics.SetMitigations(counts)
			a.metrics.SetOldestReports(silence)
			a.metrics.SetRoutes(routes)
			a.metrics.RateRefused(made.TooFast - slow)
			slow = made.TooFast
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}
