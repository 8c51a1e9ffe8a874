package upstream

import (
	"errors"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// fewHeartbeats lets three heartbeats go unanswered, those of 30 s, 60 s and 90 s: at 120 s they are used up.
func fewHeartbeats(c *Config) { c.MissingAllowed = 3 }

// RFC 9132, Section 4.7: under attack, when the heartbeats are used up, requests go on both sessions. The server hears the new one alone: what
// waited on the old one is answered on the new one, and that is kept.
func TestRequestsGoOnBothSessions(t *testing.T) {
	virtual(t, fewHeartbeats, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.set(func() { w.forgets = w.server })
		w.sleep(110 * time.Second)
		w.want(putLeg(2, 1), goneLeg(1, 2))
		w.takeAsked("PUT 1", "OBSERVE0 cuid")
		w.events.take(t, "0s up a", "0s PUT 1 r1: 2.01 for 3600", "0s a/cuid all 1=1")
		w.sleep(10 * time.Second)
		// It is 2m0s: there is a session beside, on which both are asked and answered.
		told := w.events.drain("")
		for _, want := range []string{"DELETE 1 r2: 2.02", "a/cuid all 1=5 2=1"} {
			if !slices.Contains(told, want) {
				t.Errorf("not told %q: %q", want, told)
			}
		}
		if i := w.manager.Links()[0]; i.Session != w.clients[1].ID() || i.Legs[LegPlaced] != 1 {
			t.Errorf("info %+v", i)
		}
		if len(w.clients) != 2 || w.clients[0].Err() == nil || w.clients[1].Err() != nil {
			t.Fatalf("%d sessions", len(w.clients))
		}
		w.set(func() { w.asked = nil })
		w.sleep(time.Minute)
		for _, m := range w.log() {
			if m.What == "PUT 2" || m.What == "DELETE 1" {
				t.Errorf("asked again: %v", m)
			}
		}
	})
}

// A server that answers no heartbeat answers requests: that shows as well which session is good.
func TestAnAnswerOnTheNewSessionDecides(t *testing.T) {
	virtual(t, fewHeartbeats, func(w *world) {
		w.raw = func(r wire.Request, _ *coap.Exchange) bool { return r.Op == wire.PutHeartbeat }
		w.run()
		w.want(putLeg(1, 1))
		w.set(func() { w.forgets = w.server })
		w.sleep(119 * time.Second)
		w.want(putLeg(2, 1))
		w.sleep(time.Second)
		w.events.take(t, "0s up a", "0s PUT 1 r1: 2.01 for 3600", "0s a/cuid all 1=1", "2m0s PUT 1 r1: 2.04 for 3600",
			"2m0s PUT 2 r1: 2.01 for 3600", "2m0s PUT 2 r1: 2.04 for 3600", "2m0s a/cuid all 1=1 2=1")
		if i := w.manager.Links()[0]; i.Session != w.clients[1].ID() || i.Legs[LegPlaced] != 2 {
			t.Errorf("info %+v", i)
		}
	})
}

// RFC 9132, Section 4.7: when traffic comes on the old session again that is kept, and the new one goes.
func TestTheOldSessionIsKeptWhenItIsHeard(t *testing.T) {
	virtual(t, fewHeartbeats, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.events.take(t, "0s up a", "0s PUT 1 r1: 2.01 for 3600", "0s a/cuid all 1=1")
		w.set(func() { w.deaf = true })
		w.sleep(110 * time.Second)
		w.want(putLeg(2, 1))
		w.sleep(20 * time.Second)
		if len(w.clients) != 2 || w.clients[0].Err() != nil || w.clients[1].Err() != nil {
			t.Fatalf("%d sessions", len(w.clients))
		}
		w.set(func() { w.deaf, w.forgets = false, w.server }) // the new one's path is dead
		w.sleep(10 * time.Second)
		if err := w.clients[1].Err(); !errors.Is(err, coap.ErrClosed) {
			t.Errorf("the new session: %v", err)
		}
		if i := w.manager.Links()[0]; !i.Up || i.Session != w.clients[0].ID() || i.Legs[LegPlaced] != 2 {
			t.Errorf("info %+v", i)
		}
		if lost := w.events.drain("down"); len(lost) != 0 {
			t.Errorf("told %q", lost)
		}
		if _, there := w.standing[2]; !there {
			t.Error("what was wanted meanwhile does not stand")
		}
	})
}

// A request that is superseded while it waits on two sessions is repeated on neither.
func TestWhatIsSupersededIsAbandonedOnBoth(t *testing.T) {
	virtual(t, fewHeartbeats, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.set(func() { w.deaf = true })
		w.sleep(121 * time.Second)
		w.want(putLeg(2, 1))
		w.sleep(7 * time.Second)
		w.set(func() { w.asked = nil })
		w.want(goneLeg(2, 2))
		w.sleep(7 * time.Second)
		got := map[string]int{}
		for _, m := range w.log() {
			if m.What[:2] != "HB" && m.What != "LIST cuid" {
				got[m.What]++
			}
		}
		// On each of two sessions, at 2m8s and then as its pace allows.
		if d := gocmp.Diff(map[string]int{"DELETE 2": max(got["DELETE 2"], 4)}, got); d != "" {
			t.Errorf("asked (-want +got):\n%s", d)
		}
	})
}

// The old session ends while the new one has proved nothing: it is there to go on with, and the core hears of no loss.
func TestTheOldSessionEndsMeanwhile(t *testing.T) {
	virtual(t, fewHeartbeats, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.set(func() { w.deaf = true })
		w.sleep(125 * time.Second)
		w.clients[0].InputClosed(errors.New("reset"))
		w.sleep(time.Second)
		if i := w.manager.Links()[0]; !i.Up || len(w.clients) != 2 || i.Session != w.clients[1].ID() {
			t.Fatalf("%d sessions, info %+v", len(w.clients), i)
		}
		if lost := w.events.drain("down"); len(lost) != 0 {
			t.Errorf("told %q", lost)
		}
	})
}

// One that stays as silent as the old one makes room for another; attempts stay a minute apart at the least, and nothing is given up.
func TestACompanionAsSilentAsTheOldOne(t *testing.T) {
	virtual(t, fewHeartbeats, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.set(func() { w.deaf = true })
		w.sleep(30 * time.Minute)
		open := 0
		for _, c := range w.clients {
			if c.Err() == nil {
				open++
			}
		}
		if open > 2 || w.clients[0].Err() != nil {
			t.Errorf("%d of %d sessions open, the first %v", open, len(w.clients), w.clients[0].Err())
		}
		want := []time.Duration{0, 2 * time.Minute, 7 * time.Minute, 12 * time.Minute, 17 * time.Minute, 22 * time.Minute, 27 * time.Minute}
		if d := gocmp.Diff(want, w.dials); d != "" {
			t.Errorf("dialled (-want +got):\n%s", d)
		}
	})
}

// A path that is dead one way: no answer comes for half an hour, and everything we ask arrives. The session is kept, the mitigation stays
// in force, what is asked meanwhile has one effect, and the status is known right after.
func TestNoAnswersForHalfAnHour(t *testing.T) {
	for name, refuse := range map[string]error{"new sessions fail": errNoRoute, "new sessions are as deaf": nil} {
		t.Run(name, func(t *testing.T) {
			virtual(t, nil, func(w *world) {
				w.run()
				w.want(putLeg(1, 1))
				w.sleep(time.Second)
				w.events.take(t, "0s up a", "0s PUT 1 r1: 2.01 for 3600", "0s a/cuid all 1=1")
				w.set(func() { w.deaf, w.refuse, w.asked = true, refuse, nil })
				refreshed := putLeg(1, 2)
				w.sleep(10 * time.Minute)
				w.want(putLeg(2, 1))
				w.sleep(10 * time.Minute)
				w.want(refreshed)
				w.sleep(10 * time.Minute)
				mids := []string{}
				for _, m := range w.log() {
					if slices.Contains([]string{"PUT", "DEL"}, m.What[:3]) && !slices.Contains(mids, m.What) {
						mids = append(mids, m.What)
					}
				}
				// One mid each, however often it is repeated; nothing is withdrawn.
				if d := gocmp.Diff([]string{"PUT 2", "PUT 1"}, mids); d != "" {
					t.Errorf("asked (-want +got):\n%s", d)
				}
				if d := gocmp.Diff(map[uint32]dots.Status{1: dots.StatusInProgress, 2: dots.StatusInProgress}, w.standing); d != "" {
					t.Errorf("stands (-want +got):\n%s", d)
				}
				if told := w.events.drain(""); len(told) != 0 {
					t.Errorf("told %q", told)
				}
				w.set(func() { w.deaf = false })
				w.sleep(15 * time.Second) // by then each of the two has had a turn at one datagram in 3 s
				i := w.manager.Links()[0]
				if !i.Up || i.Session != w.clients[0].ID() && refuse != nil || i.Legs[LegPlaced] != 2 {
					t.Errorf("info %+v", i)
				}
				if lost := w.events.drain("down"); len(lost) != 0 {
					t.Errorf("told %q", lost)
				}
			})
		})
	}
}

// What waited on both sessions is asked once at a time on the one that is kept, and not by what was begun on it beside the other one, too.
func TestWhatWaitedIsNotAskedTwiceAfterwards(t *testing.T) {
	virtual(t, fewHeartbeats, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.set(func() {
			w.forgets = w.server
			w.answer = func(r wire.Request) (wire.Response, bool) {
				if r.MID.Set && r.MID.Value == 2 {
					return wire.Response{}, false
				}
				return w.serve(r)
			}
		})
		w.sleep(119 * time.Second)
		w.want(putLeg(2, 1))
		w.sleep(10 * time.Second)
		if i := w.manager.Links()[0]; i.Session != w.clients[1].ID() {
			t.Fatalf("info %+v", i)
		}
		w.set(func() { w.asked = nil })
		w.sleep(time.Minute)
		if n := w.counted()["PUT 2"]; n < 18 || n > 21 {
			t.Errorf("asked %d times in a minute, each 3 s is wanted", n)
		}
	})
}

// RFC 9132, Section 7.3: two sessions to one server that is silent on both send it no more than one does: one datagram each 3 s on average.
func TestTwoSessionsKeepToOneRate(t *testing.T) {
	virtual(t, fewHeartbeats, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.set(func() { w.deaf = true })
		w.sleep(121 * time.Second)
		w.want(putLeg(2, 1), putLeg(3, 1), putLeg(4, 1))
		w.sleep(150 * time.Second) // the round-trip time that was measured counts for nothing by then
		w.set(func() { w.asked = nil })
		w.sleep(2 * time.Minute)
		all, n := len(w.log()), w.counted()
		if len(w.clients) != 2 || w.clients[1].Err() != nil || all > 40+3 {
			t.Errorf("%d datagrams in 2 min on %d sessions, 40 are allowed", all, len(w.clients))
		}
		for _, mid := range []string{"PUT 2", "PUT 3", "PUT 4"} {
			if n[mid] < 6 {
				t.Errorf("%s was sent %d times", mid, n[mid])
			}
		}
	})
}

// A session beside another one keeps to the uplink's own repetition from its beginning, and not to the usual one.
func TestACompanionKeepsToOurRepetition(t *testing.T) {
	virtual(t, func(c *Config) {
		fewHeartbeats(c)
		c.RepeatInterval = 5 * time.Second
	}, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.set(func() { w.deaf = true })
		w.sleep(125 * time.Second)
		for i, c := range w.clients {
			if got := c.Parameters().RepeatInterval; len(w.clients) != 2 || got != 5*time.Second {
				t.Errorf("session %d of %d repeats each %v", i, len(w.clients), got)
			}
		}
	})
}
