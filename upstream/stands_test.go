package upstream

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// ledger is stands under test with their clock, and who is wanted.
type ledger struct {
	*testing.T
	*stands
	now  time.Time
	want map[dots.LegKey]bool
}

func newLedger(t *testing.T) *ledger {
	l := &ledger{T: t, now: time.Unix(1000, 0), want: map[dots.LegKey]bool{}}
	l.stands = newStands(timing{retryMin: 3 * time.Second, retryMax: 60 * time.Second}, func(k dots.LegKey) bool { return l.want[k] })
	l.whole = true
	return l
}

func key(mid uint32) dots.LegKey { return leg(mid, 1).Key }

// place puts a leg in force.
func (l *ledger) place(mid uint32, revision uint64, lifetime dots.Lifetime) {
	l.Helper()
	l.want[key(mid)] = true
	asked, ok := l.begin(l.now, lasting(mid, revision, lifetime))
	if !ok {
		l.Fatalf("%d r%d may not begin", mid, revision)
	}
	l.started(l.now, asked)
}

// due compares what is to be stopped now.
func (l *ledger) due(want ...uint32) {
	l.Helper()
	got := []uint32{}
	for {
		k, ok := l.next(l.now)
		if !ok {
			break
		}
		got = append(got, k.MID)
	}
	if fmt.Sprint(got) != fmt.Sprint(append([]uint32{}, want...)) {
		l.Fatalf("due %v, want %v", got, want)
	}
}

func (l *ledger) pass(d time.Duration) { l.now = l.now.Add(d) }

func TestStandsEndWithTheirLifetimes(t *testing.T) {
	l := newLedger(t)
	l.place(1, 1, 10)
	l.place(2, 1, 20)
	l.place(3, 1, dots.Indefinite)
	l.pass(10*time.Second - 1)
	l.due()
	l.pass(1)
	l.due(1)
	l.failed(l.now, key(1))
	l.due()
	l.pass(3 * time.Second)
	l.due(1)
	l.failed(l.now, key(1))
	l.pass(6*time.Second - 1)
	l.due()
	l.pass(1)
	l.due(1)
	if !l.stopped(key(1)) {
		t.Error("nobody is to be told")
	}
	if r, ok := l.report(l.now, key(1)); !ok || r.Status != dots.StatusTerminated {
		t.Errorf("report %+v", r)
	}
	l.pass(time.Second)
	l.due(2)
	l.pass(1000 * time.Hour)
	l.due()
}

// A shorter lifetime counts from its answer, a longer one too.
func TestStandsAreRefreshed(t *testing.T) {
	l := newLedger(t)
	l.place(1, 1, 100)
	l.place(1, 2, 10)
	l.pass(9 * time.Second)
	l.place(1, 3, 50)
	l.pass(41 * time.Second)
	l.place(1, 3, 50) // a repetition
	l.pass(9*time.Second - 1)
	l.due()
	l.pass(1)
	l.due(1)
	if _, ok := l.begin(l.now, lasting(1, 3, 50)); ok {
		t.Error("what has ended may begin")
	}
	l.place(1, 4, 5)
	l.due()
	l.pass(5 * time.Second)
	l.due(1)
}

// A leg whose Start was not answered may be in force: it ends all the same.
func TestStandsInDoubt(t *testing.T) {
	l := newLedger(t)
	l.want[key(1)], l.want[key(2)] = true, true
	for _, mid := range []uint32{1, 2} {
		if _, ok := l.begin(l.now, lasting(mid, 1, 10)); !ok {
			t.Fatal("may not begin")
		}
	}
	l.doubtful(key(1))
	l.refused(key(1)) // that it was refused later does not tell that it was not started before
	l.refused(key(2))
	l.pass(10 * time.Second)
	l.due(1)
	if len(l.known) != 1 {
		t.Errorf("known: %v", l.known)
	}
}

func TestStandsThatNobodyWants(t *testing.T) {
	l := newLedger(t)
	l.whole = false
	l.want[key(2)] = true
	l.found(l.now, []dots.LegKey{key(1), key(2)})
	l.pass(time.Hour)
	l.due()
	l.whole = true
	l.lookAtAll(l.now)
	l.due(1)
	l.failed(l.now, key(1))
	l.want[key(1)] = true // meanwhile
	l.look(l.now, key(1))
	l.pass(time.Hour)
	l.due()
	l.want = map[dots.LegKey]bool{}
	l.lookAtAll(l.now)
	k, _ := l.next(l.now)
	if l.stopped(k) {
		t.Error("somebody is to be told")
	}
	if len(l.known) != 1 {
		t.Errorf("known: %v", l.known)
	}
}

// What a mitigator shows although it was ended is ended again.
func TestStandsThatComeBack(t *testing.T) {
	l := newLedger(t)
	l.place(1, 1, 10)
	l.pass(10 * time.Second)
	l.due(1)
	l.stopped(key(1))
	l.due()
	l.found(l.now, []dots.LegKey{key(1)})
	l.due(1)
}

// What ended is forgotten with the leg, and not stopped once more.
func TestStandsForgotten(t *testing.T) {
	l := newLedger(t)
	l.place(1, 1, 10)
	l.pass(10 * time.Second)
	l.due(1)
	l.stopped(key(1))
	l.want = map[dots.LegKey]bool{}
	l.look(l.now, key(1))
	l.due()
	if len(l.known) != 0 {
		t.Errorf("known: %v", l.known)
	}
}

// Whatever is done, the delays are bounded by what is known, and what is due is exactly what a plain look at everything gives.
func TestStandsAgainstAModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(8811, 9132))
	l := newLedger(t)
	ends := map[dots.LegKey]time.Time{}
	revision := uint64(0)
	for range 20_000 {
		k := key(uint32(rng.IntN(8)))
		switch rng.IntN(4) {
		case 0, 1:
			revision++
			lifetime := dots.Lifetime(1 + rng.IntN(60))
			l.place(k.MID, revision, lifetime)
			ends[k] = l.now.Add(time.Duration(lifetime) * time.Second)
		case 2:
			delete(l.want, k)
			l.look(l.now, k)
			if _, on := ends[k]; on {
				ends[k] = l.now
			}
		case 3:
			l.pass(time.Duration(rng.IntN(5)) * time.Second)
		}
		for {
			k, ok := l.next(l.now)
			if !ok {
				break
			}
			if at, on := ends[k]; !on || at.After(l.now) {
				t.Fatalf("%v is stopped at %v, %v early", k, l.now, at.Sub(l.now))
			}
			delete(ends, k)
			l.stopped(k)
		}
		for k, at := range ends {
			if !at.After(l.now) {
				t.Fatalf("%v is not stopped", k)
			}
		}
		if n := len(l.delays.heap); n > 2*len(l.known)+64 {
			t.Fatalf("%d delays for %d", n, len(l.known))
		}
	}
}
