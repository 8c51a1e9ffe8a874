package upstream

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// told compares the one report that follows.
func told(t *testing.T, events []event, complete bool, mids ...uint32) {
	t.Helper()
	if len(events) != 1 || events[0].answer.Set {
		t.Fatalf("told %+v, want one report", events)
	}
	got := []uint32{}
	for _, r := range events[0].reports {
		got = append(got, r.MID)
	}
	if d := cmp.Diff(append([]uint32{}, mids...), got); d != "" || events[0].complete != complete || events[0].cuid != "c" {
		t.Fatalf("told %+v, want complete %v, mids %v", events[0], complete, mids)
	}
}

func (b *bench) notify(r wire.Response) []event { return b.noticed(b.now, "c", r) }

// RFC 9132, Section 4.4.2: a 4.04 is the empty list. There is nothing to observe in it, so registration follows as
// soon as there is.
func TestAnEmptyListIsRegisteredForLater(t *testing.T) {
	b := newBench(t, 16)
	b.want([]dots.Leg{leg(1, 1)})
	b.connected()
	b.code(b.expect("PUT 1 r1")[0], dots.CodeConflict)
	told(t, b.code(b.expect("OBSERVE c")[0], dots.CodeNotFound), true)
	b.want([]dots.Leg{leg(2, 1)})
	b.code(b.expect("PUT 2 r1")[0], dots.CodeCreated)
	told(t, b.answer(b.expect("OBSERVE c")[0], list(2)), true, 2)
	b.now = b.now.Add(time.Minute - 1)
	b.expect()
}

// A leg whose PUT overlapped with the GET may be missing from its answer: that list is not the whole truth.
func TestAListOlderThanAPutIsNotComplete(t *testing.T) {
	t.Run("in flight", func(t *testing.T) {
		b := newBench(t, 16)
		b.want([]dots.Leg{leg(1, 1), leg(2, 1)})
		b.connected()
		jobs := b.expect("PUT 1 r1", "PUT 2 r1")
		b.code(jobs[0], dots.CodeCreated)
		b.now = b.now.Add(3 * time.Second)
		told(t, b.answer(b.expect("OBSERVE c")[0], list(1)), false, 1)
		b.code(jobs[1], dots.CodeCreated)
		b.now = b.now.Add(3*time.Second - 1)
		b.expect()
		b.now = b.now.Add(1)
		told(t, b.answer(b.expect("LIST c")[0], list(1, 2)), true, 1, 2)
	})
	t.Run("answered meanwhile", func(t *testing.T) {
		b := up(t, 16, leg(1, 1))
		b.now = b.now.Add(time.Minute)
		j := b.expect("LIST c")[0]
		b.want([]dots.Leg{leg(2, 1)})
		b.code(b.expect("PUT 2 r1")[0], dots.CodeCreated)
		told(t, b.answer(j, list(1)), false, 1)
	})
	t.Run("but there", func(t *testing.T) {
		b := newBench(t, 16)
		b.want([]dots.Leg{leg(1, 1)})
		b.connected()
		b.expect("PUT 1 r1")
		b.now = b.now.Add(3 * time.Second)
		told(t, b.answer(b.expect("OBSERVE c")[0], list(1, 5)), true, 1, 5)
	})
}

// A notification takes nothing away by itself: the GET that follows does.
func TestANotificationThatLacksALegIsVerified(t *testing.T) {
	b := up(t, 16, leg(1, 1), leg(2, 1))
	told(t, b.notify(list(1, 2)), true, 1, 2)
	told(t, b.notify(list(1)), false, 1)
	told(t, b.answer(b.expect("LIST c")[0], list(1)), true, 1)
	b.expect()
	b.want([]dots.Leg{leg(2, 2)})
	if got := b.expect("PUT 2 r2")[0].class; got != classNew {
		t.Fatalf("class %d of a leg that is gone", got)
	}
}

// A list waits for the requests that change it, but no longer than 3 s.
func TestAListWaitsForWhatChangesIt(t *testing.T) {
	b := up(t, 16, leg(1, 1))
	b.want([]dots.Leg{leg(2, 1), leg(3, 1)})
	jobs := b.expect("PUT 2 r1", "PUT 3 r1")
	b.now = b.now.Add(time.Minute)
	b.expect()
	b.now = b.now.Add(time.Second)
	b.code(jobs[0], dots.CodeCreated)
	b.expect()
	b.code(jobs[1], dots.CodeConflict)
	told(t, b.answer(b.expect("LIST c")[0], list(1, 2)), true, 1, 2)
}

func TestWithdrawnLegsAreNotMissed(t *testing.T) {
	b := up(t, 16, leg(1, 1), leg(2, 1))
	b.want([]dots.Leg{gone(2, 2)})
	told(t, b.notify(list(1)), true, 1)
}

// RFC 7641, Section 4.2: an error ends the observation. It is registered again after a delay, which doubles.
func TestAnErrorNotificationRegistersAgain(t *testing.T) {
	for _, c := range []dots.Code{dots.CodeNotFound, dots.CodeInternal, dots.CodeUnavailable, dots.CodeUnauthorized} {
		t.Run(c.String(), func(t *testing.T) {
			b := up(t, 16, leg(1, 1))
			if e := b.notify(wire.Response{Code: c}); e != nil {
				t.Fatalf("told %+v", e)
			}
			b.now = b.now.Add(3*time.Second - 1)
			b.expect()
			b.now = b.now.Add(1)
			j := b.expect("OBSERVE c")[0]
			b.code(j, dots.CodeInternal)
			b.now = b.now.Add(6*time.Second - 1)
			b.expect()
			b.now = b.now.Add(1)
			told(t, b.answer(b.expect("OBSERVE c")[0], list(1)), true, 1)
		})
	}
}

func TestAnErrorNotificationHeedsMaxAge(t *testing.T) {
	b := up(t, 16, leg(1, 1))
	b.notify(wire.Response{Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](20)})
	b.now = b.now.Add(20*time.Second - 1)
	b.expect()
	b.now = b.now.Add(1)
	b.expect("OBSERVE c")
}

// A server that does not notify is polled; one that does is asked only when it falls silent for longer than its period.
func TestPollOfASilentServer(t *testing.T) {
	b := up(t, 16, leg(1, 1))
	for range lapse {
		b.now = b.now.Add(time.Minute - 1)
		b.expect()
		b.now = b.now.Add(1)
		told(t, b.answer(b.expect("LIST c")[0], list(1)), true, 1)
	}
	b.now = b.now.Add(time.Minute)
	told(t, b.answer(b.expect("OBSERVE c")[0], list(1)), true, 1)
	b.now = b.now.Add(time.Minute)
	b.expect("LIST c")
}

func TestNotificationsPutThePollOff(t *testing.T) {
	b := up(t, 16, leg(1, 1))
	for range 10 {
		b.now = b.now.Add(59 * time.Second)
		told(t, b.notify(list(1)), true, 1)
		b.expect()
	}
	b.now = b.now.Add(75*time.Second - 1)
	b.expect()
	b.now = b.now.Add(1)
	b.expect("LIST c")
}

func TestAListThatANotificationOvertookIsAskedAgain(t *testing.T) {
	b := up(t, 16, leg(1, 1))
	b.now = b.now.Add(time.Minute)
	j := b.expect("LIST c")[0]
	b.notify(list(1))
	b.answer(j, list(1))
	b.now = b.now.Add(3 * time.Second)
	b.expect("LIST c")
}

// A cuid under which nothing is wanted any more is let go, and its observation ended.
func TestAnUnusedCUIDIsLetGo(t *testing.T) {
	b := up(t, 16, leg(1, 1))
	b.forget([]dots.LegKey{leg(1, 1).Key})
	b.now = b.now.Add(time.Minute)
	b.expect()
	if len(b.lists) != 0 || !cmp.Equal(b.idle, []string{"c"}) {
		t.Fatalf("kept %v, to cancel %v", b.lists, b.idle)
	}
	if e := b.notify(list(1)); e != nil {
		t.Fatalf("told %+v", e)
	}
}

func TestAnUnusedCUIDIsNotAskedForOnTheNextSession(t *testing.T) {
	b := up(t, 16, leg(1, 1))
	b.disconnected()
	b.forget([]dots.LegKey{leg(1, 1).Key})
	b.connected()
	b.expect()
	if len(b.lists) != 0 {
		t.Fatalf("kept %v", b.lists)
	}
}

func TestAListThatCannotBeHadIsAskedAgain(t *testing.T) {
	b := newBench(t, 16)
	b.want([]dots.Leg{gone(1, 1)})
	b.connected()
	b.code(b.expect("DELETE 1 r1")[0], dots.CodeUnauthorized)
	if e := b.code(b.expect("OBSERVE c")[0], dots.CodeUnauthorized); e != nil {
		t.Fatalf("told %+v", e)
	}
	b.now = b.now.Add(3 * time.Second)
	j := b.expect("OBSERVE c")[0]
	b.answer(j, wire.Response{Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](40)})
	b.now = b.now.Add(40*time.Second - 1)
	b.expect()
	b.now = b.now.Add(1)
	b.unanswered(b.now, b.expect("OBSERVE c")[0])
	b.now = b.now.Add(1500 * time.Millisecond)
	b.expect("OBSERVE c")
}

// The cdid stands in the path before the cuid, on a GET as on a PUT (RFC 9132, Section 4.4.1.2).
func TestTheListIsAskedForUnderTheLegsCDID(t *testing.T) {
	b := newBench(t, 16)
	l := leg(1, 1)
	l.CDID = "d"
	b.want([]dots.Leg{l})
	b.connected()
	b.code(b.expect("PUT 1 r1")[0], dots.CodeCreated)
	r := b.expect("OBSERVE c")[0].request()
	if r.CDID != "d" || r.CUID != "c" || r.MID.Set || r.Observe != dots.Some[uint32](0) {
		t.Fatalf("request %+v", r)
	}
}
