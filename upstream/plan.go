package upstream

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
)

// class is the urgency of a request; the lower goes first.
type class uint8

const (
	classNew      class = iota // a mitigation that the uplink does not have and was not asked for on this session
	classAgain                 // one that it was asked for, and that is not answered
	classWithdraw              // a withdrawal
	classRefresh               // a mitigation that the uplink has
	classGet                   // a retrieval
	classes
)

// kind is what a job asks.
type kind uint8

const (
	kindPut    kind = iota + 1
	kindDelete      // withdraws a leg
	kindCheck       // GET of one mid, once after its DELETE was answered
	kindList        // GET of everything under a cuid
	kindStatus      // GET of one mid in the place of its cuid's list, which cannot be had
)

// job is one request to be made: of a leg, or for the list of a cuid.
type job struct {
	id       uint64
	kind     kind
	class    class
	leg      dots.Leg  // as it was wanted when the job began; of kindList only Key.CUID and CDID are set
	register bool      // of kindList: with Observe 0
	at       time.Time // when it began
	began    uint64    // position in the order of what was begun and answered
	said     *said     // of kindPut: what was sent of this leg last
}

// ref names an entry or, with list, the listing of key's cuid.
type ref struct {
	key  dots.LegKey
	list bool
}

// slot is where an entry or a listing waits for its turn.
type slot struct {
	job    uint64    // in flight; 0: none
	at     time.Time // not before; zero: now
	fails  int       // failed attempts in a row
	queued bool      // in the queue of class
	class  class
	waits  time.Time // its valid ref among the delays; zero: none
}

// verdict is an uplink's answer to a revision of a leg.
type verdict struct {
	set      bool
	revision uint64
	withdraw bool
	good     bool   // success; otherwise an error answer
	epoch    uint64 // the session on which it was given
}

// entry is what is wanted of one leg, and what the uplink said of it.
type entry struct {
	slot
	want    dots.Leg
	verdict verdict
	stood   uint64 // the session on which it was last known to stand; 0: it does not
	asked   uint64 // the session on which it was last asked for
	putAt   uint64 // position at which its last PUT was begun or answered
	check   bool   // its DELETE was answered; what became of it is still to be asked
	mute    bool   // an efficacy update of this revision was never answered
	state   LegState
	active  bool // counted as an immediate mitigation
	inRound bool // in the round of its listing
	said    *said
}

// timing holds the times of a plan.
type timing struct {
	retryMin, retryMax time.Duration // after a failed attempt, doubling
	again              time.Duration // after a window without an answer
	poll               time.Duration // between two lists while there are legs
}

// plan holds the wanted set of one uplink and decides what is asked next. It is pure: no goroutine, lock or clock.
//
// A leg is settled when its wanted revision was answered: by success on this session, or by an error on whatever session,
// since what was refused is not asked again until the core raises the revision. After a reconnect every leg that is to
// stand is PUT again: the same mid with the same body, which a server that knows it answers 2.04. That is simpler than
// trusting a list, and it renews the lifetime. A withdrawal that was answered is not repeated on a later session.
type plan struct {
	limits   [classes]int
	timing   timing
	up       bool
	epoch    uint64 // counts sessions
	clock    uint64 // counts what was begun and answered, to tell what overlapped
	lastJob  uint64
	entries  map[dots.LegKey]*entry
	lists    map[string]*listing
	queues   [classes]fifo
	waiting  delays
	inFlight [classes]int
	counts   LegCounts
	active   int           // immediate mitigations wanted
	heard    time.Time     // when the peer was last heard, as of the newest job without an answer
	blind    int           // cuids whose list cannot be had
	sighted  bool          // a list cannot be out of reach for good: its legs are never asked for one by one
	idle     []string      // cuids whose observation is to be cancelled
	told     [1]event      // what the newest answer told: most tell one thing
	held     time.Duration // how long the pace alone makes next wait for more; 0: not at all
}

// newPlan makes a plan with at most limit requests in flight, at least 4: all of them for new mitigations, seven eighths
// for those that were asked for before, three quarters for withdrawals, half for refreshes and a quarter for retrievals,
// so that none of these waits for what is less urgent and unanswered.
func newPlan(limit int, t timing) *plan {
	return &plan{
		limits:  [classes]int{limit, limit * 7 / 8, limit * 3 / 4, limit / 2, limit / 4},
		timing:  t,
		entries: map[dots.LegKey]*entry{}, lists: map[string]*listing{},
	}
}

// want takes legs as they are to stand and returns the jobs in flight that they supersede: the older request is given
// up and the newer one sent.
func (p *plan) want(legs []dots.Leg) (superseded []uint64) {
	for _, leg := range legs {
		e := p.entries[leg.Key]
		if e == nil {
			e = &entry{said: &said{}}
			p.entries[leg.Key] = e
			p.addLeg(leg, e)
		}
		if e.want.Revision != leg.Revision || e.want.Withdraw != leg.Withdraw {
			if e.job != 0 {
				superseded = append(superseded, e.job)
			}
			e.fails, e.at, e.check, e.mute, e.asked = 0, time.Time{}, false, false, 0
		}
		e.want = leg
		p.review(e)
	}
	return superseded
}

// forget drops keys and returns the jobs in flight that nobody wants any more.
func (p *plan) forget(keys []dots.LegKey) (superseded []uint64) {
	for _, k := range keys {
		e := p.entries[k]
		if e == nil {
			continue
		}
		if e.job != 0 {
			superseded = append(superseded, e.job)
		}
		p.discount(e)
		delete(p.entries, k)
		delete(p.lists[k.CUID].legs, k.MID)
	}
	return superseded
}

// connected begins a new session: nothing is in flight and nothing is confirmed on it.
func (p *plan) connected() {
	p.disconnected()
	p.up = true
	p.epoch++
	for cuid, l := range p.lists {
		if len(l.legs) == 0 {
			p.dropList(cuid, l)
			continue
		}
		*l = listing{legs: l.legs, cdid: l.cdid, sight: p.afresh(l)}
		p.reviewList(cuid, l)
	}
	for _, key := range slices.SortedFunc(maps.Keys(p.entries), byCUID) {
		p.review(p.entries[key])
	}
}

// byCUID orders keys of one uplink.
func byCUID(a, b dots.LegKey) int {
	return cmp.Or(cmp.Compare(a.CUID, b.CUID), cmp.Compare(a.MID, b.MID))
}

// disconnected says that there is no session: what was in flight will never be answered.
func (p *plan) disconnected() {
	p.up = false
	p.queues, p.waiting, p.inFlight, p.idle = [classes]fifo{}, delays{}, [classes]int{}, nil
	for _, e := range p.entries {
		e.slot = slot{}
	}
	for _, l := range p.lists {
		l.slot = slot{}
	}
}

// answered reports whether the wanted level of an entry was answered, on whatever session.
func (e *entry) answered() bool {
	return e.verdict.set && e.verdict.revision == e.want.Revision && e.verdict.withdraw == e.want.Withdraw
}

// need says what an entry needs next, whatever time it is.
func (p *plan) need(e *entry) (kind, bool) {
	v := e.verdict
	switch {
	case e.answered() && !v.good:
		return 0, false
	case e.answered() && v.withdraw:
		return kindCheck, e.check
	case e.answered() && v.epoch == p.epoch:
		return 0, false
	case e.want.Withdraw:
		return kindDelete, true
	}
	return kindPut, true
}

// review queues an entry that needs something, and counts it. It is called after every change of an entry.
func (p *plan) review(e *entry) {
	p.discount(e)
	p.count(e)
	k, needed := p.need(e)
	if !needed || !p.up || e.job != 0 {
		e.queued = false
		return
	}
	p.place(ref{key: e.want.Key}, &e.slot, p.classOf(e, k))
}

// classOf orders requests: new mitigation, withdrawal, refresh, GET.
func (p *plan) classOf(e *entry, k kind) class {
	switch {
	case k == kindCheck:
		return classGet
	case k == kindDelete:
		return classWithdraw
	case e.stood != 0:
		return classRefresh
	case e.asked == p.epoch:
		return classAgain
	}
	return classNew
}

// urgency is that of a class in the pacing of a session.
func (c class) urgency() coap.Urgency { return coap.MostUrgent - coap.Urgency(c) }

// count adds an entry to the counter of its state.
func (p *plan) count(e *entry) {
	switch {
	case e.want.Withdraw:
		e.state = LegWithdrawing
	case e.answered() && !e.verdict.good:
		e.state = LegRefused
	case e.stood != 0:
		e.state = LegPlaced
	default:
		e.state = LegWanted
	}
	p.counts[e.state]++
	e.active = !e.want.Withdraw && !e.want.Request.OnSignalLoss && e.state != LegRefused
	if e.active {
		p.active++
	}
}

// discount takes an entry out of the counters.
func (p *plan) discount(e *entry) {
	if e.state != legUncounted {
		p.counts[e.state]--
	}
	if e.active {
		p.active--
	}
	e.state, e.active = legUncounted, false
}
