package upstream

import (
	"maps"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// A list may be out of reach for good: too large for the server, for us or for one turn on a slow path, or not understood. Its cuid
// is blind then: each of its legs is asked for by its mid, one after the other in rounds, and now and then the list again.

const (
	// blindAfter is how many lists in a row cannot be had before their legs are asked for one by one.
	blindAfter = 2
	// statusPace is the least time from an answer to the next GET of a round.
	statusPace = 50 * time.Millisecond
)

// sight is how a listing fares whose list cannot be had.
type sight struct {
	missed int       // lists in a row that could not be had
	blind  bool      // counted in plan.blind
	round  []uint32  // mids that are still to be asked for
	began  time.Time // the round
	left   int       // rounds before the list is asked for again
}

// ofList reports whether a job has the place of its cuid's list.
func (j job) ofList() bool { return j.kind == kindList || j.kind == kindStatus }

// lost notes that a list could not be had. The caller has set when it is asked for again, which a round puts off.
func (p *plan) lost(now time.Time, l *listing) {
	l.missed++
	if p.sighted || l.missed < blindAfter || !l.newRound(now) {
		return
	}
	if !l.blind {
		l.blind = true
		p.blind++
	}
	l.left, l.at = lapse-1, time.Time{}
}

// seen notes that the whole list was had.
func (p *plan) seen(l *listing) {
	for _, mid := range l.round {
		if e := l.legs[mid]; e != nil {
			e.inRound = false
		}
	}
	if l.blind {
		p.blind--
	}
	l.sight = sight{}
}

// afresh is how a listing fares on a new session: the list is tried first. Whether it was blind stays, so that it is told once.
func (p *plan) afresh(l *listing) sight {
	blind, missed := l.blind, l.missed
	p.seen(l)
	if !blind {
		return sight{}
	}
	p.blind++
	return sight{blind: true, missed: missed}
}

// dropList lets a listing go.
func (p *plan) dropList(cuid string, l *listing) {
	p.seen(l)
	delete(p.lists, cuid)
}

// newRound begins a round over all legs that the uplink may know; false: there are none.
func (l *listing) newRound(now time.Time) bool {
	for _, mid := range slices.Sorted(maps.Keys(l.legs)) {
		l.toRound(mid)
	}
	l.began = now
	return len(l.round) > 0
}

// toRound asks for a leg in this round, unless it will be, or there is nothing to hear of it.
func (l *listing) toRound(mid uint32) {
	e := l.legs[mid]
	if e == nil || e.inRound || !e.answered() || !e.verdict.good {
		return
	}
	e.inRound = true
	l.round = append(l.round, mid)
}

// nextStatus takes the next leg of the round, or of a new one if its time has come; nil: it is the list's turn.
func (l *listing) nextStatus(now time.Time) *entry {
	if l.blind && len(l.round) == 0 && l.left > 0 {
		l.left--
		l.newRound(now)
	}
	for len(l.round) > 0 {
		e := l.legs[l.round[0]]
		l.round = l.round[1:]
		if e != nil && e.inRound {
			e.inRound = false
			return e
		}
	}
	return nil
}

// inRounds reports whether legs are asked for before the list is.
func (l *listing) inRounds() bool { return l.left > 0 || len(l.round) > 0 }

// step puts the next GET of a round off, or the next round.
func (p *plan) step(now time.Time, l *listing, wait time.Duration) {
	l.at = now.Add(wait)
	if next := l.began.Add(p.timing.poll); len(l.round) == 0 && l.blind && l.at.Before(next) {
		l.at = next
	}
}

// missedStatus ends a GET of a round that got no usable answer. The leg is asked for again in the next round.
func (p *plan) missedStatus(now time.Time, j job, least time.Duration) {
	p.step(now, p.lists[j.leg.Key.CUID], max(p.timing.retryMin, least))
}

// statusAnswered notes the answer to the GET of one leg in a round. A leg that is to stand and does not is PUT again as on a new
// session, under its mid: the word of one answer is not enough to tell the core that it is gone.
func (p *plan) statusAnswered(now time.Time, j job, r wire.Response) []event {
	key := j.leg.Key
	l := p.lists[key.CUID]
	defer p.reviewList(key.CUID, l)
	if !r.Code.Success() && r.Code != dots.CodeNotFound {
		p.missedStatus(now, j, maxAge(r))
		return nil
	}
	p.step(now, l, statusPace)
	e := l.legs[key.MID]
	if e == nil {
		return nil
	}
	defer p.review(e)
	for _, found := range r.Reports {
		if found.MID != key.MID || !r.Code.Success() {
			continue
		}
		if e.stood = p.epoch; found.Status == dots.StatusTerminated {
			e.stood = 0
		}
		return []event{{cuid: key.CUID, reports: []dots.Report{found}}}
	}
	switch {
	case e.job != 0 || e.putAt > j.began: // the answer may be older than what was asked meanwhile
	case e.want.Withdraw:
		e.stood = 0
		return []event{{cuid: key.CUID, reports: []dots.Report{{MID: key.MID, Status: dots.StatusTerminated}}}}
	default:
		e.stood, e.verdict = 0, verdict{}
	}
	return nil
}
