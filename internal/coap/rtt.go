package coap

import "time"

// roundTrip estimates the round-trip time of a session over UDP: RFC 6298, Section 2, of which the smoothed time is kept. The variation is not:
// no retransmission of ours waits for it. Times are counted from Timers.base, so that all of it is a few words.
type roundTrip struct {
	smoothed  time.Duration
	known     bool
	confirmed time.Duration // when the peer last answered a request of ours
	own       time.Duration // what the peer took last for what it answers by itself
	ownAt     time.Duration // when that was; 0: never
}

const (
	// staleAfter is for how long an estimate holds without an answer of the peer: two heartbeats of the recommended interval (RFC 9132,
	// Section 4.5.2), so that one that is lost changes nothing.
	staleAfter = 60 * time.Second
	// staleStep is how long it then takes until the estimate counts twice as much, and again: one of 40 ms counts as unknown after two minutes and a half.
	staleStep = 15 * time.Second
	// leastStale is from where an estimate that is next to nothing begins to grow.
	leastStale = time.Millisecond
	// beyond is how many times as long as an answer of its own the peer's answer to a mitigation request may take: then it waits for another server.
	beyond = 4
	// slowestPath bounds an estimate: no path is slower, only peers are.
	slowestPath = 60 * time.Second
)

// sendings is what is known of the sendings of one request.
type sendings struct {
	at    time.Duration // of the last sending
	sends uint8         // 0: it is measured no more; saturates
}

// sent notes a sending.
func (a *sendings) sent(now time.Duration) { a.at, a.sends = now, min(a.sends, 254)+1 }

// answered takes the answer to a request.
//
// RFC 6298, Section 3 (Karn's algorithm): one that was sent more than once tells nothing, since nobody knows which sending was answered: the
// repeats of a NON have fresh message ids and one token. It does tell that the last sending took at least so long, and a path that has become
// slower than the time between two repeats would never be measured otherwise: what is more than twice the estimate, which is no jitter, counts.
//
// A mitigation request may wait at the peer, if that is a gateway, for a server behind it: what heartbeats and retrievals have shown since not long ago
// holds then, or a dead path behind the peer would slow down what we tell the peer.
func (r *roundTrip) answered(a *sendings, now time.Duration, mitigates bool) {
	if a.sends == 0 {
		return
	}
	took, once := now-a.at, a.sends == 1
	switch {
	case !mitigates && once:
		r.own, r.ownAt = took, now
	case mitigates && r.ownAt > 0 && now-r.ownAt <= staleAfter && took > beyond*r.own:
		took = r.own
	}
	if once || r.known && took > 2*r.smoothed {
		r.take(took)
	}
	r.confirmed = now
	a.sends = 0
}

// take adds a measurement. RFC 6298, Section 2.2 and 2.3: the first is the estimate, each further one changes it by an eighth.
func (r *roundTrip) take(took time.Duration) {
	took = min(max(took, 0), slowestPath)
	if r.known {
		r.smoothed += (took - r.smoothed) / 8
		return
	}
	r.smoothed, r.known = took, true
}

// at is the estimate at a time. One that nothing has confirmed for long grows until it is not better than none.
func (r *roundTrip) at(now, unknown time.Duration) (time.Duration, bool) {
	if !r.known {
		return unknown, false
	}
	late := now - r.confirmed - staleAfter
	if late <= 0 {
		return r.smoothed, true
	}
	grown := max(r.smoothed, leastStale)
	for ; late > 0 && grown < unknown; late -= staleStep {
		grown *= 2
	}
	if r.smoothed < unknown && grown >= unknown {
		return unknown, false
	}
	return max(grown, r.smoothed), true
}

// RTT returns the smoothed round-trip time to the peer, and whether it is known: over UDP, once a request that was sent a single time was
// answered, and until nothing was answered for so long that it counts for nothing any more. Over TCP it is never known. What the peer takes to
// answer is part of it. RFC 6298, Section 2.
func (s *Session) RTT() (smoothed time.Duration, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	smoothed, known = s.flow.rtt.at(s.clock(), s.params.RepeatInterval)
	if !known {
		return 0, false
	}
	return smoothed, true
}

// clock is the time as the estimates of a session have it.
func (s *Session) clock() time.Duration { return time.Since(s.timers.all.base) }

// clockAt is a moment as the estimates of a session have it.
func (s *Session) clockAt(t time.Time) time.Duration { return t.Sub(s.timers.all.base) }
