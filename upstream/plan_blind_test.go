package upstream

import (
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// blind is a plan whose legs stand and whose list was asked for and not had as often as that needs.
func blind(t *testing.T, legs ...dots.Leg) *bench {
	t.Helper()
	b := up(t, 16, legs...)
	b.now = b.now.Add(time.Minute)
	b.failed(b.now, b.expect("LIST c")[0])
	b.now = b.now.Add(3 * time.Second)
	b.failed(b.now, b.expect("LIST c")[0])
	if b.plan.blind != 1 {
		t.Fatalf("%d cuids are blind", b.plan.blind)
	}
	return b
}

// status takes the one GET that may begin, and answers that its leg is mitigated.
func (b *bench) status(mid uint32) {
	b.Helper()
	told(b.T, b.answer(b.expect(job{kind: kindStatus, leg: leg(mid, 1)}.String())[0], list(mid)), false, mid)
}

// RFC 9132, Section 4.4.2: a mitigation can be asked for alone. Where the list cannot be had each is, one at a time and no
// faster than the pace, once in a poll; the list follows after some rounds, and ends it.
func TestLegsAreAskedForWhereTheListCannotBeHad(t *testing.T) {
	b := blind(t, leg(1, 1), leg(2, 1), leg(3, 1))
	began := b.now
	for round := range time.Duration(lapse) {
		if round > 0 {
			b.now = began.Add(round*time.Minute - 1)
			b.expect()
			b.now = b.now.Add(1)
		}
		for mid := range uint32(3) {
			b.status(mid + 1)
			b.expect()
			b.now = b.now.Add(statusPace)
		}
	}
	b.now = began.Add(lapse * time.Minute)
	told(t, b.answer(b.expect("LIST c")[0], list(1, 2, 3)), true, 1, 2, 3)
	if b.plan.blind != 0 {
		t.Fatal("still blind")
	}
	b.now = b.now.Add(time.Minute)
	b.expect("LIST c")
}

// What makes a list be had no more: every end but silence of the whole session.
func TestWhatMakesBlind(t *testing.T) {
	for _, tt := range []struct {
		name  string
		end   func(b *bench, j job)
		blind int
	}{
		{"failed", func(b *bench, j job) { b.failed(b.now, j) }, 1},
		{"5.00", func(b *bench, j job) { b.code(j, dots.CodeInternal) }, 1},
		{"4.13", func(b *bench, j job) { b.code(j, dots.CodeTooLarge) }, 1},
		{"not whole within a turn", func(b *bench, j job) { b.plan.heard = b.now.Add(1); b.unanswered(b.now, j) }, 1},
		{"nothing heard", func(b *bench, j job) { b.plan.heard = b.now.Add(-1); b.unanswered(b.now, j) }, 0},
		{"given up", func(b *bench, j job) { b.dropped(j); b.relist("c", b.now.Add(time.Second)) }, 0},
		{"4.04", func(b *bench, j job) { b.code(j, dots.CodeNotFound) }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := up(t, 16, leg(1, 1))
			for range blindAfter {
				b.now = b.now.Add(time.Minute)
				tt.end(b, b.jobs()[0])
			}
			if b.plan.blind != tt.blind {
				t.Fatalf("%d cuids are blind, want %d", b.plan.blind, tt.blind)
			}
		})
	}
}

func TestANotificationEndsBlindness(t *testing.T) {
	b := blind(t, leg(1, 1), leg(2, 1))
	b.status(1)
	told(t, b.notify(list(1, 2)), true, 1, 2)
	b.now = b.now.Add(75*time.Second - 1)
	b.expect()
	b.now = b.now.Add(1)
	b.expect("LIST c")
	if b.plan.blind != 0 {
		t.Fatal("still blind")
	}
}

// A new mitigation does not wait for the next round, nor does it go faster than the answers to PUTs.
func TestANewLegOfABlindCUID(t *testing.T) {
	b := blind(t, leg(1, 1))
	b.status(1)
	b.want([]dots.Leg{leg(2, 1), leg(3, 1)})
	puts := b.expect("PUT 2 r1", "PUT 3 r1")
	b.code(puts[0], dots.CodeCreated)
	b.status(2)
	b.code(puts[1], dots.CodeConflict)
	b.now = b.now.Add(statusPace)
	b.expect()
	b.forget([]dots.LegKey{leg(1, 1).Key, leg(2, 1).Key, leg(3, 1).Key})
	b.now = b.now.Add(time.Minute)
	b.expect()
	if len(b.lists) != 0 || b.plan.blind != 0 {
		t.Fatalf("kept %v, %d blind", b.lists, b.plan.blind)
	}
}

// A leg that the server does not know is PUT again under its mid, but not for an answer that may be older than its PUT.
func TestALegThatIsGoneOfABlindCUID(t *testing.T) {
	b := blind(t, leg(1, 1), leg(2, 1), leg(3, 1), leg(4, 1))
	if e := b.code(b.expect("STATUS 1")[0], dots.CodeNotFound); e != nil {
		t.Fatalf("told %+v", e)
	}
	b.code(b.expect("PUT 1 r1")[0], dots.CodeCreated)
	b.now = b.now.Add(statusPace)
	j := b.expect("STATUS 2")[0]
	b.want([]dots.Leg{leg(2, 2)})
	b.code(b.expect("PUT 2 r2")[0], dots.CodeChanged)
	b.code(j, dots.CodeNotFound)
	b.expect()
	b.now = b.now.Add(statusPace)
	j = b.expect("STATUS 3")[0]
	b.forget([]dots.LegKey{leg(3, 1).Key})
	if e := b.answer(j, list(3)); e != nil {
		t.Fatalf("told %+v", e)
	}
	b.now = b.now.Add(statusPace)
	j = b.expect("STATUS 4")[0]
	b.want([]dots.Leg{gone(4, 2)})
	b.code(b.expect("DELETE 4 r2")[0], dots.CodeUnauthorized)
	told(t, b.code(j, dots.CodeNotFound), false, 4)
}

// An answer that does not tell keeps the round going, at the pace of failures or as the server asks.
func TestARoundGoesOnAfterAFailure(t *testing.T) {
	b := blind(t, leg(1, 1), leg(2, 1), leg(3, 1), leg(4, 1))
	b.failed(b.now, b.expect("STATUS 1")[0])
	b.now = b.now.Add(3*time.Second - 1)
	b.expect()
	b.now = b.now.Add(1)
	b.unanswered(b.now, b.expect("STATUS 2")[0])
	b.now = b.now.Add(3 * time.Second)
	b.answer(b.expect("STATUS 3")[0], wire.Response{Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](20)})
	b.now = b.now.Add(20*time.Second - 1)
	b.expect()
	b.now = b.now.Add(1)
	b.status(4)
}

// On a new session the list is tried first; one more failure is enough, and what was told once is not told again.
func TestBlindnessAndANewSession(t *testing.T) {
	b := blind(t, leg(1, 1))
	b.connected()
	b.code(b.expect("PUT 1 r1")[0], dots.CodeChanged)
	if b.plan.blind != 1 {
		t.Fatal("forgotten")
	}
	b.failed(b.now, b.expect("OBSERVE c")[0])
	b.status(1)
	b.connected()
	b.code(b.expect("PUT 1 r1")[0], dots.CodeChanged)
	told(t, b.answer(b.expect("OBSERVE c")[0], list(1)), true, 1)
	if b.plan.blind != 0 {
		t.Fatal("still blind")
	}
}
