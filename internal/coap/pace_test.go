package coap

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// begin begins a NON request of an urgency whose answer is of no interest.
func (r *rig) begin(u Urgency, req *Message) *Pending {
	r.t.Helper()
	m := *req
	m.NonConfirmable = true
	p, err := r.BeginAs(u, &m, func(*Message, error) {})
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// measured lets a session know its round-trip time.
func (r *rig) measured(rtt time.Duration) {
	r.t.Helper()
	r.begin(MostUrgent, put(nil, "m"))
	p, _ := r.decoded(r.one())
	time.Sleep(rtt)
	r.Input(udp(non, Changed, 900, string(p.token), ""))
	if got, known := r.RTT(); got != rtt || !known {
		r.t.Fatalf("%v %v, want %v", got, known, rtt)
	}
}

// paths counts what was sent by its path.
func (r *rig) paths(records []sent) map[string]int {
	n := map[string]int{}
	for _, rec := range records {
		_, m := r.decoded(rec.b)
		n[m.Options.Path()[0]]++
	}
	return n
}

// legal fails when more was sent in any stretch of time than the bucket and the rate allow.
func legal(t *testing.T, records []sent, spacing time.Duration) {
	t.Helper()
	for i := range records {
		for j := i; j < len(records); j++ {
			if most := paceDepth + float64(records[j].at-records[i].at)/float64(spacing) + 1e-6; float64(j-i+1) > most {
				t.Fatalf("%d datagrams from %v to %v, at most %.1f are allowed", j-i+1, records[i].at, records[j].at, most)
			}
		}
	}
}

// RFC 9132, Section 4.4: what goes unanswered on a dead path, a hundred requests of it, goes out at one datagram each 3 s all in all, and each has
// its turn.
func TestRepeatsOnADeadPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Limits: Limits{MaxCalls: 200}})
		start := time.Now()
		for i := range 100 {
			for pace := r.Pace(); pace.Wait(2) > 0; pace = r.Pace() { // as an owner does that asks before it begins
				time.Sleep(pace.Wait(2))
			}
			r.begin(2, put(nil, string(rune('A'+i))))
		}
		begun := time.Since(start)
		time.Sleep(time.Hour)
		synctest.Wait()
		records := r.link.take()
		legal(t, records, 3*time.Second)
		if least := int((time.Hour+begun)/(3*time.Second)) - 1; len(records) < least {
			t.Errorf("%d datagrams, the rate allows %d", len(records), least)
		}
		n := r.paths(records)
		most, least := 0, len(records)
		for _, k := range n {
			most, least = max(most, k), min(least, k)
		}
		// Those that were begun first were repeated while others were still to be begun.
		if len(n) != 100 || most-least > 2 {
			t.Errorf("%d requests, sent %d to %d times", len(n), least, most)
		}
	})
}

// The order is that of urgency: what repeats leave is for what is less urgent, and a new mitigation finds one left.
func TestTheMoreUrgentIsRepeatedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{})
		for i, path := range []string{"list", "refresh", "withdraw", "again", "new"} {
			r.begin(Urgency(i), put(nil, path))
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		n := r.paths(r.link.take())
		// Two repeats of the most urgent want 2/3 of a datagram each second, and one in 3 s is all there is: two in three turns are theirs.
		urgent, rest := n["new"]+n["again"], n["refresh"]+n["withdraw"]
		if urgent+rest < 40 || n["list"] > 1 || urgent < 2*rest-2 || urgent > 2*rest+2 {
			t.Errorf("sent %v", n)
		}
		if d, e := n["new"]-n["again"], n["withdraw"]-n["refresh"]; d < -1 || d > 1 || e < -1 || e > 1 {
			t.Errorf("of one urgency by then, sent %v", n)
		}
		if pace := r.Pace(); pace.Wait(MostUrgent) != 0 {
			t.Errorf("a new mitigation waits %v", pace.Wait(MostUrgent))
		}
	})
}

// One request goes out ten times in 30 s, at the times of RFC 9132, Section 4.4, whatever the round-trip time, heartbeats beside it.
func TestOneRequestKeepsItsTimes(t *testing.T) {
	for _, rtt := range []time.Duration{0, 40 * time.Millisecond, 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, false, SessionConfig{})
			if rtt > 0 {
				r.measured(rtt)
			}
			start := time.Since(r.link.start)
			r.begin(MostUrgent, put(nil, "new"))
			r.begin(LeastUrgent, put(nil, "hb")).Abandon()
			time.Sleep(29 * time.Second)
			synctest.Wait()
			var at, want []time.Duration
			for _, rec := range r.link.take() {
				if _, m := r.decoded(rec.b); m.Options.Path()[0] == "new" {
					at = append(at, rec.at-start)
				}
			}
			for i := range 10 {
				want = append(want, time.Duration(i)*3*time.Second)
			}
			if !slices.Equal(at, want) {
				t.Errorf("at %v: sent at %v, want %v", rtt, at, want)
			}
		})
	}
}

// RFC 8085, Section 3.1.3: one datagram per round-trip time on average.
func TestPaceByRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rtt = 40 * time.Millisecond
		r := newRig(t, false, SessionConfig{Limits: Limits{MaxCalls: 10_000}})
		r.measured(rtt)
		time.Sleep(time.Minute - time.Second)
		start := time.Now()
		begun := 0
		for time.Since(start) < time.Second {
			pace := r.Pace()
			wait := pace.Wait(MostUrgent)
			if wait == 0 {
				pace.Take(MostUrgent)
				r.begin(MostUrgent, put(nil, "new")).Abandon()
				begun++
				continue
			}
			time.Sleep(wait)
		}
		legal(t, r.link.take(), rtt)
		if want := paceDepth + 25; begun < want-1 {
			t.Errorf("%d in a second, want %d", begun, want)
		}
	})
}

// A session that has waited sends paceDepth at once; what is taken from one answer of Pace counts in it.
func TestPaceIsTaken(t *testing.T) {
	r := newRig(t, false, SessionConfig{})
	pace := r.Pace()
	for n := range paceDepth {
		if wait := pace.Wait(MostUrgent); wait > 0 {
			t.Fatalf("the %d. waits %v", n, wait)
		}
		pace.Take(MostUrgent)
	}
	if wait := pace.Wait(MostUrgent); wait < 2*time.Second || wait > 3*time.Second {
		t.Errorf("the next waits %v", wait)
	}
}

// What is not delayed is counted, and its debt is bounded.
func TestDebts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Limits: Limits{MaxCalls: 1000}})
		for range 100 {
			req := put(nil, "hb")
			req.NonConfirmable = true
			if _, err := r.Begin(req, func(*Message, error) {}); err != nil {
				t.Fatal(err)
			}
		}
		if got := len(r.link.take()); got != 100 {
			t.Fatalf("%d sent", got)
		}
		pace := r.Pace()
		if got, want := pace.Wait(MostUrgent), (paceDebt+1)*3*time.Second; got != want {
			t.Errorf("waits %v, want %v", got, want)
		}
	})
}

// A CON counts with its retransmissions, which are not delayed: RFC 7252, Section 4.2 says when they are sent.
func TestRetransmissionsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0)})
		doLater(r, get("a"))
		for range paceDepth {
			r.begin(MostUrgent, put(nil, "x")).Abandon()
		}
		r.link.take()
		time.Sleep(14*time.Second + time.Millisecond)
		synctest.Wait()
		var at []time.Duration
		for _, rec := range r.link.take() {
			at = append(at, rec.at)
		}
		if want := []time.Duration{2 * time.Second, 6 * time.Second, 14 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("sent at %v, want %v", at, want)
		}
		pace := r.Pace()
		// -1 + 14/3 - 3 are in the bucket.
		if got, want := pace.Wait(MostUrgent), time.Second; got < want-2*time.Millisecond || got > want {
			t.Errorf("waits %v, want %v", got, want)
		}
	})
}

// On a path of microseconds datagrams may go in small bunches, since no timer is so fine.
func TestPaceOfAShortPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Limits: Limits{MaxCalls: 1000}})
		r.measured(50 * time.Microsecond)
		time.Sleep(time.Second)
		pace := r.Pace()
		n := 0
		for ; pace.Wait(MostUrgent) == 0; n++ {
			pace.Take(MostUrgent)
		}
		if want := int(paceGrain / (50 * time.Microsecond)); n != want {
			t.Errorf("%d at once, want %d", n, want)
		}
	})
}

// What waits when its session ends, or is given up, is not sent any more, and no timer stays.
func TestRepeatsThatWaitEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{})
		var all []*Pending
		for range 20 {
			all = append(all, r.begin(2, put(nil, "x")))
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if r.flow.late == nil || len(r.flow.late.waiting) == 0 {
			t.Fatal("none waits")
		}
		for _, p := range all[:10] {
			p.Abandon()
		}
		r.link.take()
		_ = r.Close()
		time.Sleep(time.Hour)
		synctest.Wait()
		r.want()
		for i := range r.timers.all.shards {
			if d := &r.timers.all.shards[i]; len(d.heap) > 0 {
				t.Errorf("%d timers are left", len(d.heap))
			}
		}
	})
}

// Sessions that share a path keep to its rate together, each to its part, and alone to all of it again.
func TestPaceIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{})
		count := func(n int) int {
			r.Share(n)
			r.link.take() // what was sent before does not count
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			return len(r.link.take())
		}
		for _, path := range []string{"a", "b", "c", "d"} {
			r.begin(2, put(nil, path))
		}
		count(1)
		for _, tt := range []struct{ n, want int }{{1, 200}, {2, 100}, {4, 50}, {0, 200}} {
			if got := count(tt.n); got < tt.want-3 || got > tt.want+3 {
				t.Errorf("%d sessions: %d datagrams in 10 min, want %d", tt.n, got, tt.want)
			}
		}
	})
}
