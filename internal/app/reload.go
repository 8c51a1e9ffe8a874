package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/gateway"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/upstream"
)

// reloadWithin is how long a reload may wait for the core.
const reloadWithin = 30 * time.Second

// SetLevel names the log's level, which a reload then changes. Call it before Run.
func (a *App) SetLevel(level *slog.LevelVar) { a.level = level }

// Reload reads the configuration file again, with all that it names, and puts it in force:
//
//  1. read and check the whole file, and make what can fail: where anything is wrong nothing has changed, and the error says all of it;
//  2. take over what is made alike, so that its sessions live on, and what is not configured any more, so that it can be emptied;
//  3. start what is new, so that the core finds it when it wants something there;
//  4. let the core take the new policy: mitigations that are no longer allowed end, the others go where they belong now;
//  5. use the credentials that were read, and close the sessions of clients that are gone, or whose credentials are no longer good;
//  6. end what is no longer used, and what is not configured any more once nothing stands there (see watchLeaving).
//
// What the core refuses, because it is busy, is undone: then nothing has changed. What it took is in force, even where the store fails.
//
// What needs a restart is named in the log and stays as it was. Live sessions of clients and unchanged uplinks go on. Its error is a
// config.Errors where the file is to blame.
func (a *App) Reload(ctx context.Context) error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	err := a.reload(ctx)
	a.metrics.Reloaded(err)
	return err
}

func (a *App) reload(ctx context.Context) error {
	cfg, err := config.Load(a.cfg.File)
	if err != nil {
		return err
	}
	old := a.now.Load()
	next, err := a.prepare(cfg, old)
	if err != nil {
		return err
	}
	if err := next.retain(old); err != nil {
		return err
	}
	if err := a.exchange(ctx, old, next); err != nil {
		return err
	}
	if names := next.cfg.Leaving(); len(names) > 0 {
		a.log.Warn("uplinks that are not configured any more are kept until nothing stands there", "uplinks", strings.Join(names, ", "))
	}
	a.tellExpiries(next)
	if a.level != nil {
		_ = a.level.UnmarshalText([]byte(cfg.Log.Level)) // checked by config
	}
	if fixed := needRestart(a.cfg, cfg); len(fixed) > 0 {
		a.log.Warn("changed settings take effect after a restart", "settings", strings.Join(fixed, ", "))
	}
	a.log.Info("configuration reloaded", "uplinks", len(cfg.Uplinks)+len(cfg.Mitigators), "domains", cfg.Domains())
	return nil
}

// exchange puts next in the place of old. Where the core does not take it, old stays.
func (a *App) exchange(ctx context.Context, old, next *inForce) error {
	next.keep(old)
	a.begin(next)
	a.metrics.SetUplinks(uplinkNames(next.cfg))
	a.linkMeter.set(next.cfg.Uplinks)
	if err := a.upstream.Reload(union(next.links(), old.links())); err != nil {
		a.abandon(next, old)
		return fmt.Errorf("reloading the uplinks: %w", err)
	}
	a.now.Store(next)
	err := a.renew(ctx, next)
	if errors.Is(err, gateway.ErrBusy) { // a store that fails is unavailable, too, but of what the core has taken
		a.abandon(next, old)
		return fmt.Errorf("reloading the policy: %w", err)
	}
	next.renew() // the core took the rest, or will: there is no way back
	a.downstream.Reidentify()
	err = errors.Join(err, a.upstream.Reload(next.links()))
	a.end(old, next)
	if err != nil {
		return changedError{err}
	}
	return nil
}

// changedError is what went wrong after the new configuration was in force.
type changedError struct{ err error }

// Error says what went wrong, and what holds.
func (e changedError) Error() string {
	return "the new configuration is in force, but: " + e.err.Error()
}

// Unwrap returns what went wrong.
func (e changedError) Unwrap() error { return e.err }

// abandon goes back to what was in force.
func (a *App) abandon(next, old *inForce) {
	a.now.Store(old)
	if err := a.upstream.Reload(old.links()); err != nil {
		a.log.Error("going back to the uplinks of before failed", "error", err.Error())
	}
	a.metrics.SetUplinks(uplinkNames(old.cfg))
	a.linkMeter.set(old.cfg.Uplinks)
	a.end(next, old)
}

// end ends the parts of what is no longer in force, but for those that are still used.
func (a *App) end(gone, used *inForce) {
	for _, l := range gone.lines {
		if still := used.line(l.link.Name); l.way != nil && (still == nil || still.way != l.way) {
			a.dialers.end(l.way)
		}
	}
	if gone.authorizer != nil && gone.authorizer != used.authorizer {
		a.advisers.end(gone.authorizer)
	}
}

// renew lets the core take the policy. While it is busy it is asked again, until ctx ends or for reloadWithin. Once it has the policy it is waited
// for, whoever is gone meanwhile.
func (a *App) renew(ctx context.Context, n *inForce) error {
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), reloadWithin)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		err := a.gateway.Reload(patience, n.rules())
		if !errors.Is(err, gateway.ErrBusy) {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return err
		case <-patience.Done():
			return err
		}
	}
}

// union adds to links those others whose names are not among them.
func union(links, others []upstream.LinkConfig) []upstream.LinkConfig {
	known := map[string]bool{}
	for _, l := range links {
		known[l.Name] = true
	}
	for _, l := range others {
		if !known[l.Name] {
			links = append(links, l)
		}
	}
	return links
}

// needRestart names the settings that differ and cannot be changed while the gateway runs.
func needRestart(old, next *config.Config) []string {
	var names []string
	for _, s := range []struct {
		name      string
		old, next any
	}{
		{"node", nodeOf(old), nodeOf(next)},
		{"listeners", old.Listeners, next.Listeners},
		{"mitigation", old.Mitigation, next.Mitigation},
		{"session", old.Session, next.Session},
		{"store", old.Store, next.Store},
		{"metrics", old.Metrics, next.Metrics},
		{"admin", old.Admin, next.Admin},
		{"log.format", old.Log.Format, next.Log.Format},
	} {
		if !reflect.DeepEqual(s.old, s.next) {
			names = append(names, s.name)
		}
	}
	return names
}

// nodeOf lists the settings of the node.
func nodeOf(c *config.Config) []any {
	return []any{c.NodeID, c.HopLimit, c.HideTopology, c.Unicast, c.UnicastName, c.CookieSecret}
}

// ReloadOn reloads each time that a signal comes in, until ctx ends.
func (a *App) ReloadOn(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		a.tellReload(a.Reload(ctx))
	}
}

// tellReload logs why a reload was refused.
func (a *App) tellReload(err error) {
	if changed := (changedError{}); errors.As(err, &changed) {
		a.log.Error("configuration changed, but not everything that follows from it was done", "error", changed.err.Error())
		return
	}
	for _, e := range each(err) {
		a.log.Error("reloading failed, the old configuration stays in force", "error", e)
	}
}

// each lists what an error says: a line for each mistake of a file.
func each(err error) []string {
	var bad config.Errors
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &bad):
		return []string{err.Error()}
	}
	lines := make([]string, len(bad))
	for i, e := range bad {
		lines[i] = e.Error()
	}
	return lines
}
