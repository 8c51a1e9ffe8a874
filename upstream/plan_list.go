package upstream

import (
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// listing is what is known of the list of all mitigations under one of our cuids: whether the uplink keeps us registered
// as an observer of it, and when it is to be asked for next (slot.at; the zero time is now).
type listing struct {
	slot
	sight
	legs       map[uint32]*entry // by mid
	noticed    uint64            // position at which the newest notification was taken
	cdid       string
	registered bool      // a GET with Observe 0 was answered with 2.05; known servers leave the option out of that answer
	works      bool      // a notification came
	silent     int       // lists asked for in a row without a notification between them
	asked      bool      // answered on this session; nothing to do before slot.at
	changing   int       // requests in flight that change the list
	parked     time.Time // since when they are waited for; zero: they are not
}

// lapse is after how many polls without a notification between them the observation is taken as lapsed, and registered anew.
const lapse = 5

// toRegister reports whether the next GET is to register us as an observer (RFC 9132, Section 4.4.2.1).
func (l *listing) toRegister() bool { return !l.registered || l.silent >= lapse }

// addLeg notes a new entry under its cuid. The list is asked for under the cdid of the newest leg: there is one for all
// legs of a cuid, or none (RFC 9132, Section 4.4.1.2).
func (p *plan) addLeg(leg dots.Leg, e *entry) {
	key := leg.Key
	l := p.lists[key.CUID]
	if l == nil {
		l = &listing{legs: map[uint32]*entry{}}
		p.lists[key.CUID] = l
	}
	l.legs[key.MID], l.cdid = e, leg.CDID
	p.reviewList(key.CUID, l)
}

// reviewList queues a listing until it is to be asked for. A cuid under which nothing is wanted any more is dropped once
// its next turn comes.
func (p *plan) reviewList(cuid string, l *listing) {
	if !p.up || l.job != 0 {
		l.queued = false
		return
	}
	if len(l.legs) == 0 && (l.asked || l.blind) && l.at.IsZero() {
		p.dropList(cuid, l)
		if l.registered {
			p.idle = append(p.idle, cuid)
		}
		return
	}
	p.place(ref{key: dots.LegKey{CUID: cuid}, list: true}, &l.slot, classGet)
}

// park puts a list off while requests that change it are in flight, for one turn of patience: what comes after their
// answers shows them, and costs the uplink one datagram instead of two.
func (p *plan) park(now time.Time, cuid string, l *listing) bool {
	if l.changing == 0 || !l.parked.IsZero() || l.inRounds() {
		l.parked = time.Time{}
		return false
	}
	l.parked, l.at = now, now.Add(p.timing.retryMin)
	p.reviewList(cuid, l)
	return true
}

// changed counts a request that changes a list as begun (1) or ended (-1). The last one to end lets the list go.
func (p *plan) changed(cuid string, by int) {
	l := p.lists[cuid]
	if l == nil {
		return
	}
	l.changing = max(l.changing+by, 0)
	if l.changing == 0 && !l.parked.IsZero() {
		l.parked, l.at = time.Time{}, time.Time{}
		p.reviewList(cuid, l)
	}
}

// relist asks for a list at a time, if not earlier.
func (p *plan) relist(cuid string, at time.Time) {
	l := p.lists[cuid]
	if l == nil || l.at.IsZero() && l.queued || !at.IsZero() && !l.at.IsZero() && l.at.Before(at) {
		return
	}
	l.at = at
	p.reviewList(cuid, l)
}

// nudge registers as soon as there is something to observe: a server has nothing to register us for as long as the list
// is empty (4.04). Of a blind cuid the leg alone is asked for.
func (p *plan) nudge(key dots.LegKey) {
	switch l := p.lists[key.CUID]; {
	case l.inRounds():
		l.toRound(key.MID)
		if len(l.round) == 1 {
			p.relist(key.CUID, time.Time{})
		}
	case l.asked && !l.registered && l.fails == 0 && !l.blind:
		p.relist(key.CUID, time.Time{})
	}
}

// listed notes the answer to the GET of a list. A 4.04 is the empty list (RFC 9132, Section 4.4.2).
func (p *plan) listed(now time.Time, j job, r wire.Response) []event {
	cuid := j.leg.Key.CUID
	l := p.lists[cuid]
	found := r.Code.Success()
	if !found && r.Code != dots.CodeNotFound {
		p.hold(now, &l.slot, maxAge(r))
		p.lost(now, l)
		p.reviewList(cuid, l)
		return nil
	}
	p.seen(l)
	switch {
	case !found:
		l.registered, r.Reports = false, nil
	case j.register:
		l.registered, l.silent = true, 0
	default:
		l.silent++
	}
	l.asked = true
	complete := p.take(l, r.Reports, func(e *entry) bool { return e.job != 0 || e.putAt > j.began })
	if complete && l.noticed < j.began { // else the answer may be older than what was noticed
		l.fails = 0
		l.at = now.Add(p.silence(l))
	} else {
		p.hold(now, &l.slot, 0)
	}
	p.reviewList(cuid, l)
	return []event{{cuid: cuid, complete: complete, reports: r.Reports}}
}

// silence is how long nothing may be heard of a list before it is asked for: servers notify periodically while a
// mitigation is active, so one that does is given a little longer than its period.
func (p *plan) silence(l *listing) time.Duration {
	if l.registered && l.works {
		return p.timing.poll * 5 / 4
	}
	return p.timing.poll
}

// noticed takes a notification. Nothing is taken as gone by it: if a leg that stood is missing from it, the list is
// asked for, and that answer is the complete one. An error ends the observation (RFC 7641, Section 4.2), so the next GET
// registers again, after a while.
func (p *plan) noticed(now time.Time, cuid string, r wire.Response) []event {
	l := p.lists[cuid]
	if !p.up || l == nil {
		return nil
	}
	if !r.Code.Success() {
		l.registered = false
		if l.job == 0 {
			l.queued = false
			p.hold(now, &l.slot, maxAge(r))
			p.reviewList(cuid, l)
		}
		return nil
	}
	p.clock++
	p.seen(l)
	l.registered, l.works, l.silent, l.noticed = true, true, 0, p.clock
	complete := p.take(l, r.Reports, func(e *entry) bool { return e.stood == p.epoch })
	switch {
	case l.job != 0:
	case !complete:
		p.relist(cuid, time.Time{})
	case l.asked:
		l.at = now.Add(p.silence(l))
		p.reviewList(cuid, l)
	}
	return []event{{cuid: cuid, complete: complete, reports: r.Reports}}
}

// take notes which legs a list shows. It reports whether the list may be taken as complete: not where a leg is missing
// of which doubt says that the list may be older than its PUT, or wrong.
func (p *plan) take(l *listing, reports []dots.Report, doubt func(*entry) bool) bool {
	shown := make(map[uint32]bool, len(reports))
	for _, r := range reports {
		shown[r.MID] = r.Status != dots.StatusTerminated
	}
	complete := true
	for mid, e := range l.legs {
		if e.want.Withdraw {
			continue
		}
		there, listed := shown[mid]
		switch {
		case there:
			e.stood = p.epoch
		case !listed && doubt(e):
			complete = false
			continue
		default:
			e.stood = 0
		}
		p.review(e)
	}
	return complete
}
