package app

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/upstream"
)

// leavingEvery is how often it is looked at whether uplinks that are not configured any more are empty.
const leavingEvery = time.Second

// leavingDown is how long one of them that is a server may have no session before what stands there is left to its lifetime's end.
const leavingDown = 10 * time.Minute

// watchLeaving lets uplinks go that are not configured any more, each once nothing stands there, until ctx ends. A mitigator that nobody knows
// any more would go on for ever: what it does has no lifetime of its own.
func (a *App) watchLeaving(ctx context.Context) error {
	t := time.NewTicker(leavingEvery)
	defer t.Stop()
	down := map[string]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		a.letGo(ctx, down)
	}
}

// over names those of the uplinks that leave that may go: nothing is wanted of them, not even its end, or they are servers and have been down for
// leavingDown. down holds since when, and is kept up to date.
func over(down map[string]time.Time, now time.Time, leaving []upstream.LinkInfo) []string {
	was := maps.Clone(down)
	clear(down)
	var names []string
	for _, l := range leaving {
		left := l.Standing
		for _, n := range l.Legs {
			left += n
		}
		since, known := was[l.Name]
		switch {
		case left == 0, !l.Up && !l.Local && known && now.Sub(since) >= leavingDown:
			names = append(names, l.Name)
		case !l.Up && known:
			down[l.Name] = since
		case !l.Up:
			down[l.Name] = now
		}
	}
	return names
}

// letGo ends those uplinks that are not configured any more and may go. Since the core has had rules that send nobody there, nothing comes to be
// wanted anew of one that was empty.
func (a *App) letGo(ctx context.Context, down map[string]time.Time) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	old := a.now.Load()
	leaving := old.cfg.Leaving()
	names := over(down, time.Now(), slices.DeleteFunc(a.upstream.Links(), func(l upstream.LinkInfo) bool { return !slices.Contains(leaving, l.Name) }))
	if len(names) == 0 {
		return
	}
	next, err := old.without(names)
	if err == nil {
		err = a.exchange(ctx, old, next)
	}
	if err != nil { // it is tried again
		a.log.Warn("ending uplinks that are not configured any more failed", "error", err.Error())
		return
	}
	a.log.Info("uplinks that are not configured any more have ended", "uplinks", strings.Join(names, ", "))
}
