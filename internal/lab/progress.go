package lab

import (
	"net/netip"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// counts reports whether a mitigation is one still, neither ended nor withdrawn by the server.
func (m *mitigation) counts() bool {
	return m.status != dots.StatusTerminated && m.status != dots.StatusWithdrawn
}

// settle adds what was dropped since the rate began.
func (m *mitigation) settle(now time.Time) {
	m.bytes, m.packets = m.dropped(now)
	m.rated = now
}

// dropped returns the counters at now.
func (m *mitigation) dropped(now time.Time) (bytes, packets uint64) {
	ms := uint64(max(now.Sub(m.rated), 0) / time.Millisecond)
	if m.rated.IsZero() {
		ms = 0
	}
	return m.bytes + m.rate.Bytes*ms/1000, m.packets + m.rate.Packets*ms/1000
}

// report is what the server tells of a mitigation.
func (m *mitigation) report(now time.Time) dots.Report {
	r := dots.Report{
		MID: m.ask.MID, Target: m.ask.Target, OnSignalLoss: m.ask.OnSignalLoss, Status: m.status, Lifetime: m.remaining(now),
		ACLs: m.ask.ACLs,
	}
	if !m.since.IsZero() {
		r.Start = dots.Some(uint64(m.since.Unix()))
	}
	if bytes, packets := m.dropped(now); !m.rated.IsZero() {
		r.Counters = dots.Counters{
			BytesDropped: dots.Some(bytes), PktsDropped: dots.Some(packets),
			BytesPerSecond: dots.Some(m.rate.Bytes), PktsPerSecond: dots.Some(m.rate.Packets),
		}
	}
	return r
}

// remaining is the lifetime that is left: whole seconds, at least 1, since 0 is none.
func (m *mitigation) remaining(now time.Time) dots.Lifetime {
	if m.expires.IsZero() {
		return dots.Indefinite
	}
	return max(1, dots.Lifetime((m.expires.Sub(now)+time.Second-1)/time.Second))
}

// advance does the steps that are due, and reports whether one was.
func (b *book) advance(now time.Time, m *mitigation) bool {
	steps, done := b.scenario.steps(), false
	for m.next < len(steps) && !now.Before(m.since.Add(steps[m.next].After)) {
		step := steps[m.next]
		m.settle(now)
		if step.Rate == (Rate{}) && m.bytes == 0 && m.packets == 0 {
			m.rated = time.Time{} // nothing to tell of yet
		}
		m.status, m.rate = step.Status, step.Rate
		m.next++
		done = true
	}
	if done && m.status == dots.StatusWithdrawn {
		m.rate, m.until = Rate{}, now.Add(b.remembered)
	}
	return done
}

// due returns when something is to be done with a mitigation; zero means never.
func (b *book) due(m *mitigation) time.Time {
	if !m.counts() {
		return m.until
	}
	at := m.expires
	switch steps := b.scenario.steps(); {
	case m.status == dots.StatusClientWithdrawn:
		at = sooner(at, m.until)
	case !m.since.IsZero() && m.next < len(steps):
		at = sooner(at, m.since.Add(steps[m.next].After))
	}
	return at
}

// tick does what is due and tells whose mitigations changed, and when to come again (zero: never).
func (b *book) tick(now time.Time) (changed []owner, next time.Time) {
	for by, all := range b.of {
		touched := false
		for mid, m := range all {
			if at := b.due(m); !at.IsZero() && !now.Before(at) {
				b.proceed(now, by, mid)
				touched = true
			}
			if b.of[by][mid] == m {
				next = sooner(next, b.due(m))
			}
		}
		if touched {
			changed = append(changed, by)
		}
	}
	return changed, next
}

// proceed does what is due with one mitigation.
func (b *book) proceed(now time.Time, by owner, mid uint32) {
	m := b.of[by][mid]
	switch {
	case !m.counts():
		b.remove(by, mid)
	case !m.expires.IsZero() && !now.Before(m.expires):
		b.terminate(now, m)
	case m.status == dots.StatusClientWithdrawn:
		// RFC 9132, Section 4.4.4: after the period it is terminated.
		b.terminate(now, m)
	default:
		b.advance(now, m)
	}
}

// dropping lists the clients whose counters grow.
func (b *book) dropping() []owner {
	var list []owner
	for by, all := range b.of {
		for _, m := range all {
			if m.rate != (Rate{}) {
				list = append(list, by)
				break
			}
		}
	}
	return list
}

// sooner returns the earlier time that is not zero.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// overlap reports whether two targets of one client have something in common.
//
// RFC 9132, Section 4.4.1: a common prefix, name, URI or alias; ports and protocols do not matter.
func overlap(a, b dots.Target) bool {
	for _, p := range a.Prefixes {
		for _, q := range b.Prefixes {
			if p.Overlaps(q) {
				return true
			}
		}
	}
	return common(a.FQDNs, b.FQDNs) || common(a.URIs, b.URIs) || common(a.Aliases, b.Aliases)
}

func common(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true
			}
		}
	}
	return false
}

func granted(code dots.Code, mid uint32, lifetime dots.Lifetime) wire.Response {
	return wire.Response{Code: code, Granted: dots.Some(wire.Granted{MID: mid, Lifetime: lifetime})}
}

func refuse(code dots.Code, text string) wire.Response {
	return wire.Response{Code: code, Diagnostic: text}
}

func conflict(c dots.Conflict) wire.Response {
	return wire.Response{Code: dots.CodeConflict, Conflict: dots.Some(c)}
}

// response is the answer that a refusal gives.
func (r Refusal) response() wire.Response {
	code, _ := parseCode(r.Code) // checked when the scenario was read
	resp := wire.Response{Code: code, Diagnostic: r.Diagnostic}
	if r.MaxAge > 0 {
		resp.MaxAge = dots.Some(r.MaxAge)
	}
	if code == dots.CodeConflict && r.Cause != 0 {
		c := dots.Conflict{Cause: r.Cause, RetryTimer: r.Retry}
		if p, err := netip.ParsePrefix(string(r.Prefix)); err == nil {
			c.Scope.Prefixes = []netip.Prefix{p}
		}
		resp.Conflict = dots.Some(c)
	}
	return resp
}
