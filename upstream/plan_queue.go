package upstream

import (
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
)

// place puts a ref into the queue of its class, or among the delays until its time. A ref that lost its place stays
// where it lies and is passed over when it comes up.
func (p *plan) place(r ref, s *slot, c class) {
	if s.at.IsZero() {
		if s.queued && s.class == c {
			return
		}
		s.queued, s.class = true, c
		p.queues[c].push(r)
		p.compact(c)
		return
	}
	s.queued = false
	if s.waits.IsZero() || s.at.Before(s.waits) {
		s.waits = s.at
		p.waiting.push(s.at, r)
	}
}

// compact makes a queue anew when most of what lies in it has lost its place, so that queues stay bounded by the number
// of wanted legs.
func (p *plan) compact(c class) {
	q := &p.queues[c]
	if q.len() < 2*(len(p.entries)+len(p.lists))+64 {
		return
	}
	seen := make(map[ref]bool, len(p.entries))
	old := *q
	*q = fifo{}
	for {
		r, ok := old.pop()
		if !ok {
			return
		}
		if s := p.slotOf(r); s != nil && s.queued && s.class == c && !seen[r] {
			seen[r] = true
			q.push(r)
		}
	}
}

// slotOf returns the slot of a ref, nil when its owner is gone.
func (p *plan) slotOf(r ref) *slot {
	if r.list {
		if l := p.lists[r.key.CUID]; l != nil {
			return &l.slot
		}
		return nil
	}
	if e := p.entries[r.key]; e != nil {
		return &e.slot
	}
	return nil
}

// deadline returns when time alone makes next give more; zero: never.
func (p *plan) deadline() time.Time { return p.waiting.next() }

// next takes the most urgent job that may begin, and counts it as in flight. The pace of the session is asked before: what is taken is what is most
// urgent when it can be sent, and not when it came to be wanted. A job that must wait for its turn stays in its queue, and held says for how long.
func (p *plan) next(now time.Time, pace *coap.Pace) (job, bool) {
	p.held = 0
	if !p.up {
		return job{}, false
	}
	p.ripen(now)
	for c := range classes {
		if !p.room(c) || !p.head(now, c) {
			continue
		}
		if wait := pace.Wait(c.urgency()); wait > 0 {
			// It may be the turn of what is less urgent: what stands does not run out for what is new and never answered.
			p.held = sooner(p.held, wait)
			continue
		}
		pace.Take(c.urgency())
		p.held = 0
		r, _ := p.queues[c].pop()
		s := p.slotOf(r)
		s.queued = false
		return p.begin(now, r, s), true
	}
	return job{}, false
}

// sooner is the shorter of two waits, of which the first may be none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// head reports whether there is a job in the queue of a class, and makes it the first.
func (p *plan) head(now time.Time, c class) bool {
	q := &p.queues[c]
	for {
		r, ok := q.peek()
		if !ok {
			return false
		}
		s := p.slotOf(r)
		if s != nil && s.queued && s.class == c {
			if !r.list || !p.park(now, r.key.CUID, p.lists[r.key.CUID]) {
				return true
			}
			s.queued = false
		}
		q.pop()
	}
}

// ripen queues what has waited long enough.
func (p *plan) ripen(now time.Time) {
	for {
		d, ok := p.waiting.pop(now)
		if !ok {
			return
		}
		s := p.slotOf(d.ref)
		if s == nil || !s.waits.Equal(d.at) {
			continue // its owner is gone, or it waits elsewhere
		}
		s.waits = time.Time{}
		if !s.at.After(now) {
			s.at = time.Time{}
		}
		if d.list {
			p.reviewList(d.key.CUID, p.lists[d.key.CUID])
		} else {
			p.review(p.entries[d.key])
		}
	}
}

// quiet reports that no mitigation is active and no request for one waits or is under way.
func (p *plan) quiet() bool {
	for c := classNew; c < classGet; c++ {
		if p.inFlight[c] > 0 || p.queues[c].len() > 0 {
			return false
		}
	}
	return p.active == 0
}

// room reports whether one more request of a class may begin.
func (p *plan) room(c class) bool {
	total := 0
	for k := classes; k > 0; k-- {
		total += p.inFlight[k-1]
		if k-1 <= c && total >= p.limits[k-1] {
			return false
		}
	}
	return true
}

// begin makes the job that a ref stands for.
func (p *plan) begin(now time.Time, r ref, s *slot) job {
	p.lastJob++
	p.clock++
	j := job{id: p.lastJob, class: s.class, at: now, began: p.clock}
	if r.list {
		l := p.lists[r.key.CUID]
		if e := l.nextStatus(now); e != nil {
			j.kind, j.leg.Key, j.leg.CDID = kindStatus, e.want.Key, e.want.CDID
		} else {
			j.kind, j.register = kindList, l.toRegister()
			j.leg.Key, j.leg.CDID = r.key, l.cdid
		}
	} else {
		e := p.entries[r.key]
		j.kind, _ = p.need(e)
		j.leg = p.asSent(e, j.kind)
		if j.kind == kindPut {
			e.putAt, e.asked, j.said = p.clock, p.epoch, e.said
		}
	}
	if j.changes() {
		p.changed(j.leg.Key.CUID, 1)
	}
	s.job = j.id
	p.inFlight[j.class]++
	return j
}

// asSent is a leg as it goes out now. An efficacy update of a mitigation that the server does not know is ignored
// without an answer (RFC 9132, Section 4.4.3), so a leg that is not known to stand on this session is sent as a plain
// request, as far as it has a lifetime to be one.
func (p *plan) asSent(e *entry, k kind) dots.Leg {
	leg := e.want
	if k != kindPut || !leg.Efficacy || !leg.Request.Lifetime.Set {
		return leg
	}
	if e.mute || e.stood != p.epoch {
		leg.Efficacy, leg.Request.Attack = false, 0
	}
	return leg
}

// changes reports whether a job changes the list of its cuid.
func (j job) changes() bool { return j.kind == kindPut || j.kind == kindDelete }

// end takes a job out of flight and returns the slot of its owner, nil when the owner is gone or has moved on. It is
// called once for each job, while the session lives on which it began.
func (p *plan) end(j job) *slot {
	if !p.up {
		return nil
	}
	p.inFlight[j.class]--
	if j.changes() {
		p.changed(j.leg.Key.CUID, -1)
	}
	s := p.slotOf(ref{key: j.leg.Key, list: j.ofList()})
	if s == nil || s.job != j.id {
		return nil
	}
	s.job = 0
	return s
}

// reviewOf reviews the owner of a job, which is known to exist.
func (p *plan) reviewOf(j job) {
	if j.ofList() {
		p.reviewList(j.leg.Key.CUID, p.lists[j.leg.Key.CUID])
	} else {
		p.review(p.entries[j.leg.Key])
	}
}

// dropped ends a job that was given up.
func (p *plan) dropped(j job) {
	if p.end(j) != nil {
		p.reviewOf(j)
	}
}

// failed ends a job that did not get a usable answer: it is asked again after a while, doubling.
func (p *plan) failed(now time.Time, j job) {
	s := p.end(j)
	if s == nil {
		return
	}
	switch {
	case j.kind == kindStatus:
		p.missedStatus(now, j, 0)
	case j.kind == kindList:
		p.hold(now, s, 0)
		p.lost(now, p.lists[j.leg.Key.CUID])
	case !p.movedOn(j):
		p.hold(now, s, 0)
	}
	p.reviewOf(j)
}

// unanswered ends a job whose window is over: others get their turn, and it is asked again as long as the session lives.
func (p *plan) unanswered(now time.Time, j job) {
	s := p.end(j)
	if s == nil {
		return
	}
	switch {
	case j.kind == kindStatus:
		p.missedStatus(now, j, 0)
	case j.kind == kindList:
		s.at = now.Add(p.timing.again)
		if p.heard.After(j.at) { // else nothing comes through, and more requests would not either
			p.lost(now, p.lists[j.leg.Key.CUID])
		}
	case !p.movedOn(j):
		s.at = now.Add(p.timing.again)
		p.muteEfficacy(j)
	}
	p.reviewOf(j)
}

// movedOn reports whether another level is wanted than a job asked for.
func (p *plan) movedOn(j job) bool {
	w := p.entries[j.leg.Key].want
	return w.Revision != j.leg.Revision || w.Withdraw != j.leg.Withdraw
}

// muteEfficacy notes that an efficacy update was not answered: the server does not know the mitigation
// (RFC 9132, Section 4.4.3). It is sent as a plain request next; where that cannot be, the list shows whether it stands.
func (p *plan) muteEfficacy(j job) {
	if j.kind != kindPut || !j.leg.Efficacy {
		return
	}
	e := p.entries[j.leg.Key]
	e.mute = true
	if !j.leg.Request.Lifetime.Set {
		e.verdict = verdict{set: true, revision: j.leg.Revision, good: true, epoch: p.epoch}
		p.relist(j.leg.Key.CUID, time.Time{})
	}
}

// backoff is the wait after the n-th failure in a row.
func (p *plan) backoff(n int) time.Duration {
	return doubled(p.timing.retryMin, p.timing.retryMax, n-1)
}

// doubled returns first doubled n times, at most most.
func doubled(first, most time.Duration, n int) time.Duration {
	for range n {
		if first >= most {
			break
		}
		first *= 2
	}
	return min(first, most)
}
