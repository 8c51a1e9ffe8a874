package upstream

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// describeConfig is how tests write a request for the session configuration. The sids of a test begin with the clock's.
func describeConfig(r wire.Request) string {
	what := map[wire.Op]string{wire.GetConfig: "CONFIG", wire.PutConfig: "PUT CONFIG", wire.DeleteConfig: "DELETE CONFIG"}[r.Op]
	if what == "" {
		return fmt.Sprintf("op %d", r.Op)
	}
	if r.SID.Set {
		what += fmt.Sprintf(" %d", r.SID.Value-firstSID+1)
	}
	if r.Observe.Set {
		what += map[uint32]string{0: " watched", 1: " unwatched"}[r.Observe.Value]
	}
	return what
}

// firstSID is the first number that a link gives in virtual time, which begins on 2000-01-01.
const firstSID = 946684800

// office is a server's side of the session configuration.
type office struct {
	mu        sync.Mutex
	ranges    dots.ConfigSet
	age       dots.Maybe[uint32]
	sid       dots.Maybe[uint64]
	installed dots.SessionConfig
	refuse    map[wire.Op]dots.Code // answers these instead
	strict    int                   // how many PUTs get a 4.22
	puts      []dots.SessionConfig
	cons      []bool
	watcher   *coap.Observer
}

func ranged[T any](low, high T) dots.Bounds[T] {
	return dots.Bounds[T]{Current: dots.Some(low), Min: dots.Some(low), Max: dots.Some(high)}
}

func newOffice() *office {
	return &office{refuse: map[wire.Op]dots.Code{}, age: dots.Some[uint32](3600), ranges: dots.ConfigSet{
		HeartbeatInterval: ranged[uint16](15, 240), MissingHBAllowed: ranged[uint16](3, 20), ProbingRate: ranged[uint16](5, 20),
		MaxRetransmit: ranged[uint16](2, 15), AckTimeout: ranged[dots.Decimal](100, 3000), AckRandomFactor: ranged[dots.Decimal](110, 400),
	}}
}

// answer answers what is asked of the configuration; false: something else is asked.
func (o *office) answer(w *world, r wire.Request, ex *coap.Exchange) bool {
	if r.Op != wire.GetConfig && r.Op != wire.PutConfig && r.Op != wire.DeleteConfig {
		return false
	}
	o.mu.Lock()
	o.cons = append(o.cons, !ex.Request().NonConfirmable)
	resp := o.decide(r)
	watch := r.Observe.Set && resp.Code.Success()
	o.mu.Unlock()
	m := encode(w.profile, r, resp)
	if !watch {
		ex.Respond(m)
		return true
	}
	watcher := ex.Observe(m, nil)
	o.mu.Lock()
	o.watcher = watcher
	o.mu.Unlock()
	return true
}

func (o *office) decide(r wire.Request) wire.Response {
	if code := o.refuse[r.Op]; code != 0 {
		return wire.Response{Code: code, Diagnostic: "no"}
	}
	switch {
	case r.Op == wire.PutConfig:
		o.puts = append(o.puts, r.Config)
		if o.strict > 0 {
			o.strict--
			return wire.Response{Code: dots.CodeUnprocessable, Diagnostic: "out of range"}
		}
		o.sid, o.installed = r.SID, r.Config
		return wire.Response{Code: dots.CodeCreated}
	case r.Op == wire.DeleteConfig:
		o.sid, o.installed = dots.Maybe[uint64]{}, dots.SessionConfig{}
		return wire.Response{Code: dots.CodeDeleted}
	case !r.SID.Set:
		return wire.Response{Code: dots.CodeContent, Config: dots.SessionConfig{Mitigating: o.ranges, Idle: o.ranges}, MaxAge: o.age}
	case r.SID != o.sid:
		return wire.Response{Code: dots.CodeNotFound, Diagnostic: "no such sid"}
	}
	return wire.Response{Code: dots.CodeContent, Config: o.installed, MaxAge: o.age}
}

// set changes the office under its lock.
func (o *office) set(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}

// notify tells the watcher what is installed.
func (o *office) notify(w *world) {
	o.mu.Lock()
	sid, watcher := o.sid, o.watcher
	r := wire.Request{Op: wire.GetConfig, SID: sid, Observe: dots.Some[uint32](0)}
	m := encode(w.profile, r, o.decide(r))
	o.mu.Unlock()
	watcher.Notify(m)
	synctest.Wait()
}

func one[T any](v T) dots.Bounds[T] { return dots.Bounds[T]{Current: dots.Some(v)} }

// wish is what the tests want: heartbeats each 60 s in idle time, each 15 s under attack, and slower repetitions.
func wish() dots.SessionConfig {
	return dots.SessionConfig{
		Idle:       dots.ConfigSet{HeartbeatInterval: one[uint16](60), AckTimeout: one[dots.Decimal](350), MaxRetransmit: one[uint16](5)},
		Mitigating: dots.ConfigSet{HeartbeatInterval: one[uint16](15), MissingHBAllowed: one[uint16](9), AckRandomFactor: one[dots.Decimal](200)},
	}
}

// negotiating runs a test of a manager that wants something of the session, with a server's office.
func negotiating(t *testing.T, want dots.SessionConfig, change func(*Config), f func(*world, *office)) {
	virtual(t, func(c *Config) {
		c.Links[0].Session = want
		if change != nil {
			change(c)
		}
	}, func(w *world) {
		o := newOffice()
		w.raw = func(r wire.Request, ex *coap.Exchange) bool { return o.answer(w, r, ex) }
		f(w, o)
	})
}

// inForce is what holds on the newest session of ours.
func (w *world) inForce() coap.Parameters {
	p := w.clients[len(w.clients)-1].Parameters()
	return coap.Parameters{AckTimeout: p.AckTimeout, AckRandomFactor: p.AckRandomFactor, MaxRetransmit: p.MaxRetransmit, ProbingRate: p.ProbingRate}
}

func parameters(ack time.Duration, factor float64, retries, rate int) coap.Parameters {
	return coap.Parameters{AckTimeout: ack, AckRandomFactor: factor, MaxRetransmit: retries, ProbingRate: rate}
}

func (w *world) holds(what string, want coap.Parameters) {
	w.Helper()
	if d := gocmp.Diff(want, w.inForce()); d != "" {
		w.Fatalf("%s (-want +got):\n%s", what, d)
	}
}

// RFC 9132, Section 4.5.2: without a wish nothing is negotiated and the defaults hold.
func TestNothingIsNegotiatedUnasked(t *testing.T) {
	negotiating(t, dots.SessionConfig{}, nil, func(w *world, _ *office) {
		w.run()
		w.sleep(time.Hour)
		w.takeAsked()
		w.holds("defaults", parameters(2*time.Second, 1.5, 3, 5))
	})
}

// RFC 9132, Section 4.5: after connecting the ranges are asked for, then the values put and watched, all confirmable; they hold, the idle
// set in idle time and the mitigating set while a mitigation is active.
func TestNegotiation(t *testing.T) {
	negotiating(t, wish(), nil, func(w *world, o *office) {
		w.run()
		w.takeAsked("CONFIG", "PUT CONFIG 1", "CONFIG 1 watched")
		if d := gocmp.Diff([]dots.SessionConfig{wish()}, o.puts); d != "" {
			t.Fatal(d)
		}
		if slices.Contains(o.cons, false) {
			t.Error("a request for the configuration was not confirmable")
		}
		w.holds("idle", parameters(3500*time.Millisecond, 1.5, 5, 5))
		w.sleep(121 * time.Second)
		if d := gocmp.Diff([]string{"30s HB true", "1m30s HB true"}, w.beats()); d != "" {
			t.Fatal(d)
		}
		w.set(func() { w.asked = nil })
		w.want(putLeg(1, 1))
		w.holds("mitigating", parameters(2*time.Second, 2, 3, 5))
		w.sleep(35 * time.Second) // from 2m1s on: each 15 s after that of 1m30s
		if got := len(w.beats()); got != 3 {
			t.Errorf("%d heartbeats in 35 s: %v", got, w.beats())
		}
		w.want(goneLeg(1, 2))
		w.sleep(time.Second)
		w.holds("idle again", parameters(3500*time.Millisecond, 1.5, 5, 5))
	})
}

// RFC 9132, Section 4.5.2: what is wanted is brought into the ranges.
func TestWishesAreBroughtIntoTheRanges(t *testing.T) {
	want := dots.SessionConfig{
		Idle:       dots.ConfigSet{HeartbeatInterval: one[uint16](300), MissingHBAllowed: one[uint16](1), AckTimeout: one[dots.Decimal](50)},
		Mitigating: dots.ConfigSet{HeartbeatInterval: one[uint16](0), AckRandomFactor: one[dots.Decimal](900), ProbingRate: one[uint16](7)},
	}
	negotiating(t, want, nil, func(w *world, o *office) {
		w.run()
		put := dots.SessionConfig{
			Idle:       dots.ConfigSet{HeartbeatInterval: one[uint16](240), MissingHBAllowed: one[uint16](3), AckTimeout: one[dots.Decimal](100)},
			Mitigating: dots.ConfigSet{HeartbeatInterval: one[uint16](0), AckRandomFactor: one[dots.Decimal](400), ProbingRate: one[uint16](7)},
		}
		if d := gocmp.Diff([]dots.SessionConfig{put}, o.puts); d != "" {
			t.Fatal(d)
		}
		w.want(putLeg(1, 1))
		w.sleep(time.Hour) // RFC 9132, Section 4.5.2: an interval of 0 turns heartbeats off
		if got := w.beats(); len(got) != 0 {
			t.Errorf("heartbeats %v", got)
		}
		w.holds("mitigating", parameters(2*time.Second, 4, 3, 7))
	})
}

// RFC 9132, Section 4.5.2: after a 4.22 the ranges are asked for, and the PUT is made again; once.
func TestOutOfRange(t *testing.T) {
	for strict, want := range map[int][]string{
		1: {"CONFIG", "PUT CONFIG 1", "CONFIG", "PUT CONFIG 2", "CONFIG 2 watched"},
		2: {"CONFIG", "PUT CONFIG 1", "CONFIG", "PUT CONFIG 2"},
	} {
		t.Run(fmt.Sprint(strict), func(t *testing.T) {
			negotiating(t, wish(), nil, func(w *world, o *office) {
				o.strict = strict
				w.run()
				w.sleep(10 * time.Minute)
				w.takeAsked(want...)
				if strict == 2 {
					w.holds("defaults", parameters(2*time.Second, 1.5, 3, 5))
				}
			})
		})
	}
}

// A server that does not negotiate is left alone, the defaults hold, and mitigations go on. One that is unable for now is asked again.
func TestAServerThatDoesNotNegotiate(t *testing.T) {
	for code, asked := range map[dots.Code]int{
		dots.CodeNotFound: 1, dots.CodeMethodNotAllowed: 1, dots.CodeBadRequest: 1, dots.CodeInternal: 4, dots.CodeUnavailable: 4,
	} {
		for _, op := range []wire.Op{wire.GetConfig, wire.PutConfig} {
			t.Run(fmt.Sprint(code, op), func(t *testing.T) {
				negotiating(t, wish(), nil, func(w *world, o *office) {
					o.refuse[op] = code
					w.run()
					w.sleep(16 * time.Minute)
					got := 0
					for _, m := range w.log() {
						if m.What == "CONFIG" {
							got++
						}
					}
					if got != asked {
						t.Errorf("asked %d times, want %d", got, asked)
					}
					w.holds("defaults", parameters(2*time.Second, 1.5, 3, 5))
					w.want(putLeg(1, 1))
					w.events.take(t, "0s up a", "16m0s PUT 1 r1: 2.01 for 3600", "16m0s a/cuid all 1=1")
				})
			})
		}
	}
}

// RFC 9132, Section 4.5.3: the configuration is asked for with its sid before its Max-Age is over, each 60 s without one, never again where
// it does not expire; not while a mitigation is active, and soon after.
func TestRefreshes(t *testing.T) {
	tests := map[string]struct {
		age  dots.Maybe[uint32]
		want []time.Duration // in 500 s after 1000 s
	}{
		"with Max-Age":    {dots.Some[uint32](200), []time.Duration{1080 * time.Second, 1260 * time.Second, 1440 * time.Second}},
		"without":         {dots.Maybe[uint32]{}, []time.Duration{1020, 1080, 1140, 1200, 1260, 1320, 1380, 1440, 1500}},
		"never expires":   {dots.Some[uint32](math.MaxUint32), nil},
		"expires at once": {dots.Some[uint32](0), []time.Duration{1020, 1080, 1140, 1200, 1260, 1320, 1380, 1440, 1500}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			negotiating(t, wish(), nil, func(w *world, o *office) {
				o.age = test.age
				w.run()
				w.sleep(1000 * time.Second)
				w.set(func() { w.asked = nil })
				w.sleep(500 * time.Second)
				var got []time.Duration
				for _, m := range w.log() {
					if m.What == "CONFIG 1" {
						got = append(got, m.At)
					}
				}
				for i, d := range test.want {
					if d < time.Second {
						test.want[i] = d * time.Second
					}
				}
				if d := gocmp.Diff(test.want, got); d != "" {
					t.Errorf("asked (-want +got):\n%s", d)
				}
			})
		})
	}
}

func TestNoRefreshUnderAttack(t *testing.T) {
	negotiating(t, wish(), nil, func(w *world, o *office) {
		o.age = dots.Some[uint32](200)
		w.run()
		w.takeAsked("CONFIG", "PUT CONFIG 1", "CONFIG 1 watched")
		w.want(putLeg(1, 1))
		w.sleep(time.Hour)
		for _, m := range w.log() {
			if m.What[:3] == "CON" {
				t.Fatalf("asked under attack: %v", m)
			}
		}
		w.set(func() { w.asked = nil })
		w.want(goneLeg(1, 2))
		w.sleep(time.Second)
		if got := w.log(); !slices.ContainsFunc(got, func(m moment) bool { return m.What == "CONFIG 1" }) {
			t.Errorf("not asked after the attack: %v", got)
		}
	})
}

// Nothing of it is on the way of a mitigation: it is requested first, and while it is active nothing is negotiated.
func TestMitigationsGoFirst(t *testing.T) {
	negotiating(t, wish(), nil, func(w *world, _ *office) {
		w.want(putLeg(1, 1))
		w.run()
		w.sleep(10 * time.Minute)
		for _, m := range w.log() {
			if strings.Contains(m.What, "CONFIG") {
				t.Errorf("asked under attack: %v", m)
			}
		}
		w.holds("defaults", parameters(2*time.Second, 1.5, 3, 5))
		w.want(goneLeg(1, 2))
		w.sleep(time.Second)
		got := []string{}
		for _, m := range w.log() {
			got = append(got, m.What)
		}
		if at := slices.Index(got, "CONFIG"); at < 0 || slices.Index(got, "DELETE 1") > at {
			t.Errorf("asked %v", got)
		}
	})
}

// RFC 9132, Section 4.5.3: a notification of the configuration changes what is in force; heartbeats come no closer than 15 s by it.
func TestTheServerChangesTheConfiguration(t *testing.T) {
	negotiating(t, wish(), nil, func(w *world, o *office) {
		w.run()
		o.set(func() {
			o.installed.Idle = dots.ConfigSet{HeartbeatInterval: one[uint16](1), AckTimeout: one[dots.Decimal](700)}
		})
		o.notify(w)
		w.holds("notified", parameters(7*time.Second, 1.5, 3, 5))
		w.set(func() { w.asked = nil })
		w.sleep(46 * time.Second)
		if d := gocmp.Diff([]string{"15s HB true", "30s HB true", "45s HB false"}, w.beats()); d != "" {
			t.Error(d)
		}
	})
}

// A server that has forgotten the configuration has its defaults in force, and so have we, until it is negotiated anew.
func TestAForgottenConfiguration(t *testing.T) {
	negotiating(t, wish(), nil, func(w *world, o *office) {
		o.age = dots.Some[uint32](200)
		w.run()
		w.takeAsked("CONFIG", "PUT CONFIG 1", "CONFIG 1 watched")
		o.set(func() { o.sid = dots.Maybe[uint64]{} })
		w.sleep(181 * time.Second)
		w.takeAsked("CONFIG 1")
		w.holds("defaults", parameters(2*time.Second, 1.5, 3, 5))
		w.sleep(60 * time.Second)
		w.takeAsked("CONFIG", "PUT CONFIG 2", "CONFIG 1 unwatched", "CONFIG 2 watched")
		w.holds("anew", parameters(3500*time.Millisecond, 1.5, 5, 5))
	})
}

// RFC 9132, Section 4.5: it is bound to the session: a new one begins with the defaults, and its sid is higher.
func TestANewSessionNegotiatesAnew(t *testing.T) {
	negotiating(t, wish(), nil, func(w *world, _ *office) {
		w.run()
		w.takeAsked("CONFIG", "PUT CONFIG 1", "CONFIG 1 watched")
		w.sleep(2 * time.Minute)
		w.clients[0].InputClosed(errors.New("cable cut"))
		synctest.Wait()
		w.takeAsked("CONFIG", "PUT CONFIG 2", "CONFIG 2 watched")
		w.holds("anew", parameters(3500*time.Millisecond, 1.5, 5, 5))
	})
}

// A reload changes it on the session that there is: RFC 9132, Section 4.5.4: a DELETE when the defaults are wanted again.
func TestReloadChangesTheSession(t *testing.T) {
	negotiating(t, wish(), nil, func(w *world, _ *office) {
		w.run()
		w.takeAsked("CONFIG", "PUT CONFIG 1", "CONFIG 1 watched")
		reload := func(session dots.SessionConfig) {
			if err := w.manager.Reload([]LinkConfig{{Name: "a", Profile: w.profile, Dial: w.dial, Session: session}}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		slow := dots.SessionConfig{Idle: dots.ConfigSet{AckTimeout: one[dots.Decimal](1000)}}
		reload(slow)
		w.takeAsked("CONFIG", "PUT CONFIG 2", "CONFIG 1 unwatched", "CONFIG 2 watched")
		w.holds("changed", parameters(10*time.Second, 1.5, 3, 5))
		reload(dots.SessionConfig{})
		w.takeAsked("DELETE CONFIG 2")
		w.holds("defaults", parameters(2*time.Second, 1.5, 3, 5))
		w.sleep(2 * time.Hour)
		w.takeAsked()
		w.events.take(t, "0s up a")
	})
}

// RFC 9132, Section 4.5.2: over TCP the heartbeats' interval alone means something.
func TestNegotiationOverTCP(t *testing.T) {
	negotiating(t, wish(), nil, func(w *world, o *office) {
		w.reliable = true
		w.run()
		w.takeAsked("CONFIG", "PUT CONFIG 1", "CONFIG 1 watched")
		put := dots.SessionConfig{
			Idle: dots.ConfigSet{HeartbeatInterval: one[uint16](60)}, Mitigating: dots.ConfigSet{HeartbeatInterval: one[uint16](15)},
		}
		if d := gocmp.Diff([]dots.SessionConfig{put}, o.puts); d != "" {
			t.Fatal(d)
		}
	})
}

// The older dialect has one flat set, without probing-rate, and says nothing of an age.
func TestNegotiationOverDraft04(t *testing.T) {
	want := wish()
	want.Mitigating.ProbingRate = one[uint16](9)
	negotiating(t, want, overDraft04, func(w *world, o *office) {
		o.age = dots.Maybe[uint32]{}
		w.run()
		w.takeAsked("CONFIG", "PUT CONFIG 1", "CONFIG 1 watched")
		flat := dots.ConfigSet{HeartbeatInterval: one[uint16](15), MissingHBAllowed: one[uint16](9), AckRandomFactor: one[dots.Decimal](200)}
		if d := gocmp.Diff([]dots.SessionConfig{{Mitigating: flat, Idle: flat}}, o.puts); d != "" {
			t.Fatal(d)
		}
		w.holds("idle", parameters(2*time.Second, 2, 3, 5))
		w.sleep(time.Hour)
		w.takeAsked()
		if heard := time.Since(w.clients[0].LastHeard()); heard > 15*time.Second {
			t.Errorf("last heard %v ago, want a ping each 15 s", heard)
		}
	})
}

// What the dialect has no words for is not asked, told once, and harms nothing else.
func TestAWishThatCannotBeSaid(t *testing.T) {
	log := &strings.Builder{}
	unsayable := dots.SessionConfig{Idle: dots.ConfigSet{ProbingRate: one[uint16](9)}}
	negotiating(t, unsayable, func(c *Config) {
		overDraft04(c)
		c.Logger = slog.New(slog.NewTextHandler(log, nil))
	}, func(w *world, _ *office) {
		w.run()
		w.sleep(time.Hour)
		w.takeAsked()
		if n := strings.Count(log.String(), "cannot be said to the uplink"); n != 1 {
			t.Errorf("told %d times:\n%s", n, log)
		}
		w.events.take(t, "0s up a")
	})
}

// An outage while it is negotiated: it is tried again, with a higher sid, and nothing of it ends the session.
func TestNegotiationThroughAnOutage(t *testing.T) {
	negotiating(t, wish(), nil, func(w *world, o *office) {
		w.set(func() { w.deaf = true }) // what is asked arrives, no answer does
		w.run()
		w.sleep(100 * time.Second)
		w.set(func() { w.deaf, w.asked = false, nil })
		w.sleep(400 * time.Second)
		if got := len(w.log()); len(o.puts) != 1 || got < 3 {
			t.Errorf("%d puts, asked %v", len(o.puts), w.log())
		}
		w.holds("in the end", parameters(3500*time.Millisecond, 1.5, 5, 5))
		w.events.take(t, "0s up a")
	})
}

// Requests for mitigations are never confirmable, in idle time neither (RFC 9132, Section 4.4).
func TestMitigationsAreNotConfirmable(t *testing.T) {
	virtual(t, nil, func(w *world) {
		cons := 0
		w.raw = func(_ wire.Request, ex *coap.Exchange) bool {
			if !ex.Request().NonConfirmable {
				cons++
			}
			return false
		}
		w.run()
		armed := putLeg(1, 1)
		armed.Request.OnSignalLoss = true
		w.want(armed)
		w.sleep(10 * time.Minute)
		armed.Revision, armed.Withdraw = 2, true
		w.want(armed)
		w.sleep(10 * time.Minute)
		if cons != 0 || len(w.log()) < 5 {
			t.Errorf("%d confirmable of %d", cons, len(w.log()))
		}
	})
}
