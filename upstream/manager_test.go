package upstream

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
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

// virtual runs a test in virtual time; change may alter the manager's configuration.
func virtual(t *testing.T, change func(*Config), f func(w *world)) {
	synctest.Test(t, func(t *testing.T) { f(newWorld(t, change)) })
}

func TestAMitigationGoesUpAndItsStatusComesBack(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.takeAsked("PUT 1", "OBSERVE0 cuid")
		w.events.take(t, "0s up a", "0s PUT 1 r1: 2.01 for 3600", "0s a/cuid all 1=1")
		w.sleep(5 * time.Second)
		w.status(1, dots.StatusMitigated)
		w.events.take(t, "5s a/cuid all 1=2")
	})
}

// status changes a mitigation at the server and notifies.
func (w *world) status(mid uint32, s dots.Status) {
	w.mu.Lock()
	w.standing[mid] = s
	reports := w.reports(dots.Maybe[uint32]{})
	o := w.observer
	w.mu.Unlock()
	req := wire.Request{Op: wire.GetMitigations, CUID: "cuid"}
	o.Notify(encode(w.profile, req, wire.Response{Code: dots.CodeContent, Reports: reports}))
	synctest.Wait()
}

// RFC 9132, Section 4.4: NON requests are sent again every 3 s until they are answered, as long as the session lives.
func TestRepeatsUntilAnswered(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.lossy = true
		w.run()
		w.want(putLeg(1, 1))
		w.sleep(50 * time.Second)
		var puts []time.Duration
		w.set(func() {
			for _, m := range w.sent {
				if m.What == "PUT" {
					puts = append(puts, m.At)
				}
			}
			w.lossy = false
		})
		var want []time.Duration
		for at := time.Duration(0); at <= 48*time.Second; at += 3 * time.Second {
			want = append(want, at)
		}
		if d := gocmp.Diff(want, puts); d != "" {
			t.Fatalf("sent (-want +got):\n%s", d)
		}
		w.sleep(2 * time.Second)
		if i := w.manager.Links()[0]; i.Legs[LegPlaced] != 1 || i.InFlight != 0 {
			t.Fatalf("info %+v", i)
		}
	})
}

func TestANewerLevelReplacesAnUnansweredRequest(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.answer = func(wire.Request) (wire.Response, bool) { return wire.Response{}, false }
		w.run()
		w.want(putLeg(1, 1))
		w.sleep(time.Second)
		w.want(putLeg(1, 2))
		w.want(goneLeg(1, 3))
		w.takeAsked("PUT 1", "PUT 1", "DELETE 1")
		w.manager.Forget("a", []dots.LegKey{putLeg(1, 1).Key})
		w.sleep(time.Minute)
		for _, m := range w.datagrams() {
			if m.At > time.Second && m.What != "GET" {
				t.Errorf("sent %v after it was forgotten", m)
			}
		}
		w.events.take(t, "0s up a")
	})
}

func TestWithdrawal(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.takeAsked("PUT 1", "OBSERVE0 cuid")
		w.events.take(t, "0s up a", "0s PUT 1 r1: 2.01 for 3600", "0s a/cuid all 1=1")
		w.want(goneLeg(1, 2))
		w.takeAsked("DELETE 1", "GET 1")
		w.events.take(t, "0s DELETE 1 r2: 2.02", "0s a/cuid 1=5")
		w.want(goneLeg(7, 1)) // unknown to the server
		w.takeAsked("DELETE 7", "GET 7")
		w.events.take(t, "0s DELETE 7 r1: 2.02", "0s a/cuid 7=6")
	})
}

// After the end of a session the next one makes the wanted set true again, the mitigation withdrawn meanwhile included.
func TestReconnect(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.run()
		w.want(putLeg(1, 1), putLeg(2, 1), putLeg(3, 1))
		w.sleep(110 * time.Second)
		w.set(func() { w.asked, w.refuse = nil, errors.New("no route") })
		w.clients[0].InputClosed(errors.New("cable cut"))
		synctest.Wait()
		w.want(goneLeg(2, 2), putLeg(4, 1))
		w.sleep(5 * time.Second)
		w.set(func() { w.refuse = nil })
		w.events.take(t, "0s up a",
			"0s PUT 1 r1: 2.01 for 3600", "0s PUT 2 r1: 2.01 for 3600", "0s PUT 3 r1: 2.01 for 3600",
			"0s a/cuid all 1=1 2=1 3=1", "1m0s a/cuid all 1=1 2=1 3=1",
			"1m50s down a: reading from the peer: cable cut")
		w.sleep(5 * time.Second)
		w.set(func() {
			slices.SortFunc(w.asked, func(a, b moment) int { return cmp.Compare(a.What, b.What) })
		})
		w.takeAsked("DELETE 2", "GET 2", "OBSERVE0 cuid", "PUT 1", "PUT 3", "PUT 4")
		// Attempts are made at once, then 1, 2 and 4 s apart: a mitigation is wanted.
		want := []time.Duration{0, 110 * time.Second, 111 * time.Second, 113 * time.Second, 117 * time.Second}
		if d := gocmp.Diff(want, w.dials); d != "" {
			t.Fatalf("dialled (-want +got):\n%s", d)
		}
	})
}

// RFC 9132, Section 4.7: without an attack, attempts are at least 60 s apart; a mitigation that comes to be wanted ends
// the wait.
func TestIdleReconnect(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.refuse = errors.New("no route")
		w.run()
		w.sleep(500 * time.Second)
		armed := putLeg(1, 1)
		armed.Request.OnSignalLoss = true
		w.want(armed)
		w.sleep(10 * time.Second)
		w.want(putLeg(2, 1))
		want := []time.Duration{0, 60 * time.Second, 360 * time.Second, 510 * time.Second}
		if d := gocmp.Diff(want, w.dials); d != "" {
			t.Fatalf("dialled (-want +got):\n%s", d)
		}
		i := w.manager.Links()[0]
		if i.Up || i.Failures != 4 || i.LastError != "no route" || !i.Dialling.IsZero() {
			t.Fatalf("info %+v", i)
		}
	})
}

// sharedLog is a log that is read while it is written.
type sharedLog struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *sharedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *sharedLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// Whoever looks while the first attempt goes on is told that it does: a handshake over a path that loses datagrams may take a minute.
func TestASlowAttemptIsTold(t *testing.T) {
	log := &sharedLog{}
	virtual(t, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		c.Links[0].Dial = func(ctx context.Context) (*coap.Session, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		began := time.Now()
		check := func(after time.Duration, slow, failed int) {
			t.Helper()
			w.sleep(time.Until(began.Add(after)))
			want := began.Add(after.Truncate(DefaultDialTimeout)) // the next attempt follows at once: this one has lasted longer than a pause
			if got := w.manager.Links()[0].Dialling; !got.Equal(want) {
				t.Errorf("after %v: dialling since %v, want %v", after, got, want)
			}
			text := log.text()
			if a, b := strings.Count(text, "still dialling"), strings.Count(text, "dialling an uplink failed"); a != slow || b != failed {
				t.Errorf("after %v: the log has %d, %d lines, want %d, %d:\n%s", after, a, b, slow, failed, text)
			}
		}
		check(9*time.Second, 0, 0)
		check(11*time.Second, 1, 0)
		check(DefaultDialTimeout+30*time.Second, 1, 1)
		check(2*DefaultDialTimeout+30*time.Second, 1, 2)
	})
}

// A server that accepts and hangs up is not dialled again and again without a pause.
func TestAServerThatHangsUp(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.manager.Want("a", []dots.Leg{putLeg(1, 1)})
		w.run()
		for wait := time.Second; wait <= 16*time.Second; wait *= 2 {
			w.clients[len(w.clients)-1].InputClosed(nil)
			w.sleep(min(wait, DefaultMaxActive))
		}
		// Each session ended within a minute, so each counts as a failed attempt: 1, 2, 4, 8 and 15 s after the last.
		want := []time.Duration{0, 1, 3, 7, 15, 30}
		for i := range want {
			want[i] *= time.Second
		}
		if d := gocmp.Diff(want, w.dials); d != "" {
			t.Fatalf("dialled (-want +got):\n%s", d)
		}
	})
}

func TestRequestsInFlightAreBounded(t *testing.T) {
	virtual(t, func(c *Config) { c.MaxInFlight = 5 }, func(w *world) {
		w.answer = func(wire.Request) (wire.Response, bool) { return wire.Response{}, false }
		w.run()
		var legs []dots.Leg
		for mid := range uint32(20) {
			legs = append(legs, putLeg(mid, 1))
		}
		w.want(legs...)
		w.sleep(time.Second)
		if i := w.manager.Links()[0]; i.InFlight != 5 || len(w.log()) != 5 || i.Legs[LegWanted] != 20 {
			t.Fatalf("in flight %d, asked %v", i.InFlight, w.asked)
		}
		w.sleep(2 * time.Minute)
		seen := map[string]bool{}
		for _, m := range w.log() {
			seen[m.What] = true
		}
		if len(seen) < 20 {
			t.Fatalf("only %d of 20 had their turn", len(seen))
		}
	})
}

func TestAUselessAnswerIsNoSuccess(t *testing.T) {
	virtual(t, nil, func(w *world) {
		bad := 0
		w.raw = func(r wire.Request, ex *coap.Exchange) bool {
			if r.Op == wire.PutMitigation && bad < 2 {
				bad++
				ex.Respond(&coap.Message{Code: 0x45})
				return true
			}
			return false
		}
		w.run()
		w.want(putLeg(1, 1))
		w.sleep(20 * time.Second)
		var puts []time.Duration
		for _, m := range w.log() {
			if m.What == "PUT 1" {
				puts = append(puts, m.At)
			}
		}
		if d := gocmp.Diff([]time.Duration{0, 3 * time.Second, 9 * time.Second}, puts); d != "" {
			t.Fatal(d)
		}
		w.events.mu.Lock()
		defer w.events.mu.Unlock()
		for _, m := range w.events.told {
			if m.What == "PUT 1 r1: 2.01 for 3600" && m.At == 9*time.Second {
				return
			}
		}
		t.Fatalf("told %v", w.events.told)
	})
}

// The core may be slow: the manager's loop and Want go on meanwhile.
func TestASlowCoreBlocksNothing(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.run()
		w.events.mu.Lock()
		w.events.block = make(chan struct{})
		w.events.mu.Unlock()
		w.want(putLeg(1, 1), putLeg(2, 1))
		w.sleep(70 * time.Second)
		beats := 0
		for _, m := range w.log() {
			if m.What == "HB true" {
				beats++
			}
		}
		if beats != 2 {
			t.Errorf("%d heartbeats in 70 s, want 2", beats)
		}
		w.want(putLeg(3, 1))
		close(w.events.block)
		w.sleep(time.Second)
		if i := w.manager.Links()[0]; i.Legs[LegPlaced] != 3 {
			t.Errorf("legs %v", i.Legs)
		}
	})
}

// An efficacy update has an If-Match option and goes to a mitigation that stands (RFC 9132, Section 4.4.3).
func TestEfficacyGoesUp(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		l := putLeg(1, 2)
		l.Efficacy, l.Request.Attack = true, dots.AttackUnderAttack
		w.want(l)
		w.takeAsked("PUT 1", "OBSERVE0 cuid", "PUT 1 efficacy")
	})
}

// RFC 8768, Section 3 and RFC 9132, Section 4.4.1.2: the hop limit and the cdid go up with a leg.
func TestWhatGoesWithALeg(t *testing.T) {
	virtual(t, nil, func(w *world) {
		var put, del wire.Request
		w.answer = func(r wire.Request) (wire.Response, bool) {
			switch r.Op {
			case wire.PutMitigation:
				put = r
			case wire.DeleteMitigation:
				del = r
			}
			return w.serve(r)
		}
		w.run()
		l := putLeg(1, 1)
		l.CDID, l.HopLimit = "cdid", 7
		w.want(l)
		if put.CDID != "cdid" || put.HopLimit != dots.Some[uint32](7) || put.MID != dots.Some[uint32](1) {
			t.Errorf("asked %+v", put)
		}
		if d := gocmp.Diff(l.Request.Target.FQDNs, put.Mitigation.Target.FQDNs); d != "" {
			t.Error(d)
		}
		l.Withdraw, l.Revision = true, 2
		w.want(l)
		if del.CDID != "cdid" || del.HopLimit != dots.Some[uint32](7) || del.MID != dots.Some[uint32](1) {
			t.Errorf("asked %+v", del)
		}
	})
}

// Run closes the session and withdraws nothing.
func TestShutdown(t *testing.T) {
	var w *world
	virtual(t, nil, func(now *world) {
		w = now
		w.lossy = true
		w.run()
		w.want(putLeg(1, 1), putLeg(2, 1))
		w.sleep(10 * time.Second)
	})
	if err := w.clients[0].Err(); !errors.Is(err, coap.ErrClosed) {
		t.Errorf("the session ended with %v", err)
	}
	for _, m := range w.datagrams() {
		if m.What == "DELETE" || m.At > 10*time.Second {
			t.Errorf("sent %v", m)
		}
	}
	w.events.take(t, "0s up a")
}

func TestLegsOfAnUnknownUplinkAreDropped(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.run()
		w.manager.Want("b", []dots.Leg{putLeg(1, 1)})
		w.manager.Forget("b", []dots.LegKey{putLeg(1, 1).Key})
		w.sleep(time.Second)
		w.takeAsked()
		if i := w.manager.Links(); len(i) != 1 || i[0].Name != "a" || i[0].Profile != "rfc9132" || !i[0].Up {
			t.Fatalf("info %+v", i)
		}
	})
}

func TestTheMeterIsTold(t *testing.T) {
	m := &meter{}
	virtual(t, func(c *Config) { c.Meter = m }, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.set(func() { w.lossy = true })
		w.sleep(40 * time.Second)
		w.want(goneLeg(1, 2))
		w.manager.Forget("a", []dots.LegKey{putLeg(1, 1).Key})
		w.sleep(time.Second)
		m.mu.Lock()
		defer m.mu.Unlock()
		want := []string{
			"up false", "up true", "legs [0 1 0 0 0]", "3 2.01", "legs [0 0 1 0 0]", "1 2.05",
			"missed", "legs [0 0 0 0 1]", "4 0.00", "legs [0 0 0 0 0]",
		}
		for _, text := range want {
			if !slices.Contains(m.told, text) {
				t.Errorf("%q is missing from %q", text, m.told)
			}
		}
	})
}
