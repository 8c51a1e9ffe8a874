package upstream

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
)

// links are two fakes for a reload: "a" as it is, and others.
func (w *last) link(name, fingerprint string) (LinkConfig, *mitigator) {
	m := &mitigator{T: w.T, start: w.start, force: map[dots.LegKey]dots.Leg{}, status: map[uint32]dots.Report{}}
	return LinkConfig{Name: name, Mitigator: m, Fingerprint: fingerprint}, m
}

// calls returns what a fake was asked, with the times.
func (m *mitigator) texts() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := ""
	for _, c := range m.calls {
		text += c.String() + "; "
	}
	m.calls = nil
	return text
}

func is(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %q, want %q", what, got, want)
	}
}

// What did not change goes on untouched; what changed starts anew with what is wanted of it; what is new starts, and what is missing stops.
func TestReload(t *testing.T) {
	lastHop(t, nil, func(w *last) {
		reload := func(links ...LinkConfig) {
			t.Helper()
			if err := w.manager.Reload(links); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		w.want(lasting(1, 1, 100))
		w.set(func() { w.calls = nil })
		w.events.drain("")
		w.sleep(5 * time.Second)

		same, unused := w.link("a", "")
		added, b := w.link("b", "")
		reload(same, added)
		is(t, "unused", unused.texts(), "")
		w.called()
		is(t, "b", b.texts(), "5s open; ")
		w.told("5s up b")
		if got := w.manager.Links(); len(got) != 2 || got[0].Name != "a" || got[1].Name != "b" || got[0].Legs[LegPlaced] != 1 {
			t.Errorf("links %+v", got)
		}
		on := leg(7, 1)
		on.Key.Uplink = "b"
		w.manager.Want("b", []dots.Leg{on})
		synctest.Wait()
		is(t, "b", b.texts(), "5s start 7 r1 for 3600; 5s status 7; ")
		w.events.drain("")

		changed, next := w.link("a", "2")
		next.left = []dots.LegKey{leg(9, 1).Key}
		reload(changed)
		w.called("5s close")
		is(t, "b", b.texts(), "5s close; ")
		is(t, "next", next.texts(), "5s open; 5s start 1 r1 for 95; 5s stop 9; 5s status 1; ")
		w.told("5s down a: configuration changed", "5s down b: removed from the configuration", "5s up a",
			"5s PUT 1 r1: 2.04 for 95", "5s a/c all 1=1", "5s a/c all 1=1")
		if got := w.manager.Links(); len(got) != 1 || !got[0].Up || got[0].Legs[LegPlaced] != 1 {
			t.Errorf("links %+v", got)
		}
		w.manager.Want("b", []dots.Leg{on})
		w.manager.Forget("b", []dots.LegKey{on.Key})
		w.sleep(time.Minute)
		is(t, "b", b.texts(), "")
		if len(b.force) != 1 {
			t.Errorf("withdrawn by a reload: %v", b.force)
		}
	})
}

func TestBadReloadChangesNothing(t *testing.T) {
	lastHop(t, nil, func(w *last) {
		a, _ := w.link("a", "2")
		for name, links := range map[string][]LinkConfig{
			"none": nil, "twice": {a, a}, "empty": {a, {}}, "both": {{Name: "a", Mitigator: a.Mitigator, Dial: w.dial}},
		} {
			if err := w.manager.Reload(links); err == nil {
				t.Errorf("%s: taken", name)
			}
		}
		w.sleep(time.Second)
		w.called("0s open")
		w.told("0s up a")
	})
}

func (w *last) dial(context.Context) (*coap.Session, error) { return nil, errNoRoute }

// Before Run and after its end a reload starts nothing.
func TestReloadWhileNothingRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &last{T: t, mitigator: &mitigator{start: time.Now()}, events: &recorder{start: time.Now()}}
		first, a := w.link("a", "1")
		m, err := New(Config{Events: w.events, Links: []LinkConfig{first}})
		if err != nil {
			t.Fatal(err)
		}
		w.manager = m
		m.Want("a", []dots.Leg{leg(1, 1)})
		second, b := w.link("a", "2")
		if err := m.Reload([]LinkConfig{second}); err != nil {
			t.Fatal(err)
		}
		w.run()
		is(t, "a", a.texts(), "")
		is(t, "b", b.texts(), "0s open; 0s start 1 r1 for 3600; 0s status 1; ")
		w.stop()
		is(t, "b", b.texts(), "0s close; ")
		third, c := w.link("a", "3")
		if err := m.Reload([]LinkConfig{third}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		is(t, "c", c.texts(), "")
	})
}

// The session of a server that changed is closed and made anew, with nothing withdrawn; a server may give way to a mitigator.
func TestReloadOfAServer(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.takeAsked("PUT 1", "OBSERVE0 cuid")
		w.events.drain("")
		server := LinkConfig{Name: "a", Profile: w.profile, Dial: w.dial}
		reload := func(l LinkConfig) {
			t.Helper()
			if err := w.manager.Reload([]LinkConfig{l}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		reload(server)
		w.takeAsked()
		if len(w.dials) != 1 {
			t.Errorf("dialled %v", w.dials)
		}
		server.Fingerprint = "other"
		reload(server)
		w.takeAsked("PUT 1", "OBSERVE0 cuid")
		w.events.take(t, "0s down a: configuration changed", "0s up a", "0s PUT 1 r1: 2.04 for 3600", "0s a/cuid all 1=1")
		if len(w.dials) != 2 || w.clients[0].Err() == nil || w.clients[1].Err() != nil {
			t.Errorf("dialled %v", w.dials)
		}
		m := &mitigator{T: t, start: w.start, force: map[dots.LegKey]dots.Leg{}}
		reload(LinkConfig{Name: "a", Fingerprint: "other", Mitigator: m})
		w.takeAsked()
		is(t, "mitigator", m.texts(), "0s open; 0s start 1 r1 for 3600; 0s status 1; ")
		w.sleep(time.Minute)
	})
}

// A reload waits for an event that the core takes late, and nothing waits for the reload meanwhile.
func TestReloadWhileTheCoreIsBusy(t *testing.T) {
	lastHop(t, nil, func(w *last) {
		block := make(chan struct{})
		w.events.mu.Lock()
		w.events.block = block
		w.events.mu.Unlock()
		w.want(leg(1, 1)) // its answer is being told
		changed, next := w.link("a", "2")
		var done sync.WaitGroup
		err := errors.New("not done")
		done.Go(func() { err = w.manager.Reload([]LinkConfig{changed}) })
		synctest.Wait()
		w.want(leg(2, 1)) // does not wait
		w.events.mu.Lock()
		w.events.block = nil
		w.events.mu.Unlock()
		close(block)
		done.Wait()
		synctest.Wait()
		if err != nil {
			t.Fatal(err)
		}
		is(t, "next", next.texts(), "0s open; 0s start 1 r1 for 3600; 0s start 2 r1 for 3600; 0s status 1 2; ")
	})
}

// Reloads, wants and looks come from everywhere at once.
func TestReloadsAtOnce(t *testing.T) {
	lastHop(t, nil, func(w *last) {
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				for n := range 20 {
					l, _ := w.link("a", string(rune('a'+(i+n)%3)))
					if err := w.manager.Reload([]LinkConfig{l}); err != nil {
						t.Error(err)
					}
					w.manager.Want("a", []dots.Leg{leg(uint32(n), uint64(i+1))})
					w.manager.Links()
					w.manager.Stated()
				}
			})
		}
		all.Wait()
		synctest.Wait()
		if got := w.manager.Links(); len(got) != 1 || !got[0].Up || got[0].Legs[LegPlaced] != 20 {
			t.Errorf("links %+v", got)
		}
	})
}

// RFC 9132, Section 4.7: attempts in idle time stay a minute apart, though a reload restarts the link; another server may be dialled at once.
func TestReloadKeepsAttemptsApart(t *testing.T) {
	for where, want := range map[string][]time.Duration{
		"first:4646":  {0, 60 * time.Second},
		"second:4646": {0, 10 * time.Second, 70 * time.Second},
	} {
		t.Run(where, func(t *testing.T) {
			virtual(t, func(c *Config) { c.Links[0].Where = "first:4646" }, func(w *world) {
				w.refuse = errNoRoute
				w.run()
				w.sleep(10 * time.Second)
				if err := w.manager.Reload([]LinkConfig{{Name: "a", Profile: w.profile, Dial: w.dial, Where: where, Fingerprint: "2"}}); err != nil {
					t.Fatal(err)
				}
				w.sleep(61 * time.Second)
				if d := gocmp.Diff(want, w.dials); d != "" {
					t.Errorf("dialled (-want +got):\n%s", d)
				}
			})
		})
	}
}
