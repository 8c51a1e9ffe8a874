package coap

import "time"

// probe holds what is not about a mitigation to the probing rate while nothing is heard of the peer: RFC 7252, Section 4.7 and RFC 9132,
// Section 4.4. Mitigation requests (BeginAs) are neither delayed by it nor counted. Heartbeats are counted and not delayed: that their rate fits is what
// heartbeat-interval and probing-rate are negotiated for (RFC 9132, Section 4.5.2).
type probe struct {
	asked  time.Duration // of the first request after which nothing was heard
	budget float64       // bytes that may be sent; below 0: sent ahead of time
	at     time.Duration // when that was so
}

const (
	// silentAfter is how many RepeatIntervals a peer may leave us without a sign before it counts as silent.
	silentAfter = 4
	// probeDebt bounds, in bytes, how far heartbeats may run ahead of the rate.
	probeDebt = 600
)

// sent notes a request of ours; heard is when the peer was last heard.
func (p *probe) sent(now, heard time.Duration, size int, params *Parameters) {
	if heard >= p.asked { // it was heard since, or nothing was asked yet
		p.asked, p.budget, p.at = now, 0, now
	}
	p.refill(now, params)
	p.budget = max(p.budget-float64(size), -probeDebt)
}

// silent reports whether nothing is heard of the peer although it was asked.
func (p *probe) silent(now, heard time.Duration, params *Parameters) bool {
	return p.asked > heard && now-p.asked >= silentAfter*params.RepeatInterval
}

// wait returns how long a request that is held to the probing rate must wait.
func (p *probe) wait(now, heard time.Duration, params *Parameters) time.Duration {
	if !p.silent(now, heard, params) {
		return 0
	}
	p.refill(now, params)
	return time.Duration(-p.budget / float64(params.ProbingRate) * float64(time.Second))
}

// refill lets the budget grow; nothing is saved up.
func (p *probe) refill(now time.Duration, params *Parameters) {
	p.budget = min(p.budget+(now-p.at).Seconds()*float64(params.ProbingRate), 0)
	p.at = now
}
