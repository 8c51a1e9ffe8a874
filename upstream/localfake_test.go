package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
)

// errBroken is a failure that is no refusal.
var errBroken = errors.New("broken")

// mitigator is a fake: it keeps what is started, and does as the test says.
type mitigator struct {
	*testing.T
	start time.Time

	mu     sync.Mutex
	calls  []moment
	force  map[dots.LegKey]dots.Leg
	left   []dots.LegKey                                // what Open tells
	status map[uint32]dots.Report                       // what Status tells, by mid; others are not named
	fail   func(ctx context.Context, call string) error // nil: everything goes well
	busy   bool
	opened bool
}

func (m *mitigator) call(ctx context.Context, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	m.mu.Lock()
	m.calls = append(m.calls, moment{time.Since(m.start), what})
	if m.busy {
		m.Errorf("%s while another call is under way", what)
	}
	if opening := what == "open"; m.opened == opening {
		m.Errorf("%s with opened %v", what, m.opened)
	}
	m.busy = true
	fail := m.fail
	m.mu.Unlock()
	var err error
	if fail != nil {
		err = fail(ctx, what)
	}
	m.mu.Lock()
	m.busy = false
	m.mu.Unlock()
	return err
}

func (m *mitigator) Open(ctx context.Context) ([]dots.LegKey, error) {
	if err := m.call(ctx, "open"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened = true
	return m.left, nil
}

func (m *mitigator) Start(ctx context.Context, leg dots.Leg) error {
	if leg.Request.OnSignalLoss || !leg.Request.Lifetime.Set {
		m.Errorf("started %+v", leg)
	}
	if err := m.call(ctx, "start %d r%d for %d", leg.Key.MID, leg.Revision, leg.Request.Lifetime.Value); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.force[leg.Key] = leg
	return nil
}

func (m *mitigator) Stop(ctx context.Context, key dots.LegKey) error {
	if err := m.call(ctx, "stop %d", key.MID); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.force, key)
	return nil
}

func (m *mitigator) Status(ctx context.Context, keys []dots.LegKey) ([]LegReport, error) {
	mids := []string{}
	for _, k := range keys {
		mids = append(mids, fmt.Sprint(k.MID))
	}
	if err := m.call(ctx, "status %s", strings.Join(mids, " ")); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var told []LegReport
	for _, k := range keys {
		if r, ok := m.status[k.MID]; ok {
			told = append(told, LegReport{k, r})
		}
	}
	return told, nil
}

func (m *mitigator) Close() error {
	err := m.call(context.Background(), "close")
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened = false
	return err
}

// last is a manager with one fake mitigator, the last hop, in virtual time.
type last struct {
	*testing.T
	*mitigator
	manager *Manager
	events  *recorder
	stop    func()
}

// lastHop runs a test of a manager with a mitigator under the name "a". The whole wanted set is stated from the start, unless change is given,
// which may alter the configuration and the mitigator.
func lastHop(t *testing.T, change func(*Config, *mitigator), test func(*last)) {
	synctest.Test(t, func(t *testing.T) {
		m := &mitigator{T: t, start: time.Now(), force: map[dots.LegKey]dots.Leg{}, status: map[uint32]dots.Report{}}
		w := &last{T: t, mitigator: m, events: &recorder{start: m.start}}
		cfg := Config{
			Events: w.events, Rand: func() float64 { return 0 }, Backoff: Backoff{Jitter: -1}, Links: []LinkConfig{{Name: "a", Mitigator: m}},
		}
		if change != nil {
			change(&cfg, m)
		}
		manager, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		w.manager = manager
		if change == nil {
			manager.Stated()
		}
		w.run()
		defer w.stop()
		test(w)
	})
}

// run lets the manager run until stop.
func (w *last) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.manager.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.Error(err)
		}
	})
	synctest.Wait()
}

func (w *last) want(legs ...dots.Leg) {
	w.manager.Want("a", legs)
	synctest.Wait()
}

func (w *last) forget(mids ...uint32) {
	for _, mid := range mids {
		w.manager.Forget("a", []dots.LegKey{leg(mid, 1).Key})
	}
	synctest.Wait()
}

func (w *last) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// failing makes calls fail whose name begins with one of the words; none: nothing fails.
func (w *last) failing(err error, words ...string) {
	w.set(func() {
		w.fail = func(_ context.Context, call string) error {
			if slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(call, word) }) {
				return err
			}
			return nil
		}
	})
}

// set changes the mitigator under its lock.
func (w *last) set(f func()) {
	w.mitigator.mu.Lock()
	defer w.mitigator.mu.Unlock()
	f()
}

// called compares the calls since the last time, with their times.
func (w *last) called(want ...string) {
	w.Helper()
	got := []string{}
	w.set(func() {
		for _, c := range w.calls {
			got = append(got, c.String())
		}
		w.calls = nil
	})
	if d := gocmp.Diff(append([]string{}, want...), got); d != "" {
		w.Fatalf("called (-want +got):\n%s", d)
	}
}

// told compares what the core was told since the last time.
func (w *last) told(want ...string) {
	w.Helper()
	w.events.take(w.T, want...)
}

// lasting is a leg with a lifetime in seconds.
func lasting(mid uint32, revision uint64, lifetime dots.Lifetime) dots.Leg {
	l := leg(mid, revision)
	l.Request.Lifetime = dots.Some(lifetime)
	return l
}
