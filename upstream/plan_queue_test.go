package upstream

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
)

// RFC 9132, Section 4.4.4: after 2.02 the server may go on for the active-but-terminating period (status 5).
func TestDeleteThenGet(t *testing.T) {
	tests := map[string]struct {
		status dots.Status // 0: 4.04
		want   dots.Status
		again  bool // it stands as if nothing had been said
	}{
		"terminating":     {status: dots.StatusClientWithdrawn, want: dots.StatusClientWithdrawn},
		"terminated":      {status: dots.StatusTerminated, want: dots.StatusTerminated},
		"withdrawn by it": {status: dots.StatusWithdrawn, want: dots.StatusWithdrawn},
		"gone":            {want: dots.StatusTerminated},
		"still there":     {status: dots.StatusMitigated, want: dots.StatusMitigated, again: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := up(t, 16, leg(1, 1))
			b.want([]dots.Leg{gone(1, 2)})
			e := b.code(b.expect("DELETE 1 r2")[0], dots.CodeDeleted)
			want := dots.LegAnswer{Key: leg(1, 1).Key, Revision: 2, Withdraw: true, Code: dots.CodeDeleted}
			if !cmp.Equal(e[0].answer.Value, want) {
				t.Fatalf("told %+v", e)
			}
			j := b.expect("GET 1")[0]
			r := list(1)
			r.Reports[0].Status = test.status
			if test.status == 0 {
				r = list()
				r.Code = dots.CodeNotFound
			}
			e = b.answer(j, r)
			told(t, e, false, 1)
			if got := e[0].reports[0].Status; got != test.want {
				t.Fatalf("status %v, want %v", got, test.want)
			}
			b.heard()
			b.now = b.now.Add(3 * time.Second)
			if test.again {
				b.code(b.expect("DELETE 1 r2")[0], dots.CodeDeleted)
				b.code(b.expect("GET 1")[0], dots.CodeNotFound)
			}
			b.now = b.now.Add(time.Minute)
			b.expect()
		})
	}
}

func TestAnEmptyListAfterDeleteMeansGone(t *testing.T) {
	b := up(t, 16, leg(1, 1))
	b.want([]dots.Leg{gone(1, 2)})
	b.code(b.expect("DELETE 1 r2")[0], dots.CodeDeleted)
	e := b.answer(b.expect("GET 1")[0], list(4))
	told(t, e, false, 1)
	if e[0].reports[0].Status != dots.StatusTerminated {
		t.Fatalf("told %+v", e)
	}
}

func TestTheGetAfterDeleteIsRepeatedWhenRefused(t *testing.T) {
	b := up(t, 16, leg(1, 1))
	b.want([]dots.Leg{gone(1, 2)})
	b.code(b.expect("DELETE 1 r2")[0], dots.CodeDeleted)
	if e := b.code(b.expect("GET 1")[0], dots.CodeInternal); e != nil {
		t.Fatalf("told %+v", e)
	}
	b.now = b.now.Add(3 * time.Second)
	j := b.expect("GET 1")[0]
	b.want([]dots.Leg{leg(1, 3)}) // wanted again: the answer says nothing any more
	if e := b.answer(j, list(1)); e != nil {
		t.Fatalf("told %+v", e)
	}
	b.expect("PUT 1 r3")
}

// Each class has its share, so that nothing urgent waits for what is not.
func TestShares(t *testing.T) {
	b := newBench(t, 8)
	b.connected()
	var legs []dots.Leg
	for mid := range uint32(10) {
		l := leg(mid, 1)
		l.Key.CUID = string(rune('a' + mid))
		legs = append(legs, l)
	}
	b.want(legs)
	puts := b.jobs()
	if len(puts) != 8 {
		t.Fatalf("%d new mitigations in flight, want 8", len(puts))
	}
	for _, j := range puts {
		if j.kind != kindPut {
			t.Fatalf("%v before a new mitigation", j)
		}
		b.code(j, dots.CodeCreated)
	}
	if d := cmp.Diff([]string{"PUT 8 r1", "PUT 9 r1", "OBSERVE a", "OBSERVE b"}, texts(b.jobs())); d != "" {
		t.Fatal(d)
	}
	var refresh, withdraw []dots.Leg
	for mid := range uint32(4) {
		r, w := legs[mid], legs[mid+4]
		r.Revision, w.Revision, w.Withdraw = 2, 2, true
		refresh, withdraw = append(refresh, r), append(withdraw, w)
	}
	b.want(refresh)
	if d := cmp.Diff([]string{"PUT 0 r2", "PUT 1 r2"}, texts(b.jobs())); d != "" {
		t.Fatal(d) // two GETs and two refreshes fill the half that is theirs
	}
	b.want(withdraw)
	if d := cmp.Diff([]string{"DELETE 4 r2", "DELETE 5 r2"}, texts(b.jobs())); d != "" {
		t.Fatal(d)
	}
	if b.inFlight != [classes]int{2, 0, 2, 2, 2} {
		t.Fatalf("in flight %v", b.inFlight)
	}
}

// An unanswered request is asked as long as the session lives, but others get their turn.
func TestUnansweredRequestsTakeTurns(t *testing.T) {
	b := newBench(t, 4)
	b.connected()
	b.want([]dots.Leg{leg(1, 1), leg(2, 1), leg(3, 1), leg(4, 1), leg(5, 1)})
	jobs := b.expect("PUT 1 r1", "PUT 2 r1", "PUT 3 r1", "PUT 4 r1")
	for _, j := range jobs {
		b.unanswered(b.now, j)
	}
	b.expect("PUT 5 r1")
	b.now = b.now.Add(1500*time.Millisecond - 1)
	b.expect()
	if want := b.now.Add(1); !b.deadline().Equal(want) {
		t.Fatalf("deadline %v, want %v", b.deadline(), want)
	}
	b.now = b.now.Add(1)
	b.expect("PUT 1 r1", "PUT 2 r1", "PUT 3 r1")
}

// RFC 9132, Section 4.4.3: an efficacy update of an unknown mitigation is not answered, so it is sent only of what
// stands on this session, and in a plain form after a turn without an answer.
func TestEfficacy(t *testing.T) {
	efficacy := func(revision uint64) dots.Leg {
		l := leg(1, revision)
		l.Efficacy, l.Request.Attack = true, dots.AttackUnderAttack
		return l
	}
	b := up(t, 16, leg(1, 1))
	b.want([]dots.Leg{efficacy(2)})
	j := b.expect("PUT 1 r2 efficacy")[0]
	b.unanswered(b.now, j)
	b.now = b.now.Add(1500 * time.Millisecond)
	j = b.expect("PUT 1 r2")[0]
	if j.leg.Request.Attack != 0 {
		t.Fatal("attack-status in a plain request")
	}
	b.code(j, dots.CodeCreated)
	b.want([]dots.Leg{efficacy(3)})
	b.dropped(b.expect("PUT 1 r3 efficacy")[0])
	b.disconnected()
	b.connected()
	b.expect("PUT 1 r3")
}

func TestEfficacyWithoutALifetimeAsksForTheList(t *testing.T) {
	b := up(t, 16, leg(1, 1))
	l := leg(1, 2)
	l.Efficacy, l.Request.Attack, l.Request.Lifetime = true, dots.AttackMitigated, dots.Maybe[dots.Lifetime]{}
	b.want([]dots.Leg{l})
	b.unanswered(b.now, b.expect("PUT 1 r2 efficacy")[0])
	b.now = b.now.Add(1500 * time.Millisecond)
	told(t, b.answer(b.expect("LIST c")[0], list()), true)
}

// Queues are bounded by the number of wanted legs, however often these change while nothing can be sent.
func TestQueuesAreBounded(t *testing.T) {
	b := newBench(t, 4)
	b.connected()
	b.want([]dots.Leg{leg(1, 1), leg(2, 1), leg(3, 1), leg(4, 1)})
	b.jobs()
	for i := range uint64(10_000) {
		if i%2 == 0 {
			b.want([]dots.Leg{gone(9, i)})
		} else {
			b.want([]dots.Leg{leg(9, i)})
		}
		mid := uint32(10 + i)
		b.want([]dots.Leg{leg(mid, 1)})
		b.forget([]dots.LegKey{leg(mid, 1).Key})
	}
	for c := range b.queues {
		if n := b.queues[c].len(); n > 2*6+64 {
			t.Errorf("queue %d holds %d refs", c, n)
		}
	}
	if len(b.entries) != 5 {
		t.Errorf("%d entries", len(b.entries))
	}
}

func TestCounts(t *testing.T) {
	b := up(t, 16, leg(1, 1), leg(2, 1), leg(3, 1))
	armed := leg(5, 1)
	armed.Request.OnSignalLoss = true
	b.want([]dots.Leg{gone(2, 2), leg(3, 2), leg(4, 1), armed})
	for _, j := range b.jobs() {
		if j.leg.Key.MID == 3 {
			b.code(j, dots.CodeConflict)
		}
	}
	want := LegCounts{LegWanted: 2, LegPlaced: 1, LegRefused: 1, LegWithdrawing: 1}
	if b.counts != want || b.active != 2 {
		t.Fatalf("counts %v, active %d; want %v, 2", b.counts, b.active, want)
	}
	b.forget([]dots.LegKey{leg(1, 1).Key, leg(2, 1).Key, leg(3, 1).Key, leg(4, 1).Key, armed.Key})
	if b.counts != (LegCounts{}) || b.active != 0 {
		t.Fatalf("counts %v, active %d of nothing", b.counts, b.active)
	}
}

func TestFifoGivesItsSpaceBack(t *testing.T) {
	var q fifo
	next := uint32(0)
	for mid := range uint32(10_000) {
		q.push(ref{key: dots.LegKey{MID: mid}})
		if mid%2 == 1 {
			continue
		}
		r, ok := q.pop()
		if !ok || r.key.MID != next {
			t.Fatalf("popped %v %v, want %d", r, ok, next)
		}
		next++
	}
	if q.len() != 5000 || q.head > len(q.refs)/2 {
		t.Fatalf("%d refs, %d of %d in front", q.len(), q.head, len(q.refs))
	}
}
