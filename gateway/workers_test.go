package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
	"github.com/dotsgate/dotsgate/store"
)

// oracle is an AAA server that takes a while.
type oracle struct {
	takes func(q Consult) time.Duration
	rule  func(q Consult) policy.Ruling

	mu    sync.Mutex
	asked []uint32
	cut   int // questions whose time ended first
}

func (o *oracle) Authorize(ctx context.Context, q Consult) policy.Ruling {
	o.mu.Lock()
	o.asked = append(o.asked, q.Key.MID)
	o.mu.Unlock()
	select {
	case <-time.After(o.takes(q)):
		return o.rule(q)
	case <-ctx.Done():
		o.mu.Lock()
		defer o.mu.Unlock()
		o.cut++
		return policy.Ruling{Failed: true}
	}
}

func (o *oracle) counts() (asked, cut int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.asked), o.cut
}

func allow(Consult) policy.Ruling { return policy.Ruling{Allow: true} }

// consulting is a configuration whose clients' requests go to an AAA server.
func consulting(t *testing.T, o Authorizer) func(*Config) {
	return func(c *Config) {
		c.Core.Policy = testPolicyFor(t, func(p *policy.Config) { p.Domains[0].Consult = true })
		c.Authorizer = o
	}
}

func (w *world) putAs(client string, mid uint32, target dots.Target) {
	say := w.say(fmt.Sprintf("put %s %d", client, mid))
	req := dots.Request{MID: mid, Target: target, Lifetime: dots.Some[dots.Lifetime](3600)}
	w.gate.Mitigate(dots.Ask{Client: dots.Client{Name: client, CUID: "cuid-" + client}, Request: req, HopLimit: 9},
		func(a dots.Answer, err error) { say(a.Code.String(), err) })
}

func prefix(s string) dots.Target {
	return dots.Target{Prefixes: []netip.Prefix{netip.MustParsePrefix(s)}}
}

// TestConsult asks an AAA server through the loop: allowed, denied, too late, and none at all.
//
// RFC 9132, Section 4.4.1.3: who may not is answered 4.01, what cannot be decided now 5.03.
func TestConsult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &oracle{
			takes: func(q Consult) time.Duration { return time.Duration(q.Key.MID) * time.Second },
			rule:  func(q Consult) policy.Ruling { return policy.Ruling{Allow: q.Request.Target.Prefixes[0].Bits() == 32} },
		}
		w := newWorld(t, store.NewMemory(), consulting(t, o))
		begin := time.Now()
		w.putAs("a", 1, prefix("192.0.2.1/32"))
		w.putAs("b", 1, prefix("192.0.2.128/31"))
		w.putAs("a", 9, prefix("192.0.2.2/32"))
		w.putAs("o", 9, prefix("198.51.100.1/32"))
		w.want("put o 9: 2.01") // its domain asks nobody
		time.Sleep(time.Until(begin.Add(time.Second)))
		w.want("put a 1: 2.01", "put b 1: 4.01 not authorised")
		time.Sleep(time.Until(begin.Add(DefaultAnswerWait)))
		w.want("put a 9: 5.03 no answer")
		if asked, cut := o.counts(); asked != 3 || cut != 1 {
			t.Errorf("asked %d times, %d cut short; want 3 and 1", asked, cut)
		}
		var counts Counts
		if err := w.gate.Look(t.Context(), func(c *Core) { counts = c.Counts() }); err != nil {
			t.Fatal(err)
		}
		if want := (Counts{AAAAllowed: 1, AAADenied: 1, AAAFailed: 1}); counts != want {
			t.Errorf("counted %+v, want %+v", counts, want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.NewMemory(), consulting(t, nil))
		w.putAs("a", 1, prefix("192.0.2.1/32"))
		w.want("put a 1: 5.03 no answer")
	})
}

// TestConsultBacklog lets one client keep the AAA server busy: another one is answered at once all the same, names are resolved meanwhile, and what
// nobody waits for any more is not asked.
func TestConsultBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &oracle{rule: allow, takes: func(q Consult) time.Duration {
			if q.Key.Client.Name == "a" {
				return time.Hour
			}
			return 0
		}}
		w := newWorld(t, store.NewMemory(), consulting(t, o))
		w.names = func(string) ([]netip.Addr, time.Duration, error) {
			return []netip.Addr{netip.MustParseAddr("192.0.2.200")}, time.Hour, nil
		}
		for mid := range uint32(DefaultMaxAskingOf) {
			w.putAs("a", mid+1, prefix("192.0.2.1/32"))
		}
		synctest.Wait()
		if asked, _ := o.counts(); asked != DefaultAuthorizers/2 {
			t.Errorf("one client has %d workers, want %d", asked, DefaultAuthorizers/2)
		}
		w.putAs("b", 1, dots.Target{FQDNs: []string{"www.example.com"}})
		w.want("put b 1: 2.01")
		time.Sleep(time.Minute)
		if asked, cut := o.counts(); asked != DefaultAuthorizers/2+1 || cut != DefaultAuthorizers/2 {
			t.Errorf("asked %d times, %d cut short: what nobody waits for was asked", asked, cut)
		}
		w.mu.Lock()
		w.answers = nil
		w.mu.Unlock()
		w.putAs("b", 2, prefix("192.0.2.2/32"))
		w.want("put b 2: 2.01")
	})
}

// TestSlowZone lets one client bring names that are slow to resolve: another client's are resolved meanwhile.
func TestSlowZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.NewMemory(), nil)
		w.names = func(n string) ([]netip.Addr, time.Duration, error) {
			if n != "quick.example.com" {
				time.Sleep(time.Hour)
			}
			return []netip.Addr{netip.MustParseAddr("192.0.2.200")}, time.Hour, nil
		}
		for mid := range uint32(3 * DefaultResolvers) {
			w.putAs("a", mid, dots.Target{FQDNs: []string{fmt.Sprintf("n%d.example.com", mid)}})
		}
		w.want()
		w.putAs("b", 1, dots.Target{FQDNs: []string{"quick.example.com"}})
		w.want("put b 1: 2.01")
		time.Sleep(5 * time.Hour)
	})
}

// TestLine takes questions out of a line: client entries take turns, none has more than half of the workers, and all is forgotten at the end.
func TestLine(t *testing.T) {
	l := newLine(4, 6, 0)
	push := func(client, name string) bool { return l.push(Resolve{Client: client, Name: name}) }
	take := func() string {
		q, ok := l.next()
		if !ok {
			return "-"
		}
		return q.Question.(Resolve).Name
	}
	for _, n := range []string{"a1", "a2", "a3", "a4"} {
		push("a", n)
	}
	if !push("b", "b1") || !push("c", "c1") || push("d", "d1") {
		t.Error("the line takes 6 and no more")
	}
	for _, want := range []string{"a1", "b1", "c1", "a2", "-"} {
		if got := take(); got != want {
			t.Errorf("took %s, want %s", got, want)
		}
	}
	l.done("a")
	if got := take(); got != "a3" {
		t.Errorf("took %s once a worker was free, want a3", got)
	}
	l.done("b")
	l.done("c")
	l.done("a")
	l.done("a")
	if got := take(); got != "a4" || l.length != 0 || len(l.order) != 0 {
		t.Errorf("took %s, left %d in %d", got, l.length, len(l.order))
	}
	l.done("a")
	if len(l.of) != 0 {
		t.Errorf("remembers %v", l.of)
	}
}

// TestLineRuns has several questions asked at the same time that were there before the workers.
func TestLineRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(4, 8, 0)
		for _, client := range []string{"a", "b", "c", "d"} {
			l.push(Resolve{Client: client})
		}
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		most, now := 0, 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.run(ctx, func(ctx context.Context, _ Question) {
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				<-ctx.Done()
			})
		}()
		synctest.Wait()
		cancel()
		<-done
		if most != 4 {
			t.Errorf("%d questions were asked at a time, want 4", most)
		}
	})
}
