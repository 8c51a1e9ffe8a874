package upstream

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// farm is a world with several servers, home among them, which know the same mitigations. Each may send us to another one.
type farm struct {
	*world
	meter *meter
	mu    sync.Mutex
	calls []moment                 // what was dialled
	gone  map[string]bool          // who cannot be reached
	sends map[string]dots.Redirect // by server: to where it sends whoever asks for a mitigation
	ages  map[string]uint32        // with which Max-Age; without: none
	at    map[*coap.Session]string // server's sides of sessions
	ours  map[string]*coap.Session // our newest session to a server
	asked []string                 // requests by server, heartbeats and lists left out
	slow  map[string]time.Duration // how long dialling takes
}

const home = "home.example"

// farming runs f in a farm, in virtual time.
func farming(t *testing.T, change func(*Config), f func(w *farm)) {
	t.Helper()
	fm := &farm{
		meter: &meter{}, gone: map[string]bool{}, slow: map[string]time.Duration{}, sends: map[string]dots.Redirect{}, ages: map[string]uint32{}, at: map[*coap.Session]string{}, ours: map[string]*coap.Session{},
	}
	virtual(t, func(c *Config) {
		c.Meter = fm.meter
		c.Links[0].Dial, c.Links[0].DialTo, c.Links[0].Server = nil, fm.dialTo, home
		if change != nil {
			change(c)
		}
	}, func(w *world) {
		fm.world = w
		w.raw = fm.answerOf
		f(fm)
	})
}

func (f *farm) dialTo(ctx context.Context, to Destination) (*coap.Session, error) {
	name := to.Alternate.Server
	if name == "" {
		name = home
	}
	what := name
	if to.Urgent {
		what += " urgently"
	}
	if to.OverUDP {
		what += " over UDP"
	}
	f.mu.Lock()
	f.calls = append(f.calls, moment{time.Since(f.start), what})
	takes := f.slow[name]
	f.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone[name] {
		return nil, errNoRoute
	}
	s, err := f.dial(ctx)
	if err != nil {
		return nil, err
	}
	f.world.mu.Lock()
	f.at[f.server], f.ours[name] = name, s
	f.world.mu.Unlock()
	return s, nil
}

// answerOf answers as the server does that was asked.
func (f *farm) answerOf(req wire.Request, ex *coap.Exchange) bool {
	f.world.mu.Lock()
	name := f.at[ex.Session()]
	f.world.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if req.Op != wire.PutMitigation && req.Op != wire.DeleteMitigation {
		return false
	}
	f.asked = append(f.asked, describe(req)+" "+name)
	to, ok := f.sends[name]
	if !ok || req.Op == wire.DeleteMitigation {
		return false
	}
	resp := wire.Response{Code: dots.CodeUnavailable, Redirect: dots.Some(to)}
	if age, ok := f.ages[name]; ok {
		resp.MaxAge = dots.Some(age)
	}
	ex.Respond(encode(f.profile, req, resp))
	return true
}

// send has a server send us to another one; a negative Max-Age is none.
func (f *farm) send(from, to string, maxAge int64, records ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sends[from] = dots.Redirect{Server: to, Records: records}
	if maxAge >= 0 {
		f.ages[from] = uint32(maxAge)
	}
}

// took compares what was dialled, and what was asked of whom, since the last call.
func (f *farm) took(dialled, asked []string) {
	f.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	var got []string
	for _, m := range f.calls {
		got = append(got, m.String())
	}
	if d := gocmp.Diff(dialled, got); d != "" {
		f.Fatalf("dialled (-want +got):\n%s", d)
	}
	if d := gocmp.Diff(asked, f.asked); d != "" {
		f.Fatalf("asked (-want +got):\n%s", d)
	}
	f.calls, f.asked = nil, nil
}

// told compares what the core was told of requests for mitigations since the last call, whatever the order.
func (f *farm) told(want ...string) {
	f.Helper()
	if d := gocmp.Diff(want, slices.Sorted(slices.Values(f.events.drain("PUT")))); d != "" {
		f.Fatalf("told (-want +got):\n%s", d)
	}
}

// open reports whether our newest session to a server lives.
func (f *farm) open(server string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.ours[server]
	return s != nil && s.Err() == nil
}

func (f *farm) info() LinkInfo { return f.manager.Links()[0] }

// RFC 9132, Section 4.6: the request is asked again at the alternate server, over a session of its own; the core is told of its answer alone. When
// the redirect's time is over, the client goes back, but not while an attack is active.
func TestRedirectIsFollowed(t *testing.T) {
	farming(t, nil, func(f *farm) {
		f.run()
		f.send(home, "other.example", 300, "192.0.2.2")
		f.want(putLeg(1, 1))
		f.took([]string{"0s home.example", "0s other.example urgently"}, []string{"PUT 1 home.example", "PUT 1 other.example"})
		f.told("PUT 1 r1: 2.01 for 3600")
		if i := f.info(); !i.Up || i.Redirected != "other.example" || !i.RedirectedUntil.Equal(f.start.Add(300*time.Second)) {
			t.Errorf("shown as %+v", i)
		}
		if f.open(home) || !f.open("other.example") {
			t.Error("the sessions are not as they should be")
		}
		f.sleep(10 * time.Minute)
		f.took(nil, nil)
		f.mu.Lock()
		f.slow[home] = 100 * time.Millisecond // what is under way is answered
		f.mu.Unlock()
		f.want(goneLeg(1, 2))
		f.sleep(time.Second)
		f.took([]string{"10m0s home.example"}, []string{"DELETE 1 other.example"})
		if i := f.info(); i.Redirected != "" || !f.open(home) || f.open("other.example") {
			t.Errorf("shown as %+v", i)
		}
		for _, told := range f.events.drain("down") {
			t.Error("the core was told:", told)
		}
	})
}

// At the end of its time a redirect is over, with nothing wanted; a provisioned server that is away is tried again, and not too often.
func TestRedirectEnds(t *testing.T) {
	farming(t, nil, func(f *farm) {
		f.run()
		f.send(home, "other.example", 60)
		f.want(putLeg(1, 1))
		f.sleep(time.Second)
		f.want(goneLeg(1, 2))
		f.took([]string{"0s home.example", "0s other.example urgently"}, []string{"PUT 1 home.example", "PUT 1 other.example", "DELETE 1 other.example"})
		f.mu.Lock()
		f.gone[home] = true
		f.mu.Unlock()
		f.sleep(6 * time.Minute)
		f.took([]string{"1m0s home.example", "6m0s home.example"}, nil)
		if !f.open("other.example") {
			t.Error("the session to the alternate server was given up")
		}
		f.mu.Lock()
		f.gone[home] = false
		f.mu.Unlock()
		f.sleep(5 * time.Minute)
		f.took([]string{"11m0s home.example"}, nil)
	})
}

// RFC 9132, Section 4.6: a redirect back to where we come from is ignored, and the operator told. The core sees the refusal.
func TestRedirectLoopIsNotFollowed(t *testing.T) {
	farming(t, nil, func(f *farm) {
		f.run()
		f.send(home, "other.example", 3600)
		f.send("other.example", home, 3600)
		f.want(putLeg(1, 1))
		f.took([]string{"0s home.example", "0s other.example urgently"}, []string{"PUT 1 home.example", "PUT 1 other.example"})
		f.told("PUT 1 r1: 5.03 redirected to home.example")
		var followed []string
		f.meter.mu.Lock()
		for _, told := range f.meter.told {
			if told == "redirected true" || told == "redirected false" {
				followed = append(followed, told)
			}
		}
		f.meter.mu.Unlock()
		if d := gocmp.Diff([]string{"redirected true", "redirected false"}, followed); d != "" {
			t.Errorf("metered (-want +got):\n%s", d)
		}
		f.sleep(59 * time.Minute)
		f.took(nil, nil)
	})
}

// RFC 9132, Section 4.6, Max-Age 0: the request in progress goes to the alternate server, and nothing else does.
func TestRedirectOfOneRequest(t *testing.T) {
	farming(t, nil, func(f *farm) {
		f.run()
		f.send(home, "other.example", 0)
		f.slow["other.example"] = 100 * time.Millisecond // both are redirected meanwhile
		f.want(putLeg(1, 1), putLeg(2, 1))
		f.sleep(time.Second)
		f.mu.Lock()
		slices.Sort(f.asked) // the two have no order between them
		f.mu.Unlock()
		f.took([]string{"0s home.example", "0s other.example urgently"},
			[]string{"PUT 1 home.example", "PUT 1 other.example", "PUT 2 home.example", "PUT 2 other.example"})
		f.told("PUT 1 r1: 2.01 for 3600", "PUT 2 r1: 2.01 for 3600")
		if !f.open(home) || f.open("other.example") || f.info().Redirected != "" {
			t.Errorf("home %v, other %v, shown as %+v", f.open(home), f.open("other.example"), f.info())
		}
		// Five minutes have not passed.
		f.want(putLeg(3, 1))
		f.took(nil, []string{"PUT 3 home.example"})
		f.told("PUT 3 r1: 5.03 redirected to other.example")
	})
}

// An alternate server that asks to be left for another one, for a request that was sent to it alone, is not followed further.
func TestRedirectOfOneRequestEndsThere(t *testing.T) {
	farming(t, nil, func(f *farm) {
		f.run()
		f.send(home, "other.example", 0)
		f.send("other.example", "third.example", 3600)
		f.want(putLeg(1, 1))
		f.took([]string{"0s home.example", "0s other.example urgently"}, []string{"PUT 1 home.example", "PUT 1 other.example"})
		f.told("PUT 1 r1: 5.03 redirected to third.example")
	})
}

// Where the alternate server cannot be reached, the session that there is stays, the request is asked there again, and then the core is told.
func TestRedirectToNobody(t *testing.T) {
	for _, maxAge := range []int64{3600, 0} {
		farming(t, nil, func(f *farm) {
			f.run()
			f.gone["other.example"] = true
			f.send(home, "other.example", maxAge)
			f.want(putLeg(1, 1))
			f.took([]string{"0s home.example", "0s other.example urgently"}, []string{"PUT 1 home.example"})
			f.sleep(10 * time.Second)
			f.took(nil, []string{"PUT 1 home.example"})
			f.told("PUT 1 r1: 5.03 redirected to other.example")
			if !f.open(home) || f.info().Redirected != "" {
				t.Errorf("Max-Age %d: shown as %+v", maxAge, f.info())
			}
		})
	}
}

// A server that hangs up after its redirect is left at once, whatever the spacing of attempts, and its redirect is followed.
func TestRedirectWithoutASession(t *testing.T) {
	farming(t, nil, func(f *farm) {
		f.reliable = true
		f.run()
		f.sleep(time.Second)
		f.send(home, "other.example", 3600)
		f.mu.Lock()
		f.slow["other.example"] = time.Second
		f.mu.Unlock()
		f.want(putLeg(1, 1))
		f.sleep(100 * time.Millisecond)
		hangUp := func(server string) {
			f.mu.Lock()
			s := f.ours[server]
			f.mu.Unlock()
			_ = s.Close()
		}
		hangUp(home)
		f.sleep(2 * time.Second)
		f.took([]string{"0s home.example", "1s other.example urgently", "1.1s other.example urgently"}, []string{"PUT 1 home.example", "PUT 1 other.example"})
		if !f.open("other.example") || f.info().Redirected != "other.example" {
			t.Errorf("shown as %+v", f.info())
		}
		// When that session is lost, too, it is made again there, and at home where that fails.
		f.mu.Lock()
		f.gone["other.example"] = true
		f.mu.Unlock()
		hangUp("other.example")
		f.sleep(10 * time.Second)
		f.mu.Lock()
		last := f.calls[len(f.calls)-1].What
		f.mu.Unlock()
		if last != "home.example urgently" || f.info().Redirected != "" {
			t.Errorf("last dialled %s; shown as %+v", last, f.info())
		}
	})
}

// A redirect may come with a notification.
func TestRedirectByNotification(t *testing.T) {
	farming(t, nil, func(f *farm) {
		f.run()
		f.want(putLeg(1, 1))
		f.took([]string{"0s home.example"}, []string{"PUT 1 home.example"})
		f.sleep(time.Second)
		req := wire.Request{Op: wire.GetMitigations, CUID: "cuid"}
		f.world.mu.Lock()
		o := f.observer
		f.world.mu.Unlock()
		o.Notify(encode(f.profile, req, wire.Response{
			Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](600), Redirect: dots.Some(dots.Redirect{Server: "other.example"}),
		}))
		f.sleep(time.Second)
		f.took([]string{"1s other.example urgently"}, []string{"PUT 1 other.example"})
	})
}

// What is not to be followed is told to the core.
func TestRedirectsIgnored(t *testing.T) {
	farming(t, func(c *Config) { c.Links[0].IgnoreRedirects = true }, func(f *farm) {
		f.run()
		f.send(home, "other.example", 3600)
		f.want(putLeg(1, 1))
		f.took([]string{"0s home.example"}, []string{"PUT 1 home.example"})
		f.told("PUT 1 r1: 5.03 redirected to other.example")
	})
}

// RFC 9132, Section 4.3: from a session over TCP, UDP is tried now and then, and taken when it answers, without a gap.
func TestProbeOfUDP(t *testing.T) {
	farming(t, func(c *Config) { c.Links[0].ProbeUDP = 5 * time.Minute }, func(f *farm) {
		f.reliable = true
		f.run()
		f.want(putLeg(1, 1))
		f.took([]string{"0s home.example"}, []string{"PUT 1 home.example"})
		f.mu.Lock()
		f.gone[home] = true
		f.mu.Unlock()
		f.sleep(10 * time.Minute)
		f.took([]string{"5m0s home.example urgently over UDP", "10m0s home.example urgently over UDP"}, nil)
		f.set(func() { f.reliable = false })
		f.mu.Lock()
		f.gone[home] = false
		f.mu.Unlock()
		f.sleep(5 * time.Minute)
		f.took([]string{"15m0s home.example urgently over UDP"}, []string{"PUT 1 home.example"})
		if i := f.info(); i.Reliable || !i.Up {
			t.Errorf("shown as %+v", i)
		}
		f.sleep(time.Hour)
		f.took(nil, nil)
		for _, told := range f.events.drain("down") {
			t.Error("the core was told:", told)
		}
	})
}

// A session over UDP that comes after one over TCP takes its place; one that comes too late is closed.
func TestBetterSession(t *testing.T) {
	var better func(*coap.Session)
	farming(t, func(c *Config) {
		inner := c.Links[0].DialTo
		c.Links[0].DialTo = func(ctx context.Context, to Destination) (*coap.Session, error) {
			better = to.Better
			return inner(ctx, to)
		}
	}, func(f *farm) {
		f.reliable = true
		f.run()
		f.want(putLeg(1, 1))
		dial := func() *coap.Session {
			s, err := f.dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		f.set(func() { f.reliable = false })
		second, third := dial(), dial()
		better(second)
		f.sleep(time.Second)
		if i := f.info(); i.Reliable || i.Session != second.ID() {
			t.Errorf("shown as %+v", i)
		}
		better(third)
		f.sleep(time.Second)
		if i := f.info(); i.Session != second.ID() || !errors.Is(third.Err(), coap.ErrClosed) {
			t.Errorf("shown as %+v; the third has %v", i, third.Err())
		}
	})
}

// A server that lets us in and hangs up at once, again and again, is not dialled again and again: the redirect to it is given up.
func TestRedirectToAServerThatHangsUp(t *testing.T) {
	farming(t, func(c *Config) {
		inner := c.Links[0].DialTo
		c.Links[0].DialTo = func(ctx context.Context, to Destination) (*coap.Session, error) {
			s, err := inner(ctx, to)
			if err == nil && to.Alternate.Server != "" {
				_ = s.Close()
			}
			return s, err
		}
	}, func(f *farm) {
		f.reliable = true
		f.run()
		f.send(home, "other.example", 3600)
		f.want(putLeg(1, 1))
		f.sleep(time.Minute)
		f.mu.Lock()
		n := len(f.calls)
		f.mu.Unlock()
		if i := f.info(); n > 3 || !i.Up || i.Redirected != "" || !f.open(home) {
			t.Errorf("dialled %d times; shown as %+v", n, i)
		}
	})
}

// RFC 9132, Section 4.6: a redirect holds for its time, also when a reload restarts the link, unless that is to another server then.
func TestRedirectOutlivesAReload(t *testing.T) {
	tests := map[string]struct {
		change func(*LinkConfig)
		at     string // where we are after it; then, once the redirect's time is over
		then   []string
	}{
		"another key":       {func(*LinkConfig) {}, "other.example", []string{"5m0s home.example"}},
		"another address":   {func(lc *LinkConfig) { lc.Where = "192.0.2.9:4646" }, "home.example", nil},
		"another name":      {func(lc *LinkConfig) { lc.Server = "new.example" }, "home.example", nil},
		"redirects ignored": {func(lc *LinkConfig) { lc.IgnoreRedirects = true }, "home.example", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var lc LinkConfig
			farming(t, func(c *Config) { lc = c.Links[0] }, func(f *farm) {
				f.run()
				f.send(home, "other.example", 300)
				f.want(putLeg(1, 1))
				f.sleep(10 * time.Second)
				f.took([]string{"0s home.example", "0s other.example urgently"}, []string{"PUT 1 home.example", "PUT 1 other.example"})
				f.mu.Lock()
				delete(f.sends, home)
				f.mu.Unlock()
				lc.Fingerprint = "2"
				tt.change(&lc)
				if err := f.manager.Reload([]LinkConfig{lc}); err != nil {
					t.Fatal(err)
				}
				f.sleep(time.Second)
				f.took([]string{"10s " + tt.at + " urgently"}, []string{"PUT 1 " + tt.at})
				if i := f.info(); (i.Redirected != "") != (tt.at != home) || i.RedirectedUntil.IsZero() == (tt.at != home) {
					t.Errorf("shown as %+v", i)
				}
				f.want(goneLeg(1, 2))
				f.sleep(10 * time.Minute)
				f.took(tt.then, []string{"DELETE 1 " + tt.at})
			})
		})
	}
}
