package app

import (
	"context"
	"os"
	"slices"
	"time"
)

// translationEvery is how often the files with the address translation are looked at.
const translationEvery = 2 * time.Second

// stamp tells whether a file has changed.
type stamp struct {
	size int64
	at   time.Time
}

// stamps looks at files. One that cannot be looked at has the zero stamp.
func stamps(names []string) []stamp {
	found := make([]stamp, len(names))
	for i, name := range names {
		if info, err := os.Stat(name); err == nil {
			found[i] = stamp{info.Size(), info.ModTime()}
		}
	}
	return found
}

// watchTranslation puts the address translation of domains in force again when one of its files has changed, until ctx ends.
func (a *App) watchTranslation(ctx context.Context) error {
	t := time.NewTicker(translationEvery)
	defer t.Stop()
	of := a.now.Load()
	seen := stamps(of.cfg.NATFiles())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		n := a.now.Load()
		now := stamps(n.cfg.NATFiles())
		// A reload has read the files, but they may have changed since: what is read once more does no harm.
		if n != of && len(n.cfg.NATFiles()) > 0 || !slices.Equal(now, seen) {
			a.retranslate(ctx)
			n = a.now.Load()
		}
		of, seen = n, now
	}
}

// retranslate reads the files with the address translation again. A bad one changes nothing.
func (a *App) retranslate(ctx context.Context) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	old := a.now.Load()
	cfg, err := old.cfg.Retranslated()
	if err != nil {
		for _, e := range each(err) {
			a.log.Error("reading the address translation failed, the old one stays in force", "error", e)
		}
		return
	}
	next := *old
	next.cfg = cfg
	a.now.Store(&next)
	switch err := a.renew(ctx, &next); {
	case isBusy(err):
		a.now.Store(old)
		a.log.Error("changing the address translation failed, the old one stays in force", "error", err.Error())
		return
	case err != nil: // it is in force: see Reload
		a.log.Error("new address translation is in force, but what follows from it is not stored", "error", err.Error())
		return
	}
	a.log.Info("address translation read again")
}
