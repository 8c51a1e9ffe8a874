package lab

import (
	"maps"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// owner is a client: who it proved to be, and the identifier it gave itself.
type owner struct {
	identity string
	cuid     string // empty in a dialect without
}

// mitigation is one request and what the simulated mitigator does with it.
type mitigation struct {
	ask     dots.Request
	granted dots.Lifetime
	expires time.Time // zero: never
	status  dots.Status
	since   time.Time // when it was put in force; zero while armed
	next    int       // the step that is due next
	rate    Rate
	rated   time.Time // when rate began
	bytes   uint64    // dropped until rated
	packets uint64
	period  time.Duration // for which it was terminating, last
	until   time.Time     // status 5: to then terminating; status 6: to then remembered
	attack  dots.AttackStatus
}

// book is the server's state, a function of what it is told and when. Not safe for concurrent use.
type book struct {
	scenario    Scenario
	terminating time.Duration // first period of status 5
	remembered  time.Duration // how long status 6 is shown
	limit       int           // of mitigations
	of          map[owner]map[uint32]*mitigation
	count       int
	puts        int
	identities  map[string]string // by cuid: who uses it
}

func newBook(cfg ServerConfig) *book {
	return &book{
		scenario: cfg.Scenario, terminating: cfg.Terminating, remembered: cfg.Remembered, limit: cfg.MaxMitigations,
		of: make(map[owner]map[uint32]*mitigation), identities: make(map[string]string),
	}
}

// maxPeriod bounds the terminating period, as a multiple of the first.
//
// RFC 9132, Section 4.4.4: 120 seconds at first, doubling, at most 300.
const maxPeriod = 2.5

// request is a PUT of a mitigation as the book sees it.
type request struct {
	by       owner
	ask      dots.Request
	efficacy bool
	update   bool // a known mid may change, as the dialect without cuids allows
}

// put does a PUT.
func (b *book) put(now time.Time, r request) wire.Response {
	b.puts++
	if refusal, ok := b.scenario.refusal(b.puts, r.ask); ok {
		return refusal.response()
	}
	if r.by.cuid != "" {
		if other, used := b.identities[r.by.cuid]; used && other != r.by.identity {
			// RFC 9132, Section 4.4.1: a cuid that another client uses is answered with cause 3 and nothing else.
			return conflict(dots.Conflict{Cause: dots.CauseCUIDCollision})
		}
	}
	m := b.of[r.by][r.ask.MID]
	switch {
	case r.efficacy && m == nil:
		// RFC 9132, Section 4.4.3: no answer where nothing matches.
		return wire.Response{Code: dots.CodeSilent}
	case m != nil && m.status != dots.StatusTerminated:
		return b.again(now, r, m)
	}
	return b.create(now, r)
}

// again refreshes a known mitigation.
func (b *book) again(now time.Time, r request, m *mitigation) wire.Response {
	same := r.ask.Target.Equal(m.ask.Target) && (r.efficacy || r.ask.OnSignalLoss == m.ask.OnSignalLoss)
	if !same && !r.update {
		// RFC 9132, Section 4.4.1.3: a known mid with other parameters is refused.
		return refuse(dots.CodeBadRequest, "another request has this mid")
	}
	m.ask.Target = r.ask.Target
	if r.efficacy {
		m.attack = r.ask.Attack
	}
	if r.ask.Lifetime.Set {
		b.grant(now, m, r.ask.Lifetime.Value)
	}
	if m.status == dots.StatusClientWithdrawn {
		b.resume(now, m)
	}
	return granted(dots.CodeChanged, r.ask.MID, m.granted)
}

// create takes a new mitigation in, in the place of older ones of the client that it overlaps.
func (b *book) create(now time.Time, r request) wire.Response {
	if !r.ask.Lifetime.Set {
		return refuse(dots.CodeBadRequest, "lifetime missing")
	}
	lower := []uint32{}
	for mid, m := range b.of[r.by] {
		if mid == r.ask.MID || !m.counts() || m.ask.OnSignalLoss != r.ask.OnSignalLoss || !overlap(m.ask.Target, r.ask.Target) {
			continue
		}
		if mid > r.ask.MID {
			// RFC 9132, Section 4.4.1: a lower mid that overlaps is refused.
			return conflict(dots.Conflict{Cause: dots.CauseOverlappingTargets, MID: dots.Some(mid)})
		}
		lower = append(lower, mid)
	}
	if b.count-len(lower) >= b.limit {
		return wire.Response{Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](60), Diagnostic: "too many mitigations"}
	}
	for _, mid := range lower {
		// RFC 9132, Section 4.4.1: the higher mid replaces those it overlaps, which vanish.
		b.remove(r.by, mid)
	}
	m := &mitigation{ask: r.ask, status: dots.StatusSignalLossArmed}
	b.grant(now, m, r.ask.Lifetime.Value)
	if !r.ask.OnSignalLoss {
		b.enforce(now, m)
	}
	b.insert(r.by, m)
	return granted(dots.CodeCreated, r.ask.MID, m.granted)
}

func (b *book) insert(by owner, m *mitigation) {
	b.remove(by, m.ask.MID)
	if b.of[by] == nil {
		b.of[by] = make(map[uint32]*mitigation)
	}
	b.of[by][m.ask.MID] = m
	b.count++
	if by.cuid != "" {
		b.identities[by.cuid] = by.identity
	}
}

func (b *book) remove(by owner, mid uint32) {
	if b.of[by][mid] == nil {
		return
	}
	b.count--
	delete(b.of[by], mid)
	if len(b.of[by]) == 0 {
		delete(b.of, by)
		delete(b.identities, by.cuid)
	}
}

// grant sets the lifetime.
func (b *book) grant(now time.Time, m *mitigation, asked dots.Lifetime) {
	if most := dots.Lifetime(b.scenario.MaxLifetime); most > 0 && asked.Longer(most) {
		asked = most
	}
	m.granted, m.expires = asked, time.Time{}
	if asked != dots.Indefinite {
		m.expires = now.Add(time.Duration(asked) * time.Second)
	}
}

// enforce puts a mitigation in force: its steps begin.
func (b *book) enforce(now time.Time, m *mitigation) {
	m.since, m.next, m.status = now, 0, dots.StatusInProgress
	b.advance(now, m)
}

// resume takes a withdrawal back: it was asked for again while it was terminating.
func (b *book) resume(now time.Time, m *mitigation) {
	m.next, m.status = 0, dots.StatusInProgress
	b.advance(now, m)
}

// withdraw does a DELETE, which always succeeds. RFC 9132, Section 4.4.4: 2.02 even for an unknown mid.
func (b *book) withdraw(now time.Time, by owner, mid uint32) {
	m := b.of[by][mid]
	if m == nil || !m.counts() || m.status == dots.StatusClientWithdrawn {
		return
	}
	m.settle(now)
	if m.since.IsZero() {
		b.terminate(now, m)
		return
	}
	// RFC 9132, Section 4.4.4: active but terminating; the period doubles when it was asked for again meanwhile.
	m.period = min(max(b.terminating, 2*m.period), time.Duration(maxPeriod*float64(b.terminating)))
	m.status, m.until = dots.StatusClientWithdrawn, now.Add(m.period)
	m.rate = Rate{}
}

// terminate ends a mitigation; it stays visible for a while.
func (b *book) terminate(now time.Time, m *mitigation) {
	m.settle(now)
	m.status, m.rate, m.until = dots.StatusTerminated, Rate{}, now.Add(b.remembered)
}

// lost puts what a client has armed in force. RFC 9132, Section 4.4.1: trigger-mitigation false.
func (b *book) lost(now time.Time, identity string) (changed []owner) {
	for by, all := range b.of {
		if by.identity != identity {
			continue
		}
		for _, m := range all {
			if m.status == dots.StatusSignalLossArmed {
				b.enforce(now, m)
				changed = append(changed, by)
			}
		}
	}
	return changed
}

// reports tells of one mitigation of a client, or of all, by mid.
func (b *book) reports(now time.Time, by owner, mid dots.Maybe[uint32]) []dots.Report {
	var list []dots.Report
	for _, id := range slices.Sorted(maps.Keys(b.of[by])) {
		if !mid.Set || mid.Value == id {
			list = append(list, b.of[by][id].report(now))
		}
	}
	return list
}
