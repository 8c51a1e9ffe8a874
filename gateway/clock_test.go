package gateway

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/store"
)

// clocks are what a gateway of the tests is told of the time: a wall clock that somebody sets, and a machine that starts now and then.
type clocks struct {
	ahead atomic.Int64 // the wall clock is, in nanoseconds
	boot  string       // empty: nobody tells
	since time.Time
}

func (k *clocks) use(c *Config) {
	c.Wall = func() time.Time { return time.Now().Add(time.Duration(k.ahead.Load())) }
	c.Boot = func() (string, time.Duration) { return k.boot, time.Since(k.since) }
}

// left is what the gateway says is left of a mitigation's lifetime; -2: there is none.
func (w *world) left(mid uint32) dots.Lifetime {
	left := dots.Lifetime(-2)
	err := w.gate.Look(w.t.Context(), func(c *Core) {
		for _, m := range c.Mitigations(w.gate.Now()) {
			if m.Key.MID == mid && m.Report.Status != dots.StatusTerminated && m.Report.Status != dots.StatusClientWithdrawn {
				left = m.Report.Lifetime
			}
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return left
}

// jumps are how a wall clock is set.
func jumps() map[string]time.Duration {
	const year = 365 * 24 * time.Hour
	return map[string]time.Duration{"an hour ahead": time.Hour, "an hour back": -time.Hour, "ten years ahead": 10 * year, "ten years back": -10 * year}
}

// A wall clock that is set while mitigations stand changes nothing of their lifetimes, and start-times follow it.
//
// RFC 9132, Section 4.4.1: a lifetime is a number of seconds.
func TestWallClockIsSet(t *testing.T) {
	for name, jump := range jumps() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				k := &clocks{boot: "one", since: time.Now().Add(-time.Hour)}
				w := newWorld(t, store.NewMemory(), func(c *Config) { k.use(c); c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
				w.put(1, "192.0.2.1/32")
				for range 3 {
					time.Sleep(10 * time.Minute)
					k.ahead.Add(int64(jump))
				}
				time.Sleep(lookAtWall)
				synctest.Wait()
				if got := w.left(1); got != 3600-1800-60 {
					t.Errorf("%d s are left; want %d", got, 3600-1800-60)
				}
				w.put(2, "192.0.2.2/32")
				synctest.Wait()
				err := w.gate.Look(t.Context(), func(c *Core) {
					for _, m := range c.Mitigations(w.gate.Now()) {
						if want := time.Now().Add(time.Duration(k.ahead.Load())).Unix(); m.Key.MID == 2 && int64(m.Report.Start.Value) != want {
							t.Errorf("started at %d; want %d, as the wall clock says", m.Report.Start.Value, want)
						}
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(1739 * time.Second)
				synctest.Wait()
				if got := w.left(1); got != 1 {
					t.Errorf("%d s are left a second before the end", got)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if got := w.left(1); got != -2 {
					t.Errorf("%d s are left after the end", got)
				}
				if n := strings.Count(log.String(), "wall clock was set"); n != 3 {
					t.Errorf("told %d times; want 3", n)
				}
			})
		})
	}
}

// A start of ours while the machine runs on counts to the second, however its clock was set before, meanwhile and after. Over a start of the machine the wall
// clock is all there is: one that went back prolongs nothing, and one that is years ahead ends nothing. An hour ahead cannot be told from an hour off.
func TestWallClockIsSetOverStart(t *testing.T) {
	for name, jump := range jumps() {
		for machine, want := range map[string]struct{ least, most dots.Lifetime }{
			"the machine runs on": {3600 - 1800, 3600 - 1800},
			"the machine starts":  {0, 3600 - 600},
			"nobody tells":        {0, 3600 - 600},
		} {
			t.Run(name+", "+machine, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					k := &clocks{boot: "one", since: time.Now().Add(-time.Hour)}
					if machine == "nobody tells" {
						k.boot = ""
					}
					disk := store.NewMemory()
					w := newWorld(t, disk, k.use)
					w.put(1, "192.0.2.1/32")
					time.Sleep(10 * time.Minute)
					k.ahead.Add(int64(jump)) // and the gateway sees it
					time.Sleep(5 * time.Minute)
					w.stop()
					k.ahead.Add(int64(jump)) // and it does not
					if machine == "the machine starts" {
						k.boot, k.since = "two", time.Now()
					}
					time.Sleep(15 * time.Minute)
					w = newWorld(t, disk, k.use)
					got := w.left(1)
					if jump == time.Hour && machine != "the machine runs on" {
						if got != -2 {
							t.Errorf("%d s are left after an hour off, as the wall clock says", got)
						}
						return
					}
					if got < want.least || got > want.most {
						t.Errorf("%d s are left; want %d to %d", got, want.least, want.most)
					}
					time.Sleep(time.Hour)
					synctest.Wait()
					if got := w.left(1); got != -2 {
						t.Errorf("%d s are left an hour later", got)
					}
				})
			})
		}
	}
}

// Many starts of ours in one run of the machine, with a wall clock that wanders, add up to nothing.
func TestManyStartsKeepTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &clocks{boot: "one", since: time.Now().Add(-time.Hour)}
		disk := store.NewMemory()
		w := newWorld(t, disk, k.use)
		w.put(1, "192.0.2.1/32")
		for i := range 30 {
			time.Sleep(time.Minute)
			w.stop()
			k.ahead.Add(int64(time.Duration(i%7-3) * 100 * 24 * time.Hour))
			time.Sleep(30 * time.Second)
			w = newWorld(t, disk, k.use)
		}
		if got := w.left(1); got != 3600-45*60 {
			t.Errorf("%d s are left; want %d", got, 3600-45*60)
		}
	})
}

// A clock's record is written when there is news in it only, and what cannot be read is left aside.
func TestClockRecord(t *testing.T) {
	r := newRig(t, CoreConfig{})
	anchor := r.now.Add(-time.Hour)
	for _, tt := range []struct {
		name    string
		wait    time.Duration
		ev      Clock
		written bool
	}{
		{"nothing is known", 0, Clock{}, false},
		{"a run of the machine", 0, Clock{Boot: "one", Anchor: anchor}, true},
		{"the same", time.Hour, Clock{Boot: "one", Anchor: anchor}, false},
		{"a little off", time.Minute, Clock{Boot: "one", Anchor: anchor, Skew: time.Minute - time.Second}, false},
		{"off", time.Minute, Clock{Boot: "one", Anchor: anchor, Skew: -time.Minute}, true},
		{"off by as much", time.Minute, Clock{Boot: "one", Anchor: anchor, Skew: -time.Minute}, false},
		{"a day later", 24 * time.Hour, Clock{Boot: "one", Anchor: anchor, Skew: -time.Minute}, true},
		{"another run", time.Minute, Clock{Boot: "two", Anchor: anchor}, true},
	} {
		r.advance(tt.wait)
		before := string(r.disk[identity{kindClock, "core"}])
		r.step(tt.ev)
		if after := string(r.disk[identity{kindClock, "core"}]); (after != before) != tt.written {
			t.Errorf("%s: %s, then %s", tt.name, before, after)
		}
	}
	r.manual = true
	r.step(Clock{Boot: "three", Anchor: anchor})
	r.fail(false, false)
	r.manual = false
	r.advance(time.Minute)
	if got := string(r.disk[identity{kindClock, "core"}]); !strings.Contains(got, "three") {
		t.Errorf("what could not be stored is not stored later: %s", got)
	}
	r.damaged = true
	r.disk[identity{kindClock, "core"}] = []byte("{")
	r.boot()
	if r.core.clock != (clockRecord{}) {
		t.Errorf("used %+v", r.core.clock)
	}
}
