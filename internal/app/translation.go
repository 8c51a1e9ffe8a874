package app

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/gateway"
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

// translationWatch tells when the files are to be read again.
type translationWatch struct {
	of   *inForce // what was in force when they were read
	seen []stamp  // as they were then
	last []stamp  // as they were at the last look
}

// due reports whether the files have changed, or may have, and stand still since the last look: one that is being written may seem whole, and what its
// missing lines mapped would end. A reload has read the files, but they may have changed since: what is read once more does no harm.
func (w *translationWatch) due(n *inForce, now []stamp) bool {
	still := slices.Equal(now, w.last)
	w.last = now
	if len(now) == 0 || n == w.of && slices.Equal(now, w.seen) {
		w.done(n, now)
		return false
	}
	return still
}

// done notes that the files were read.
func (w *translationWatch) done(n *inForce, now []stamp) { w.of, w.seen = n, now }

// watchTranslation puts the address translation of domains in force again when one of its files has changed, until ctx ends.
func (a *App) watchTranslation(ctx context.Context) error {
	t := time.NewTicker(translationEvery)
	defer t.Stop()
	n := a.now.Load()
	w := translationWatch{of: n, seen: stamps(n.cfg.NATFiles())}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		n := a.now.Load()
		if now := stamps(n.cfg.NATFiles()); w.due(n, now) && a.retranslate(ctx) {
			w.done(a.now.Load(), now)
		}
	}
}

// retranslate reads the files with the address translation again. A bad one changes nothing. It reports whether there is nothing more to do before
// they change again: not when the core was too busy.
func (a *App) retranslate(ctx context.Context) (done bool) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	old := a.now.Load()
	cfg, err := old.cfg.Retranslated()
	if err != nil {
		for _, e := range each(err) {
			a.log.Error("reading the address translation failed, the old one stays in force", "error", e)
		}
		return true
	}
	next := *old
	next.cfg = cfg
	a.now.Store(&next)
	switch err := a.renew(ctx, &next); {
	case errors.Is(err, gateway.ErrBusy):
		a.now.Store(old)
		a.log.Error("changing the address translation failed, the old one stays in force", "error", err.Error())
		return false
	case err != nil: // it is in force: see Reload
		a.log.Error("new address translation is in force, but what follows from it is not stored", "error", err.Error())
		return true
	}
	a.log.Info("address translation read again")
	return true
}
