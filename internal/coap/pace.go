package coap

import (
	"math"
	"time"
)

// Urgency is the place of a request among those that wait for their turn on a session over UDP; the higher goes first. The zero value is for what is
// not about a mitigation.
type Urgency uint8

const (
	// LeastUrgent is for what is not about a mitigation, which alone is held to the probing rate. It is that of every GET and CON unless BeginAs says otherwise.
	LeastUrgent Urgency = 0
	// MostUrgent is for what nobody has been told yet: a new mitigation. Its repeats are one step less urgent, and alternate with what is less urgent.
	MostUrgent Urgency = 4
)

const (
	// paceDepth is how many datagrams a session may send at once after a pause.
	paceDepth = 6
	// paceGrain is what the depth is at least worth in time: with round trips of microseconds no timer could keep datagrams one apart.
	paceGrain = 5 * time.Millisecond
	// paceDebt bounds how far what is counted but not delayed may run ahead, in datagrams.
	paceDebt = 16
)

// flow is what a session over UDP does in order not to flood its path: at most one datagram per round-trip time on average, one per
// RepeatInterval while that is unknown (RFC 9132, Section 7.3; RFC 8085, Section 3.1.3). It is a bucket of datagrams: one flows in per round-trip
// time, each datagram of ours takes one out, and paceDepth fit in. New requests and repeats of NON ones wait until enough is in it for their
// urgency; CON retransmissions, pings and whatever is begun without asking Pace are counted and go at once, heartbeats among them. Answers
// are the peer's business and are not counted.
//
// Who is more urgent needs less in the bucket, so the more urgent goes first whoever asks first.
//
// The zero value has an empty bucket.
type flow struct {
	rtt    roundTrip
	filled float64       // datagrams; below 0: a debt
	at     time.Duration // when that was so
	run    uint8         // urgent datagrams in a row, up to 2
	shared uint8         // how many sessions share the path; 0 and 1: it is ours alone
	probe  probe
	late   *repeats // nil: no repeat has ever waited
}

// needs is what must be in the bucket for a request of an urgency. All but a new mitigation leave one datagram for that. What is not about a
// mitigation leaves three: two that heartbeats take from the others, who then keep their times. A repeat is half a step behind a first sending, so
// that of many that go unanswered each has its turn.
//
// What is urgent yields after every two datagrams to the rest that is about mitigations: one new mitigation that is not answered may not be why others
// run out.
func (f *flow) needs(u Urgency, repeat bool) float64 {
	half := 0.0
	if repeat {
		u, half = min(u, MostUrgent-1), 0.1
	}
	switch {
	case u >= MostUrgent:
		return 1
	case u == LeastUrgent:
		return 4 + half
	case u == MostUrgent-1 && f.run < 2:
		return 2 + half
	case u == MostUrgent-1:
		return 2.4 + half
	}
	return 2.2 + half
}

// took notes whose turn it was.
func (f *flow) took(u Urgency) {
	switch {
	case u >= MostUrgent-1:
		f.run = min(f.run+1, 2)
	case u > LeastUrgent:
		f.run = 0
	}
}

// Pace is how much a session may send at one moment. It is a copy: whoever begins several requests at once takes each out of it.
type Pace struct {
	flow    flow
	spacing time.Duration // 0: there is no bound
	silent  bool
	probing time.Duration // what is LeastUrgent waits for this long at least
}

// Pace returns how much may be sent now. Over TCP there is no bound.
func (s *Session) Pace() Pace {
	if s.reliable {
		return Pace{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pace(s.clock())
}

// pace is Pace; the lock is held.
func (s *Session) pace(now time.Duration) Pace {
	heard, spacing := s.clockAt(s.heard), s.refill(now)
	return Pace{
		flow: flow{filled: s.flow.filled, run: s.flow.run}, spacing: spacing,
		silent: s.flow.probe.silent(now, heard, &s.params), probing: s.flow.probe.wait(now, heard, &s.params),
	}
}

// Wait returns how long a first request of an urgency has to wait; 0: it may begin.
func (p *Pace) Wait(u Urgency) time.Duration { return p.wait(u, false) }

func (p *Pace) wait(u Urgency, repeat bool) (wait time.Duration) {
	if missing := p.flow.needs(u, repeat) - p.flow.filled; p.spacing > 0 && missing > 1e-9 {
		wait = max(time.Duration(math.Ceil(missing*float64(p.spacing))), 1)
	}
	if u == LeastUrgent {
		wait = max(wait, p.probing)
	}
	return wait
}

// Take counts a request that is about to begin.
func (p *Pace) Take(u Urgency) {
	p.flow.filled--
	p.flow.took(u)
	if u == LeastUrgent && p.silent {
		p.probing = max(p.probing, time.Second) // how long, the session knows once it is sent
	}
}

// Share says that n sessions, this one among them, go to the same peer at the same time, 1 to 255: the rate is that of the peer, so each keeps to an
// n-th of it (RFC 9132, Section 7.3). Over TCP there is nothing to share.
func (s *Session) Share(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refill(s.clock())
	s.flow.shared = uint8(min(max(n, 1), 255))
}

// refill lets flow in what came since the last time, and returns the time between two datagrams; 0: there is no bound. The lock is held.
func (s *Session) refill(now time.Duration) time.Duration {
	f := &s.flow
	spacing, _ := f.rtt.at(now, s.params.RepeatInterval)
	spacing *= time.Duration(max(f.shared, 1))
	passed := now - f.at
	f.at = now
	if spacing <= 0 {
		f.filled = paceDepth
		return 0
	}
	depth := max(paceDepth, float64(paceGrain)/float64(spacing))
	f.filled = min(f.filled+float64(passed)/float64(spacing), depth)
	return spacing
}

// counted counts a datagram of ours that is no answer, for the probing rate too if it probes. The lock is held.
func (s *Session) counted(probes bool, now time.Duration, size int) {
	s.refill(now)
	s.flow.filled = max(s.flow.filled-1, -paceDebt)
	if probes {
		s.flow.probe.sent(now, s.clockAt(s.heard), size, &s.params)
	}
}
