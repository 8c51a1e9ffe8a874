package aaa

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeServer is a server that answers as told.
type fakeServer struct {
	mu    sync.Mutex
	asked int
	slow  time.Duration
	say   Decision
	err   error
}

func (s *fakeServer) ask(ctx context.Context, _ Request) (Decision, error) {
	s.mu.Lock()
	s.asked++
	slow, say, err := s.slow, s.say, s.err
	s.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return Decision{}, context.Cause(ctx)
		}
	}
	return say, err
}

func (s *fakeServer) run(context.Context) {}

// set changes the server.
func (s *fakeServer) set(change func(*fakeServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *fakeServer) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// rig is an Authorizer of a fake server in virtual time.
type rig struct {
	*Authorizer
	t      *testing.T
	server *fakeServer
	meter  *countingMeter
	stop   func()
}

func inRig(t *testing.T, cfg Config, test func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, server: &fakeServer{say: Decision{Allow: true}}, meter: newMeter()}
		cfg.Meter = r.meter
		var err error
		if r.Authorizer, err = newAuthorizer(cfg.withDefaults(), r.server); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = r.Run(ctx) })
		r.stop = func() {
			cancel()
			running.Wait()
		}
		defer r.stop()
		test(r)
	})
}

// expect asks, and checks the decision and that it took no time.
func (r *rig) expect(what string, want Decision) {
	r.t.Helper()
	start := time.Now()
	got := r.Authorize(r.t.Context(), request())
	if want.Failed {
		want.Reason = got.Reason // whatever it is
	}
	if got != want || time.Since(start) != 0 {
		r.t.Errorf("%s: Authorize() = %+v after %v, want %+v", what, got, time.Since(start), want)
	}
}

// said checks how often the server was asked.
func (r *rig) said(what string, want int) {
	r.t.Helper()
	synctest.Wait()
	if got := r.server.questions(); got != want {
		r.t.Errorf("%s: the server was asked %d times, want %d", what, got, want)
	}
}

var (
	allowed = Decision{Allow: true}
	denied  = Decision{Reason: "not today"}
	failed  = Decision{Failed: true}
)

// Answers are kept for a while, those that allow longer than those that do not.
func TestCache(t *testing.T) {
	for _, tt := range []struct {
		say Decision
		ttl time.Duration
	}{{allowed, DefaultAllowTTL}, {denied, DefaultDenyTTL}} {
		inRig(t, Config{}, func(r *rig) {
			r.server.say = tt.say
			r.expect("at first", tt.say)
			time.Sleep(tt.ttl - time.Nanosecond)
			r.expect("before the end", tt.say)
			r.said("before the end", 1)
			time.Sleep(time.Nanosecond)
			r.expect("at the end", tt.say)
			r.said("at the end", 2)
			if r.meter.from[FromCache] != 1 || r.meter.from[FromServer] != 2 || r.meter.asked != 2 {
				t.Errorf("counted %v, %d asked", r.meter.from, r.meter.asked)
			}
		})
	}
}

// A change of mind is seen when the answer is asked for again, not before.
func TestCacheFollows(t *testing.T) {
	inRig(t, Config{AllowTTL: 5 * time.Second}, func(r *rig) {
		r.expect("at first", allowed)
		r.server.set(func(s *fakeServer) { s.say = denied })
		r.expect("kept", allowed)
		time.Sleep(5 * time.Second)
		r.expect("asked again", denied)
	})
}

func TestCacheOff(t *testing.T) {
	inRig(t, Config{AllowTTL: -1, DenyTTL: -1}, func(r *rig) {
		r.expect("first", allowed)
		r.expect("second", allowed)
		r.said("both", 2)
	})
}

// The cache is bounded: the answer used longest ago goes.
func TestCacheBound(t *testing.T) {
	inRig(t, Config{CacheSize: 2}, func(r *rig) {
		ask := func(client string) {
			q := request()
			q.Client = client
			r.Authorize(r.t.Context(), q)
		}
		for _, client := range []string{"a", "b", "a", "c"} { // b was used longest ago
			ask(client)
		}
		r.said("three clients", 3)
		ask("a")
		r.said("kept", 3)
		ask("b")
		r.said("forgotten", 4)
	})
}

// Equal questions are asked once; unequal ones do not wait for each other.
func TestCoalesce(t *testing.T) {
	inRig(t, Config{}, func(r *rig) {
		r.server.slow = time.Second
		start := time.Now()
		var asking sync.WaitGroup
		for i := range 20 {
			asking.Go(func() {
				q := request()
				q.MID, q.Client = uint32(i), fmt.Sprint("client", i%2)
				if got := r.Authorize(r.t.Context(), q); got != allowed {
					t.Errorf("Authorize() = %+v", got)
				}
			})
		}
		asking.Wait()
		if got := time.Since(start); got != time.Second {
			t.Errorf("took %v", got)
		}
		r.said("all", 2)
		if r.meter.from[FromServer] != 20 || r.meter.allowed != 20 {
			t.Errorf("counted %v", r.meter.from)
		}
	})
}

// Nobody waits longer than Wait; the answer serves the next try.
func TestSlowServer(t *testing.T) {
	inRig(t, Config{}, func(r *rig) {
		r.server.slow = 2 * time.Second
		start := time.Now()
		if got := r.Authorize(r.t.Context(), request()); !got.Failed || got.Allow || time.Since(start) != DefaultWait {
			t.Errorf("Authorize() = %+v after %v", got, time.Since(start))
		}
		time.Sleep(time.Second)
		r.expect("the next try", allowed)
		r.said("the next try", 1)
	})
}

// The caller's context ends the wait, but not the question that others wait for.
func TestImpatientCaller(t *testing.T) {
	inRig(t, Config{}, func(r *rig) {
		r.server.slow = time.Second
		var asking sync.WaitGroup
		asking.Go(func() {
			if got := r.Authorize(r.t.Context(), request()); got != allowed {
				t.Errorf("the patient: Authorize() = %+v", got)
			}
		})
		ctx, cancel := context.WithTimeout(r.t.Context(), 100*time.Millisecond)
		defer cancel()
		if got := r.Authorize(ctx, request()); !got.Failed {
			t.Errorf("the impatient: Authorize() = %+v", got)
		}
		asking.Wait()
		r.said("both", 1)
	})
}

// A server that never answers is given up, so that the next question is a new one.
func TestQuestionsEnd(t *testing.T) {
	inRig(t, Config{Timeout: 5 * time.Second}, func(r *rig) {
		r.server.slow = time.Hour
		r.Authorize(r.t.Context(), request())
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if r.meter.unanswered != 1 || r.meter.longestQuestionTook != 5*time.Second {
			t.Errorf("%d unanswered, %v", r.meter.unanswered, r.meter.longestQuestionTook)
		}
		r.Authorize(r.t.Context(), request())
		r.said("after the end of the first", 2)
	})
}

// While the server is silent: closed.
func TestFailClosed(t *testing.T) {
	inRig(t, Config{}, func(r *rig) {
		r.expect("at first", allowed)
		r.server.set(func(s *fakeServer) { s.err = errors.New("down") })
		r.expect("kept", allowed)
		time.Sleep(DefaultAllowTTL)
		r.expect("too old", failed)
		if r.meter.from[FromNobody] != 1 || r.meter.failed != 1 || r.meter.unanswered != 1 {
			t.Errorf("counted %v", r.meter.from)
		}
	})
}

// While the server is silent: what it said last, allowed or not, until that is too old.
func TestFailLastKnown(t *testing.T) {
	for _, say := range []Decision{allowed, denied} {
		inRig(t, Config{Fail: FailLastKnown, MaxStale: time.Hour}, func(r *rig) {
			r.server.say = say
			r.expect("at first", say)
			r.server.set(func(s *fakeServer) { s.err = errors.New("down") })
			time.Sleep(time.Hour)
			r.expect("stale", say)
			if r.meter.from[FromStale] != 1 {
				t.Errorf("counted %v", r.meter.from)
			}
			time.Sleep(time.Nanosecond)
			r.expect("too stale", failed)
			r.server.set(func(s *fakeServer) { s.err, s.say = nil, denied })
			r.expect("back", denied)
		})
	}
}

// Nothing is made up: what was never said fails.
func TestFailLastKnownUnknown(t *testing.T) {
	inRig(t, Config{Fail: FailLastKnown}, func(r *rig) {
		r.server.err = errors.New("down")
		r.expect("never asked before", failed)
	})
}

// A slow server is as good as a silent one.
func TestFailLastKnownSlow(t *testing.T) {
	inRig(t, Config{Fail: FailLastKnown}, func(r *rig) {
		r.expect("at first", allowed)
		r.server.set(func(s *fakeServer) { s.slow = time.Hour })
		time.Sleep(time.Hour)
		start := time.Now()
		if got := r.Authorize(r.t.Context(), request()); got != allowed || time.Since(start) != DefaultWait {
			t.Errorf("Authorize() = %+v after %v", got, time.Since(start))
		}
	})
}

// Questions under way are bounded: one too many counts as unanswered, at once.
func TestMaxAsking(t *testing.T) {
	inRig(t, Config{MaxAsking: 2}, func(r *rig) {
		r.server.slow = time.Second
		var asking sync.WaitGroup
		for _, client := range []string{"a", "b"} {
			asking.Go(func() {
				q := request()
				q.Client = client
				r.Authorize(r.t.Context(), q)
			})
		}
		synctest.Wait()
		r.expect("the third", failed)
		asking.Wait()
		r.server.set(func(s *fakeServer) { s.slow = 0 })
		r.expect("when there is room", allowed)
	})
}

// Run ends questions and waits for them; afterwards nothing is asked, what is known still counts.
func TestStop(t *testing.T) {
	inRig(t, Config{}, func(r *rig) {
		r.expect("before", allowed)
		r.server.set(func(s *fakeServer) { s.slow = time.Hour })
		q := request()
		q.Client = "other"
		var asking sync.WaitGroup
		asking.Go(func() {
			if got := r.Authorize(context.Background(), q); !got.Failed {
				t.Errorf("while stopping: Authorize() = %+v", got)
			}
		})
		synctest.Wait()
		r.stop()
		asking.Wait()
		r.said("stopped", 2)
		r.expect("known", allowed)
		q.Client = "third"
		if got := r.Authorize(context.Background(), q); !got.Failed {
			t.Errorf("after the end: Authorize() = %+v", got)
		}
		r.said("after the end", 2)
	})
}

// What failed is told in one short line.
func TestFailureReason(t *testing.T) {
	inRig(t, Config{}, func(r *rig) {
		r.server.err = errors.New("line one\nline two " + strings.Repeat("x", 1000))
		got := r.Authorize(r.t.Context(), request())
		if !got.Failed || strings.Contains(got.Reason, "\n") || len(got.Reason) != MaxReason {
			t.Errorf("Authorize() = %+v", got)
		}
	})
}

func TestConfigFaults(t *testing.T) {
	hook := &HTTPConfig{URL: "https://opa.example/v1/data/dots/allow"}
	for name, tt := range map[string]struct {
		cfg   Config
		fault string
	}{
		"nobody to ask": {Config{}, "either RADIUS or the HTTP hook"},
		"both":          {Config{HTTP: hook, RADIUS: &RADIUSConfig{}}, "either RADIUS or the HTTP hook"},
		"fail mode":     {Config{HTTP: hook, Fail: "open"}, `"open"`},
		"time":          {Config{HTTP: hook, Wait: -1}, "negative"},
		"limit":         {Config{HTTP: hook, CacheSize: -1}, "negative"},
		"of the hook":   {Config{HTTP: &HTTPConfig{URL: "ftp://x"}}, "ftp"},
		"of RADIUS":     {Config{RADIUS: &RADIUSConfig{}}, "a server is required"},
	} {
		if _, err := New(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%s: New() = %v, want %q", name, err, tt.fault)
		}
	}
	if _, err := New(Config{HTTP: hook}); err != nil {
		t.Errorf("New() = %v", err)
	}
}
