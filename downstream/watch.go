package downstream

import (
	"context"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// resource is what an observer watches: one mitigation of a client (mid present), all of them, or the configuration
// of a session (config present, client absent).
type resource struct {
	client dots.Client
	mid    dots.Maybe[uint32]
	config *peer
}

// watcher is one observation. All but its fixed part is guarded by the table's lock.
type watcher struct {
	// fixed
	of     resource
	filter wire.Filter
	peer   *peer
	entry  string // the client entry whose limit it counts for
	ask    func() // asks for the state and sends it; ends in sent, failed or remove
	alarm  alarm

	gone bool
	obs  *coap.Observer // nil until the first answer is out
	pace pace
}

// watchTable holds the observers of all sessions, bounded per client entry. Safe for concurrent use.
type watchTable struct {
	now        func() time.Time
	alarms     *alarms
	meter      Meter
	limit      int
	limitOf    func(entry string) int // overrides limit where it is positive
	gap, every time.Duration

	mu      sync.Mutex
	of      map[resource]map[*watcher]struct{}
	entries map[string]int
	began   uint64 // observations so far
}

func newWatchTable(cfg Config, a *alarms) *watchTable {
	return &watchTable{
		now: cfg.Now, alarms: a, meter: cfg.Meter,
		limit: cfg.MaxObserversPerClient, limitOf: cfg.MaxObservers, gap: cfg.MinNotifyGap, every: cfg.NotifyInterval,
		of: make(map[resource]map[*watcher]struct{}), entries: make(map[string]int),
	}
}

// add registers a watcher before its first answer is asked for, so that no change in between is missed. It returns
// false when the client entry has as many as it may and none of them can be replaced.
func (t *watchTable) add(w *watcher) bool {
	limit := t.limit
	if own := t.limitOf(w.entry); own > 0 {
		limit = own
	}
	t.mu.Lock()
	old, ok := t.room(w, limit)
	if ok {
		w.alarm.ring = func(_ context.Context, now time.Time) { t.due(w, now) }
		w.pace = pace{gap: t.gap, every: t.every, phase: phaseOf(t.began, t.gap)}
		t.began++
		w.pace.ask()
		if t.of[w.of] == nil {
			t.of[w.of] = make(map[*watcher]struct{})
		}
		t.of[w.of][w] = struct{}{}
		t.entries[w.entry]++
	}
	t.mu.Unlock()
	if old != nil {
		t.remove(old)
		if old.obs != nil { // its lock-free read is safe: a removed watcher is not changed any more
			old.obs.Close()
		}
	}
	if ok {
		t.meter.Observers(ObserverBegan)
	} else {
		t.meter.Observers(ObserverRefused)
	}
	return ok
}

// room reports whether w fits; if only in the place of an older observation of the same resource by the same
// session, it returns that one.
func (t *watchTable) room(w *watcher, limit int) (replace *watcher, ok bool) {
	if t.entries[w.entry] < limit {
		return nil, true
	}
	for old := range t.of[w.of] {
		if old.peer == w.peer && old.filter == w.filter {
			return old, true
		}
	}
	return nil, false
}

// remove forgets an observation that has ended or is about to; whoever comes second does nothing.
func (t *watchTable) remove(w *watcher) {
	t.mu.Lock()
	if w.gone {
		t.mu.Unlock()
		return
	}
	w.gone = true
	delete(t.of[w.of], w)
	if len(t.of[w.of]) == 0 {
		delete(t.of, w.of)
	}
	t.entries[w.entry]--
	if t.entries[w.entry] == 0 {
		delete(t.entries, w.entry)
	}
	t.alarms.drop(&w.alarm)
	t.mu.Unlock()
	t.meter.Observers(ObserverEnded)
}

// started notes that the first answer is out and that obs sends the further ones.
func (t *watchTable) started(w *watcher, obs *coap.Observer, active bool) {
	t.mu.Lock()
	gone := w.gone
	if !gone {
		w.obs = obs
		w.pace.sent(t.now(), active)
		t.schedule(w)
	}
	t.mu.Unlock()
	if gone {
		obs.Close()
	}
}

// notify sends a notification that was asked for.
func (t *watchTable) notify(w *watcher, m *coap.Message, active bool) {
	t.mu.Lock()
	obs, gone := w.obs, w.gone
	if !gone {
		w.pace.sent(t.now(), active)
		t.schedule(w)
	}
	t.mu.Unlock()
	if gone {
		return
	}
	obs.Notify(m)
	t.meter.Notified(dots.Code(m.Code))
	if !m.Code.Success() {
		t.remove(w)
	}
}

// failed notes that the state could not be had now; it is asked for again after the gap, because sending
// the error would end the observation (RFC 7641, Section 4.2).
func (t *watchTable) failed(w *watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !w.gone {
		w.pace.failed(t.now())
		t.schedule(w)
	}
}

// changed tells every watcher of a resource that its state has changed. It does not block.
func (t *watchTable) changed(of resource) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for w := range t.of[of] {
		w.pace.change(t.now())
		t.schedule(w)
	}
}

// nudge makes the watchers of some client entries ask for their state, though it has not changed. It does not block.
func (t *watchTable) nudge(whose func(entry string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, watchers := range t.of {
		for w := range watchers {
			if whose(w.entry) {
				w.pace.change(t.now())
				t.schedule(w)
			}
		}
	}
}

// evict ends the observations of a session that is no longer of the client entry that began them.
func (t *watchTable) evict(p *peer) {
	var evicted []*watcher
	t.mu.Lock()
	for _, watchers := range t.of {
		for w := range watchers {
			if w.peer == p {
				evicted = append(evicted, w)
			}
		}
	}
	t.mu.Unlock()
	for _, w := range evicted {
		t.remove(w)
		if w.obs != nil { // not changed any more once removed
			w.obs.Notify(plain(dots.CodeUnauthorized, "unknown client"))
			t.meter.Notified(dots.CodeUnauthorized)
		}
	}
}

// due asks for the state of a watcher whose time has come.
func (t *watchTable) due(w *watcher, now time.Time) {
	t.mu.Lock()
	at, ok := w.pace.next()
	if w.gone || !ok || at.After(now) { // it was moved while the alarm rang
		if !w.gone {
			t.schedule(w)
		}
		t.mu.Unlock()
		return
	}
	w.pace.ask()
	t.mu.Unlock()
	w.ask()
}

// schedule arms the watcher's alarm as its pace says. The lock is held.
func (t *watchTable) schedule(w *watcher) {
	if at, ok := w.pace.next(); ok {
		t.alarms.set(&w.alarm, at)
	}
}
