package upstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// A mitigation is put in force, its status told, changed and withdrawn, as with a server.
func TestMitigatorInPlaceOfAServer(t *testing.T) {
	lastHop(t, nil, func(w *last) {
		w.called("0s open")
		w.told("0s up a")
		w.want(leg(1, 1))
		w.called("0s start 1 r1 for 3600", "0s status 1")
		w.told("0s PUT 1 r1: 2.01 for 3600", "0s a/c all", "0s a/c all 1=1")
		w.set(func() { w.status[1] = dots.Report{Status: dots.StatusMitigated} })
		w.sleep(9 * time.Second)
		w.called()
		w.sleep(time.Second)
		w.called("10s status 1")
		w.told("10s a/c all 1=2")
		w.want(lasting(1, 2, 600))
		w.called("10s start 1 r2 for 600", "10s status 1")
		w.told("10s PUT 1 r2: 2.04 for 600", "10s a/c all 1=2")
		w.want(gone(1, 3))
		w.called("10s stop 1")
		w.told("10s DELETE 1 r3: 2.02", "10s a/c 1=6")
		w.forget(1)
		w.sleep(time.Hour)
		w.called()
		if i := w.manager.Links()[0]; !i.Up || !i.Local || i.Profile != "" || i.Legs != (LegCounts{}) || i.LastHeard != w.start.Add(10*time.Second) {
			t.Errorf("info %+v", i)
		}
		w.stop()
		w.called("1h0m10s close")
	})
}

// Counters, start and lifetime are told with the status.
func TestReportOfAMitigator(t *testing.T) {
	lastHop(t, nil, func(w *last) {
		var reports []dots.Report
		w.events.reported = func(r []dots.Report) { reports = r }
		w.sleep(100 * time.Second)
		w.set(func() {
			w.status[1] = dots.Report{Counters: dots.Counters{BytesDropped: dots.Some[uint64](77)}}
		})
		w.want(leg(1, 1))
		began := uint64(time.Now().Unix())
		w.sleep(10 * time.Second)
		if len(reports) != 1 || reports[0].Lifetime != 3590 || reports[0].Start != dots.Some(began) ||
			reports[0].Counters.BytesDropped != dots.Some[uint64](77) || reports[0].Status != dots.StatusInProgress {
			t.Errorf("told %+v", reports)
		}
	})
}

// RFC 9132, Section 4.4.1: a mitigation ends with its lifetime unless it is refreshed. Nobody but us would end it.
func TestLifetimeEnds(t *testing.T) {
	lastHop(t, nil, func(w *last) {
		w.want(lasting(1, 1, 15), lasting(2, 1, 15), lasting(3, 1, dots.Indefinite))
		w.sleep(8 * time.Second)
		w.want(lasting(2, 2, 15))
		w.events.drain("")
		w.called("0s open", "0s start 1 r1 for 15", "0s start 2 r1 for 15", "0s start 3 r1 for -1", "0s status 1 2 3",
			"8s start 2 r2 for 15", "8s status 1 2 3")
		w.sleep(7*time.Second - 1)
		w.called()
		w.sleep(1)
		w.called("15s stop 1")
		w.told("15s a/c 1=6")
		if counts := w.manager.Links()[0].Legs; counts[LegPlaced] != 2 {
			t.Errorf("counts %v", counts)
		}
		w.sleep(8 * time.Second)
		w.called("18s status 2 3", "23s stop 2")
		w.told("18s a/c all 1=6 2=1 3=1", "23s a/c 2=6")
		w.sleep(24 * time.Hour)
		if _, on := w.force[leg(3, 1).Key]; !on || len(w.force) != 1 {
			t.Errorf("in force: %v", w.force)
		}
	})
}

// A stop at the end of a lifetime that fails is tried again; only then the end is told.
func TestLifetimeEndsAtAFailingMitigator(t *testing.T) {
	lastHop(t, nil, func(w *last) {
		w.want(lasting(1, 1, 15))
		w.failing(errBroken, "stop")
		w.sleep(15 * time.Second)
		w.set(func() { w.calls = nil })
		w.events.drain("")
		w.sleep(4 * time.Second)
		w.failing(nil)
		w.sleep(6 * time.Second)
		w.called("18s stop 1", "20s status 1", "24s stop 1")
		w.told("20s a/c all 1=1", "24s a/c 1=6")
	})
}

// What was ended with its lifetime is not started by a mitigator that is opened again, and one that is refreshed is started anew.
func TestLifetimeIsNotProlongedByRepetition(t *testing.T) {
	lastHop(t, nil, func(w *last) {
		w.want(lasting(1, 1, 15), lasting(2, 1, 100))
		w.sleep(15 * time.Second)
		w.set(func() { w.calls = nil })
		w.events.drain("")
		w.failing(ErrGone, "status")
		w.sleep(6 * time.Second)
		w.failing(nil)
		w.sleep(5 * time.Second)
		w.want(lasting(1, 2, 60))
		w.called("20s status 2", "20s close", "20s open", "20s start 2 r1 for 80", "20s status 2", "20s close",
			"22s open", "22s start 2 r1 for 78", "22s status 2", "26s start 1 r2 for 60", "26s status 1 2")
	})
}

func TestRefusalsOfAMitigator(t *testing.T) {
	refusal := &dots.Error{
		Code: dots.CodeUnavailable, Text: "no capacity", MaxAge: 30 * time.Second,
		Conflict: dots.Some(dots.Conflict{Cause: dots.CauseOverlappingTargets}),
	}
	lastHop(t, nil, func(w *last) {
		var answer dots.LegAnswer
		w.events.answered = func(a dots.LegAnswer) { answer = a }
		w.failing(fmt.Errorf("starting: %w", refusal), "start")
		w.want(leg(1, 1))
		if answer.Code != refusal.Code || answer.MaxAge != refusal.MaxAge || answer.Conflict.Value.Cause != dots.CauseOverlappingTargets || answer.Text != refusal.Text {
			t.Errorf("told %+v", answer)
		}
		w.sleep(time.Minute)
		w.called("0s open", "0s start 1 r1 for 3600")
		w.told("0s up a", "0s PUT 1 r1: 5.03 no capacity", "0s a/c all", "0s a/c all", "10s a/c all", "20s a/c all", "30s a/c all",
			"40s a/c all", "50s a/c all", "1m0s a/c all")
		w.failing(nil)
		w.want(leg(1, 2))
		w.called("1m0s start 1 r2 for 3600", "1m0s status 1")
		// A change that is refused leaves in force what was.
		w.failing(dots.Refuse(dots.CodeBadRequest, "no"), "start")
		w.events.drain("")
		w.want(lasting(1, 3, 7200))
		w.told("1m0s PUT 1 r3: 4.00 no")
		w.failing(nil)
		w.sleep(time.Hour)
		w.set(func() {
			if len(w.force) != 0 {
				t.Errorf("in force: %v", w.force)
			}
		})
		w.failing(dots.Refuse(dots.CodeForbidden, "not now"), "stop")
		w.events.drain("")
		w.want(gone(1, 4))
		w.told("1h1m0s DELETE 1 r4: 4.03 not now")
	})
}

// What fails without a refusal is tried again; what the core knows meanwhile is that it is wanted.
func TestFailuresOfAMitigator(t *testing.T) {
	lastHop(t, nil, func(w *last) {
		w.failing(errBroken, "start")
		w.want(leg(1, 1))
		w.sleep(8 * time.Second)
		w.failing(nil)
		w.sleep(time.Second)
		w.called("0s open", "0s start 1 r1 for 3600", "3s start 1 r1 for 3600", "9s start 1 r1 for 3600", "9s status 1")
		w.told("0s up a", "0s a/c all", "0s a/c all 1=1", "9s PUT 1 r1: 2.04 for 3600", "9s a/c all 1=1")
	})
}

// After five failures in a row, whatever of, the mitigator is closed and opened again, slower each time.
func TestMitigatorThatOnlyFails(t *testing.T) {
	lastHop(t, nil, func(w *last) {
		w.failing(errBroken, "start")
		w.want(leg(1, 1), leg(2, 1), leg(3, 1), leg(4, 1), leg(5, 1), leg(6, 1))
		if i := w.manager.Links()[0]; i.Up || i.Failures != 1 || i.LastError != "broken" {
			t.Errorf("info %+v", i)
		}
		w.sleep(time.Second)
		w.sleep(2 * time.Second)
		w.sleep(4*time.Second - 1)
		w.events.drain("a/c")
		calls, starts := []string{}, 0
		w.set(func() {
			for _, c := range w.calls {
				if strings.HasPrefix(c.What, "start") {
					starts++
				}
				if c.What == "open" || c.What == "close" {
					calls = append(calls, c.String())
				}
			}
			w.calls = nil
		})
		if starts != 3*goneAfter {
			t.Errorf("%d starts", starts)
		}
		if got := fmt.Sprint(calls); got != "[0s open 0s close 1s open 1s close 3s open 3s close]" {
			t.Errorf("opened %v", got)
		}
		w.failing(nil)
		w.sleep(1)
		w.called("7s open", "7s start 1 r1 for 3600", "7s start 2 r1 for 3600", "7s start 3 r1 for 3600", "7s start 4 r1 for 3600",
			"7s start 5 r1 for 3600", "7s start 6 r1 for 3600", "7s status 1 2 3 4 5 6")
	})
}

// One that hangs is given up after the time limit, and tried again.
func TestMitigatorThatHangs(t *testing.T) {
	lastHop(t, nil, func(w *last) {
		w.set(func() {
			w.fail = func(ctx context.Context, call string) error {
				if call[:5] != "start" {
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			}
		})
		w.want(leg(1, 1))
		w.sleep(callTimeout)
		w.want(leg(2, 1)) // more urgent than what was tried
		w.sleep(callTimeout)
		w.called("0s open", "0s start 1 r1 for 3600", "30s start 2 r1 for 3600", "1m0s start 1 r1 for 3600")
	})
}

// It ends with the gateway even while it hangs.
func TestMitigatorThatHangsAtTheEnd(t *testing.T) {
	lastHop(t, nil, func(w *last) {
		w.set(func() {
			w.fail = func(ctx context.Context, call string) error {
				if call[:5] == "start" {
					<-ctx.Done()
				}
				return ctx.Err()
			}
		})
		w.want(leg(1, 1))
		w.sleep(time.Second)
		w.stop()
		w.called("0s open", "0s start 1 r1 for 3600", "1s close")
		w.told("0s up a", "0s a/c all")
	})
}

// A mitigator that was gone, and may have forgotten everything, is told everything.
func TestMitigatorThatForgets(t *testing.T) {
	lastHop(t, nil, func(w *last) {
		w.set(func() {
			w.status[1], w.status[2] = dots.Report{Status: dots.StatusMitigated}, dots.Report{Status: dots.StatusMitigated}
		})
		w.want(leg(1, 1), leg(2, 1))
		w.events.drain("")
		w.set(func() { w.calls = nil; w.force = map[dots.LegKey]dots.Leg{} })
		w.failing(ErrGone, "status", "open")
		w.sleep(12 * time.Second)
		w.want(gone(2, 2))
		w.failing(nil)
		w.sleep(10 * time.Second)
		w.called("10s status 1 2", "10s close", "10s open", "12s open", "16s open", "16s stop 2", "16s start 1 r1 for 3584", "16s status 1")
		w.told("10s down a: mitigator is gone", "16s up a", "16s DELETE 2 r2: 2.02", "16s PUT 1 r1: 2.04 for 3584",
			"16s a/c 2=6", "16s a/c all 1=2", "16s a/c all 1=2 2=2")
	})
}

// That a status cannot be had any more is a sign too, where it could before; where it never could it is none.
func TestMitigatorWhoseStatusFails(t *testing.T) {
	for _, could := range []bool{false, true} {
		t.Run(fmt.Sprint(could), func(t *testing.T) {
			lastHop(t, nil, func(w *last) {
				if could {
					w.set(func() { w.status[1] = dots.Report{Status: dots.StatusMitigated} })
				}
				w.want(leg(1, 1))
				w.failing(errBroken, "status")
				w.sleep(5 * time.Minute)
				if lost := len(w.events.drain("down a: broken")) > 0; lost != could {
					t.Errorf("gone %v, want %v", lost, could)
				}
			})
		})
	}
}

// What stands from an earlier run is ended where nobody wants it, but not before the whole wanted set is known.
func TestWhatNobodyWants(t *testing.T) {
	known := func(_ *Config, m *mitigator) { m.left = []dots.LegKey{leg(1, 1).Key, leg(2, 1).Key, {Uplink: "a"}} }
	lastHop(t, known, func(w *last) {
		w.sleep(time.Hour)
		w.want(leg(2, 1))
		w.called("0s open", "1h0m0s start 2 r1 for 3600", "1h0m0s status 2")
		w.told("0s up a", "1h0m0s PUT 2 r1: 2.04 for 3600", "1h0m0s a/c all 2=1", "1h0m0s a/c all 2=1")
		w.failing(errBroken, "stop 1")
		w.manager.Stated()
		w.sleep(2 * time.Second)
		var stops []string
		w.set(func() {
			for _, c := range w.calls {
				stops = append(stops, c.String())
			}
			w.calls, w.fail = nil, nil
		})
		if len(stops) != 2 {
			t.Errorf("stopped %v", stops)
		}
		w.sleep(time.Second)
		w.called("1h0m3s stop 1")
		w.sleep(5 * time.Second)
		w.told() // of what nobody wants nobody is told
	})
}

// What is wanted comes before what nobody wants, but that has its turn too.
func TestWhatIsWantedComesFirst(t *testing.T) {
	known := func(_ *Config, m *mitigator) { m.left = []dots.LegKey{leg(100, 1).Key, leg(101, 1).Key} }
	lastHop(t, known, func(w *last) {
		w.set(func() {
			w.fail = func(context.Context, string) error { time.Sleep(time.Second); return nil }
		})
		for mid := range uint32(2 * endsEvery) {
			w.manager.Want("a", []dots.Leg{leg(mid+1, 1)})
		}
		w.manager.Stated()
		w.sleep(time.Minute)
		order := ""
		w.set(func() {
			for _, c := range w.calls {
				order += c.What[:3]
			}
		})
		if got := len(strings.Split(order, "sto")); got != 3 {
			t.Fatalf("called %v", order)
		}
		first := strings.Index(order, "sto") / 3
		if last := strings.LastIndex(order, "sto") / 3; first < endsEvery/2 || first > endsEvery+2 || last-first != endsEvery && last-first != endsEvery+1 {
			t.Errorf("stopped at %d and %d of %v", first, last, order)
		}
	})
}

// That a status is never told makes nobody ask for one leg after the other.
func TestStatusThatIsNeverTold(t *testing.T) {
	lastHop(t, nil, func(w *last) {
		w.failing(errBroken, "status")
		w.want(leg(1, 1), leg(2, 1))
		w.set(func() { w.calls = nil })
		w.sleep(50 * time.Second)
		w.called("3s status 1 2", "9s status 1 2", "21s status 1 2", "45s status 1 2")
		if i := w.manager.Links()[0]; i.Blind != 0 || !i.Up {
			t.Errorf("info %+v", i)
		}
	})
}

// What the core forgets without a withdrawal, because it is over there, is ended.
func TestWhatIsForgotten(t *testing.T) {
	lastHop(t, nil, func(w *last) {
		w.want(lasting(1, 1, dots.Indefinite), leg(2, 1))
		w.set(func() { w.calls = nil })
		w.forget(1)
		w.called("0s stop 1")
		// One that is wanted again before its turn came is not.
		w.failing(errBroken, "stop 2")
		w.forget(2)
		w.failing(nil)
		w.want(leg(2, 5))
		w.sleep(5 * time.Second)
		w.called("0s stop 2", "0s start 2 r5 for 3600", "0s status 2")
	})
}

// RFC 9132, Section 4.4.1: trigger-mitigation=false arms a mitigation. It is the gateway that fires it.
func TestArmedAtAMitigator(t *testing.T) {
	armed := leg(1, 1)
	armed.Request.OnSignalLoss = true
	lastHop(t, nil, func(w *last) {
		w.want(armed)
		w.sleep(10 * time.Second)
		w.called("0s open")
		w.told("0s up a", "0s PUT 1 r1: 2.01 for 3600", "0s a/c all 1=8", "0s a/c all 1=8", "10s a/c all 1=8")
		w.want(leg(1, 2))
		w.told("10s PUT 1 r2: 2.01 for 3600", "10s a/c all 1=1")
		armed.Revision = 3
		w.want(armed)
		w.called("10s start 1 r2 for 3600", "10s status 1", "10s stop 1")
		w.told("10s PUT 1 r3: 2.04 for 3600", "10s a/c all 1=8")
	})
}

// RFC 9132, Section 4.4.3: an efficacy update may lack the lifetime: it changes nothing of it.
func TestEfficacyAtAMitigator(t *testing.T) {
	update := leg(1, 2)
	update.Efficacy, update.Request.Attack, update.Request.Lifetime = true, dots.AttackUnderAttack, dots.Maybe[dots.Lifetime]{}
	lastHop(t, nil, func(w *last) {
		w.want(leg(1, 1))
		w.sleep(time.Minute)
		w.set(func() { w.calls = nil })
		w.want(update)
		w.called("1m0s start 1 r2 for 3540", "1m0s status 1")
	})
}

// A mitigator that ends a mitigation by itself says so by status 6; asked for anew it is in force again.
func TestMitigatorEndsOne(t *testing.T) {
	lastHop(t, nil, func(w *last) {
		w.want(leg(1, 1))
		w.set(func() { w.status[1] = dots.Report{Status: dots.StatusTerminated} })
		w.sleep(10 * time.Second)
		w.set(func() { w.calls, w.status = nil, nil })
		w.events.drain("")
		w.want(leg(1, 2))
		w.called("10s start 1 r2 for 3600", "10s status 1")
		w.told("10s PUT 1 r2: 2.04 for 3600", "10s a/c all 1=1")
	})
}

// Status is asked of many legs in batches, and of every cuid for itself.
func TestStatusInBatches(t *testing.T) {
	lastHop(t, nil, func(w *last) {
		legs := make([]dots.Leg, 600)
		for i := range legs {
			legs[i] = leg(uint32(i), 1)
		}
		other := leg(7, 1)
		other.Key.CUID = "d"
		w.want(append(legs, other)...)
		sizes := map[int]int{}
		w.set(func() {
			w.calls = nil
			w.fail = func(_ context.Context, call string) error {
				n := 0
				for _, c := range call {
					if c == ' ' {
						n++
					}
				}
				sizes[n]++
				return nil
			}
		})
		w.sleep(10 * time.Second)
		if got := fmt.Sprint(sizes); got != "map[1:1 88:1 256:2]" {
			t.Errorf("asked in batches of %v", got)
		}
	})
}

func TestOpeningFails(t *testing.T) {
	change := func(_ *Config, m *mitigator) {
		m.fail = func(context.Context, string) error { return errors.New("no such host") }
	}
	lastHop(t, change, func(w *last) {
		w.sleep(90 * time.Second)
		w.called("0s open", "1m0s open")
		w.told()
		w.want(leg(1, 1)) // shortens the wait
		w.failing(nil)
		w.sleep(10 * time.Second)
		w.called("1m30s open", "1m34s open", "1m34s start 1 r1 for 3600", "1m34s status 1")
		if i := w.manager.Links()[0]; !i.Up || i.LastError != "no such host" {
			t.Errorf("info %+v", i)
		}
	})
}

// What is asked is counted as with a server.
func TestMeterOfAMitigator(t *testing.T) {
	m := &meter{}
	change := func(c *Config, _ *mitigator) { c.Meter = m }
	lastHop(t, change, func(w *last) {
		w.want(leg(1, 1))
		w.failing(dots.Refuse(dots.CodeForbidden, ""), "stop")
		w.want(gone(1, 2))
		w.failing(errBroken, "stop")
		w.want(gone(1, 3))
		want := "[up false up true 3 2.04 legs [0 0 1 0 0] 1 2.05 4 4.03 legs [0 0 0 0 1] 4 0.00]"
		if got := fmt.Sprint(m.told); got != want {
			t.Errorf("counted %v, want %v", got, want)
		}
	})
}
