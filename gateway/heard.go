package gateway

import (
	"slices"
	"time"
)

// Silence tells by uplink for how long the mitigation that it was silent about longest has had no report: with a good uplink that is
// a little over a minute at most. Only live mitigations count that may stand there; the time begins when one was placed, and not
// before since, the gateway's start. An uplink where nothing stands is not in it.
//
// RFC 9132, Section 4.4.2: what a client is told of a mitigation's state can be no newer than this.
func (c *Core) Silence(now, since time.Time) map[string]time.Duration {
	longest := map[string]time.Duration{}
	for s, h := range c.legs {
		for _, l := range h.legs {
			if c.toBeHeard(l) {
				longest[s.uplink] = max(longest[s.uplink], now.Sub(latest(since, l.placedAt, l.heard)))
			}
		}
	}
	return longest
}

// toBeHeard reports whether the uplink is to tell of a leg. Of the armed copy of a triggered mitigation it need not: that is gone there.
func (c *Core) toBeHeard(l *leg) bool {
	if l.state != placed && !(l.state == placing && l.stood) {
		return false
	}
	return l.current && slices.ContainsFunc(l.members, func(m *mitigation) bool {
		return m.phase == live && !(m.fired && l.want.Request.OnSignalLoss)
	})
}

// latest returns the last of some times.
func latest(times ...time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}
