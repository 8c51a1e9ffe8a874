package downstream

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
)

// watching is what an observer in a test was told.
type watching struct {
	*coap.Observation
	r  *rig
	mu sync.Mutex
	// told has an entry "seconds code status" for each answer and notification.
	told []string
	// non is false once something else than a NON came.
	con int
}

// observe registers an observer by a NON GET.
func (c *client) observe(path string, options ...coap.Option) *watching {
	c.r.t.Helper()
	w := &watching{r: c.r}
	m := request(getCode, path, "")
	for _, o := range options {
		m.Options.Add(o.Number, o.Value)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	observation, err := c.Observe(ctx, m, w.tell)
	if err != nil {
		c.r.t.Fatal(err)
	}
	w.Observation = observation
	synctest.Wait()
	return w
}

func (w *watching) tell(m *coap.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	entry := fmt.Sprintf("%v %v", w.r.elapsed().Seconds(), m.Code)
	if len(m.Payload) > 0 && m.Code.Success() {
		entry += fmt.Sprintf(" %d", m.Payload[len(m.Payload)-1]) // the status comes last in a report
	}
	w.told = append(w.told, entry)
	if !m.NonConfirmable {
		w.con++
	}
}

// sofar is what it was told until now.
func (w *watching) sofar() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.told)
}

func (w *watching) expect(want ...string) {
	w.r.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.told, want) {
		w.r.t.Errorf("told %q; want %q", w.told, want)
	}
	// RFC 9132, Section 4.4.2.1: notifications are always NON.
	if w.con > 0 {
		w.r.t.Errorf("%d of them were not NON", w.con)
	}
}

func status(s dots.Status) dots.Report {
	return dots.Report{MID: 1, Target: target, Lifetime: 1000, Start: dots.Some[uint64](7), Status: s}
}

var keyA1 = dots.MitigationKey{Client: dots.Client{Name: "a", CUID: "c1"}, MID: 1}

// Notifications are paced once: nothing below adds to the gap, even where that is shorter than a session's own.
func TestNotificationAfterExactlyTheGap(t *testing.T) {
	for _, gap := range []time.Duration{time.Second, 3 * time.Second, 4 * time.Second} {
		for _, tcp := range []bool{false, true} {
			inRig(t, func(c *Config) { c.MinNotifyGap = gap }, func(r *rig) {
				r.core.report(status(dots.StatusInProgress))
				w := r.join(clientConfig{name: "a.example", tcp: tcp}).observe(pathMID1)
				want := []string{"0 2.05 1"}
				for i := range 5 {
					r.core.report(status(dots.Status(i%2 + 1)))
					r.srv.Changed(keyA1)
					r.wait(gap - 1)
					if got := w.sofar(); len(got) != len(want) {
						t.Errorf("gap %v: told %q before it was over", gap, got)
					}
					r.wait(1)
					want = append(want, fmt.Sprintf("%v 2.05 %d", (time.Duration(i+1)*gap).Seconds(), i%2+1))
				}
				if got := w.sofar(); !slices.Equal(got, want) {
					t.Errorf("gap %v, TCP %v: told %q; want %q", gap, tcp, got, want)
				}
			})
		}
	}
}

// RFC 9132, Section 4.4.2.1: told on a change, at most once in 3 s, the newest state, and periodically while active.
func TestNotificationPacing(t *testing.T) {
	for _, path := range []string{pathMID1, pathAll} {
		inRig(t, nil, func(r *rig) {
			r.core.report(status(dots.StatusInProgress))
			w := r.connect("a.example").observe(path)
			w.expect("0 2.05 1")

			r.wait(time.Second)
			r.core.report(status(dots.StatusMitigated))
			r.srv.Changed(keyA1)
			r.srv.Changed(keyA1)
			r.wait(time.Second)
			w.expect("0 2.05 1") // too early
			r.core.report(status(dots.StatusExceeded))
			r.srv.Changed(keyA1)
			r.wait(time.Second)
			w.expect("0 2.05 1", "3 2.05 4") // once, and the newest

			r.wait(10 * time.Second) // 13 s
			r.core.report(status(dots.StatusStopped))
			r.srv.Changed(keyA1)
			synctest.Wait()
			w.expect("0 2.05 1", "3 2.05 4", "13 2.05 3") // at once

			r.wait(2 * time.Minute) // 133 s: the period begins anew with each notification
			w.expect("0 2.05 1", "3 2.05 4", "13 2.05 3", "73 2.05 3", "133 2.05 3")

			r.core.report(status(dots.StatusTerminated))
			r.srv.Changed(keyA1)
			r.wait(10 * time.Minute) // 733 s: nothing periodic of what is over
			w.expect("0 2.05 1", "3 2.05 4", "13 2.05 3", "73 2.05 3", "133 2.05 3", "136 2.05 6")

			// RFC 7641, Section 4.2: the error says that the resource is gone and ends the observation.
			r.core.fail(dots.CodeNotFound)
			r.srv.Changed(keyA1)
			synctest.Wait()
			w.expect("0 2.05 1", "3 2.05 4", "13 2.05 3", "73 2.05 3", "133 2.05 3", "136 2.05 6", "733 4.04")
			if n := r.srv.watchers.count("a"); n != 0 || r.meter.observers != 0 {
				t.Errorf("%d observers, %d counted; want none", n, r.meter.observers)
			}
			r.core.report(status(dots.StatusMitigated))
			r.srv.Changed(keyA1)
			r.wait(time.Minute)
			if len(w.told) != 7 {
				t.Errorf("told %q after the end", w.told)
			}
		})
	}
}

// Limits of the config hold for the pace as well.
func TestNotificationPacingConfigured(t *testing.T) {
	inRig(t, func(c *Config) { c.MinNotifyGap, c.NotifyInterval = 5*time.Second, 20*time.Second }, func(r *rig) {
		r.core.report(status(dots.StatusInProgress))
		w := r.connect("a.example").observe(pathMID1)
		r.srv.Changed(keyA1)
		r.wait(30 * time.Second)
		w.expect("0 2.05 1", "5 2.05 1", "25 2.05 1")
	})
}

// Who watches another mitigation, another cuid or is another client hears nothing of a change.
func TestNotificationsGoToTheirObserversOnly(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		r.core.report(dots.Report{MID: 1, Target: target, Lifetime: 9, Status: dots.StatusSignalLossArmed})
		a, b := r.connect("a.example"), r.connect("b.example")
		hears := []*watching{a.observe(pathMID1), a.observe(pathAll), r.connect("a.example").observe(pathAll)}
		other := "/.well-known/dots/mitigate/cuid=c2"
		deaf := []*watching{
			a.observe(pathAll + "/mid=2"), a.observe(other), a.observe(other + "/mid=1"), b.observe(pathMID1), b.observe(pathAll),
			a.observe(pathConfig),
		}
		r.wait(10 * time.Second)
		r.srv.Changed(keyA1)
		r.wait(time.Minute)
		for i, w := range hears {
			if len(w.told) != 2 {
				t.Errorf("observer %d was told %q; want a notification", i, w.told)
			}
		}
		for i, w := range deaf {
			if len(w.told) != 1 {
				t.Errorf("other observer %d was told %q; want the first answer only", i, w.told)
			}
		}
	})
}

// A change between the registration and the first answer is not lost.
func TestChangeBeforeFirstAnswer(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		r.core.set(func(c *fakeCore) {
			c.reports = func() ([]dots.Report, error) {
				r.srv.Changed(keyA1) // while the answer is on its way
				r.core.report(status(dots.StatusMitigated))
				return []dots.Report{status(dots.StatusInProgress)}, nil
			}
		})
		w := r.connect("a.example").observe(pathMID1)
		r.wait(4 * time.Second)
		w.expect("0 2.05 1", "3 2.05 2")
	})
}

// What fails on our side does not end an observation: the state is asked for again, after the gap.
func TestNotificationSurvivesBusyCore(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		r.core.report(status(dots.StatusInProgress))
		w := r.connect("a.example").observe(pathMID1)
		r.wait(10 * time.Second)
		r.core.fail(dots.CodeUnavailable)
		r.srv.Changed(keyA1)
		r.wait(4 * time.Second)
		r.core.report(status(dots.StatusMitigated))
		r.wait(3 * time.Second)
		w.expect("0 2.05 1", "16 2.05 2")
	})
}

// RFC 7641, Section 4.1: an error answers a registration and registers nobody.
func TestObserveNothing(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c := r.connect("a.example")
		got := c.do(with(request(getCode, pathMID1, ""), coap.Observe))
		if code(got) != "4.04 no such mitigation" || got.Options.Has(coap.Observe) {
			t.Errorf("%s, Observe %v", code(got), got.Options.Has(coap.Observe))
		}
		if n := r.srv.watchers.count("a"); n != 0 {
			t.Errorf("%d observers; want none", n)
		}
	})
}

// RFC 7641, Section 3.6: Observe 1 with the token of the registration ends it, and is answered like a GET.
func TestDeregister(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		r.core.report(status(dots.StatusMitigated))
		w := r.connect("a.example").observe(pathMID1)
		r.wait(10 * time.Second)
		if err := w.Cancel(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := r.srv.watchers.count("a"); n != 0 {
			t.Errorf("%d observers; want none", n)
		}
		r.srv.Changed(keyA1)
		r.wait(5 * time.Minute)
		w.expect("0 2.05 2")
	})
}

// The end of a session ends its observations.
func TestSessionEndEndsObservations(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		r.core.report(status(dots.StatusMitigated))
		c, stays := r.connect("a.example"), r.connect("a.example")
		c.observe(pathMID1)
		c.observe(pathConfig)
		w := stays.observe(pathMID1)
		if n := r.srv.watchers.count("a"); n != 3 {
			t.Fatalf("%d observers; want 3", n)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := r.srv.watchers.count("a"); n != 1 {
			t.Errorf("%d observers; want 1", n)
		}
		r.wait(5 * time.Second)
		r.srv.Changed(keyA1)
		r.wait(time.Second)
		w.expect("0 2.05 2", "5.01 2.05 2") // as the third observer
	})
}

// The limit is per client entry, over its sessions; what is over it is answered without an Observe option.
func TestObserverLimit(t *testing.T) {
	inRig(t, func(c *Config) { c.MaxObserversPerClient = 2 }, func(r *rig) {
		r.core.report(status(dots.StatusMitigated))
		first, second, other := r.connect("a.example"), r.connect("a.example"), r.connect("b.example")
		old := first.observe(pathMID1)
		first.observe(pathAll)
		get := func(c *client, path string) bool {
			got := c.do(with(request(getCode, path, ""), coap.Observe))
			if code(got) != "2.05" {
				t.Errorf("%s: %s; want 2.05", path, code(got))
			}
			return got.Options.Has(coap.Observe)
		}
		if get(second, pathMID1) || get(first, pathAll+"/mid=2") || get(second, pathConfig) {
			t.Error("observing beyond the limit")
		}
		if !get(other, pathMID1) {
			t.Error("another client's limit is not its own")
		}
		// The same session and resource again takes the place of the older one.
		r.wait(3 * time.Second)
		renewed := first.observe(pathMID1)
		if n := r.srv.watchers.count("a"); n != 2 || !renewed.Active() {
			t.Errorf("%d observers, renewed %v; want 2, true", n, renewed.Active())
		}
		r.wait(3 * time.Second)
		r.srv.Changed(keyA1)
		r.wait(3 * time.Second)
		old.expect("0 2.05 2")
		renewed.expect("3 2.05 2", "6.015 2.05 2") // as the fourth observer
		if r.meter.observers != 3 {
			t.Errorf("%d observers counted; want 3", r.meter.observers)
		}
	})
}

// RFC 9132, Section 4.5.1: observers of the configuration are told when it changes, in their own session only.
func TestObserveConfig(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c, other := r.connect("a.example"), r.connect("a.example")
		w, deaf := c.observe(pathConfig), other.observe(pathConfig)
		r.wait(5 * time.Second)
		const put = "a1181ea1182ca11821a11824183c" // idle heartbeat-interval 60
		if got := code(c.do(request(putCode, pathConfig+"/sid=1", put))); got != "2.01" {
			t.Fatal(got)
		}
		r.wait(time.Second)
		c.do(request(deleteCode, pathConfig, ""))
		c.do(request(deleteCode, pathConfig, "")) // changes nothing
		r.wait(time.Hour)
		if len(w.told) != 3 || w.told[1][:6] != "5 2.05" || w.told[2][:6] != "8 2.05" {
			t.Errorf("told %q; want notifications at 5 s and 8 s", w.told)
		}
		if len(deaf.told) != 1 {
			t.Errorf("the other session was told %q", deaf.told)
		}
	})
}

// An observer of a sid is told 4.04 when that is replaced.
func TestObserveConfigOfSID(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c := r.connect("a.example")
		const put = "a1181ea1182ca11821a11824183c"
		c.do(request(putCode, pathConfig+"/sid=1", put))
		w := c.observe(pathConfig + "/sid=1")
		r.wait(5 * time.Second)
		c.do(request(putCode, pathConfig+"/sid=2", put))
		r.wait(time.Minute)
		if len(w.told) != 2 || w.told[1] != "5 4.04" {
			t.Errorf("told %q; want 4.04 at 5 s", w.told)
		}
	})
}
