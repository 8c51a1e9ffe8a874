package upstream

import (
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// event is what the core is to be told: an answer, or what the uplink says of legs.
type event struct {
	answer   dots.Maybe[dots.LegAnswer]
	cuid     string
	complete bool
	reports  []dots.Report
}

// answered ends a job with the uplink's answer and returns what the core is to be told, and whether the answer fits the
// request. One that does not is never taken for success: it is asked again as after a failure. The events are good until the next answer.
func (p *plan) answered(now time.Time, j job, r wire.Response) (events []event, fits bool) {
	r = plain(r)
	if !fit(j.kind, r.Code) {
		p.failed(now, j)
		return nil, false
	}
	if p.end(j) == nil {
		return nil, true
	}
	p.clock++
	switch j.kind {
	case kindPut, kindDelete:
		p.told[0] = p.legAnswered(j, r)
		return p.told[:], true
	case kindCheck:
		return p.checked(now, j, r), true
	case kindStatus:
		return p.statusAnswered(now, j, r), true
	default:
		return p.listed(now, j, r), true
	}
}

// plain is a response in the words of RFC 9132: a redirect is 5.03 whatever the dialect calls it (RFC 9132, Section 4.6).
func plain(r wire.Response) wire.Response {
	if r.Code.Class() == 3 {
		r.Code, r.Redirect.Set = dots.CodeUnavailable, true
	}
	return r
}

// redirected reports whether a response sends us to another server. It may not say to which.
func redirected(r wire.Response) bool { return r.Code == dots.CodeUnavailable && r.Redirect.Set }

// fit reports whether a code can answer a kind of request. Some servers answer PUT and DELETE with 2.05 and do not
// execute them: that is no success.
func fit(k kind, c dots.Code) bool {
	switch c.Class() {
	case 2:
		switch k {
		case kindPut:
			return c == dots.CodeCreated || c == dots.CodeChanged // RFC 9132, Section 4.4.1.3
		case kindDelete:
			return c == dots.CodeDeleted // RFC 9132, Section 4.4.4
		}
		return c == dots.CodeContent // RFC 9132, Section 4.4.2
	case 4, 5:
		return true
	}
	return false
}

// legAnswered notes the answer to a PUT or DELETE.
func (p *plan) legAnswered(j job, r wire.Response) event {
	e := p.entries[j.leg.Key]
	e.fails, e.at = 0, time.Time{}
	good := r.Code.Success()
	e.verdict = verdict{set: true, revision: j.leg.Revision, withdraw: j.leg.Withdraw, good: good, epoch: p.epoch}
	switch {
	case j.kind == kindPut && good:
		e.stood, e.putAt = p.epoch, p.clock
		p.nudge(j.leg.Key)
	case good:
		e.stood, e.check = 0, true
	case r.Code == dots.CodeNotFound:
		e.stood = 0
	}
	p.review(e)
	a := dots.LegAnswer{
		Key: j.leg.Key, Revision: j.leg.Revision, Withdraw: j.leg.Withdraw, Code: r.Code,
		Conflict: r.Conflict, Text: clip(r.Diagnostic), MaxAge: maxAge(r),
	}
	if a.Redirected = redirected(r); a.Redirected && a.Text == "" {
		a.Text = clip("redirected to " + r.Redirect.Value.Server)
	}
	if r.Granted.Set {
		a.Lifetime = dots.Some(r.Granted.Value.Lifetime)
	}
	return event{answer: dots.Some(a)}
}

// checked notes what became of a leg after its DELETE was answered with 2.02: it may go on for the
// active-but-terminating period (RFC 9132, Section 4.4.4), or be gone. One that stands as if nothing had been said was
// put there by a datagram that came late, and is withdrawn again.
func (p *plan) checked(now time.Time, j job, r wire.Response) []event {
	e, key := p.entries[j.leg.Key], j.leg.Key
	if !e.check { // wanted again meanwhile
		p.review(e)
		return nil
	}
	if !r.Code.Success() && r.Code != dots.CodeNotFound {
		p.hold(now, &e.slot, maxAge(r))
		p.review(e)
		return nil
	}
	e.check, e.fails, e.at = false, 0, time.Time{}
	report := dots.Report{MID: key.MID, Status: dots.StatusTerminated}
	for _, found := range r.Reports {
		if found.MID == key.MID && r.Code.Success() {
			report = found
		}
	}
	switch report.Status {
	case dots.StatusClientWithdrawn, dots.StatusTerminated, dots.StatusWithdrawn:
	default:
		e.verdict = verdict{}
		e.stood = p.epoch
		p.hold(now, &e.slot, 0)
	}
	p.review(e)
	return []event{{cuid: key.CUID, reports: []dots.Report{report}}}
}

// hold delays the next attempt of a slot: doubling, and at least what the uplink told.
func (p *plan) hold(now time.Time, s *slot, least time.Duration) {
	s.fails++
	s.at = now.Add(max(p.backoff(s.fails), least))
}

// maxAge is the time that a 5.03 asks to wait, at most a day. A redirect asks for none: its Max-Age is how long the other server
// takes our place (RFC 9132, Section 4.6).
func maxAge(r wire.Response) time.Duration {
	if r.Code.Success() || !r.MaxAge.Set || redirected(r) {
		return 0
	}
	return min(time.Duration(r.MaxAge.Value)*time.Second, 24*time.Hour)
}

// clip bounds a text of the uplink's that is kept.
func clip(s string) string {
	const most = 256
	return s[:min(len(s), most)]
}
