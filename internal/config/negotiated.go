package config

import (
	"fmt"
	"math"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// Bounds of what is negotiated with an uplink. The server has bounds of its own, into which it is brought.
const (
	leastHeartbeat = 15 * time.Second // RFC 9132, Section 4.5.2: heartbeats no closer than this; 0 for none
	mostHeartbeat  = 240 * time.Second
	tick           = 10 * time.Millisecond // RFC 9132, Section 4.5.2: ack-timeout has two decimals
	mostAckTimeout = 60 * time.Second
	mostFactor     = 10
)

// negotiated checks what is wanted of the parameters of an uplink's sessions.
func (b *builder) negotiated(at string, f fileNegotiated, profile string) dots.SessionConfig {
	c := dots.SessionConfig{Idle: b.parameters(at+".idle", f.Idle), Mitigating: b.parameters(at+".mitigating", f.Mitigating)}
	if profile != ProfileDraft04 {
		return c
	}
	for _, set := range []struct {
		at string
		of dots.ConfigSet
	}{{at + ".idle", c.Idle}, {at + ".mitigating", c.Mitigating}} {
		if set.of.ProbingRate.Set() {
			b.add(set.at+".probing_rate", "draft04 does not know it", "leave it out")
		}
		if set.of.AckTimeout.Current.Value%100 != 0 {
			b.add(set.at+".ack_timeout", "draft04 has whole seconds", "use such as 2s")
		}
	}
	if none := (dots.ConfigSet{}); c.Idle != none && c.Mitigating != none && c.Idle != c.Mitigating {
		b.add(at, "draft04 has one set for both times", "give mitigating alone, or the same in idle")
	}
	return c
}

// parameters checks one set.
func (b *builder) parameters(at string, f fileParameters) dots.ConfigSet {
	return dots.ConfigSet{
		HeartbeatInterval: b.heartbeat(at+".heartbeat_interval", f.HeartbeatInterval),
		MissingHBAllowed:  b.count(at+".missing_hb_allowed", f.MissingHBAllowed, 2, 1000),
		ProbingRate:       b.count(at+".probing_rate", f.ProbingRate, 1, math.MaxUint16),
		MaxRetransmit:     b.count(at+".max_retransmit", f.MaxRetransmit, 0, 15),
		AckTimeout:        b.ackTimeout(at+".ack_timeout", f.AckTimeout),
		AckRandomFactor:   b.factor(at+".ack_random_factor", f.AckRandomFactor),
	}
}

// heartbeat reads an interval in whole seconds; 0 is none.
func (b *builder) heartbeat(at, text string) (v dots.Bounds[uint16]) {
	if text == "" {
		return v
	}
	switch d := b.duration(at, text, span{0, 0, mostHeartbeat}); {
	case d > 0 && d < leastHeartbeat:
		b.addf(at, fmt.Sprintf("use 0s for none, or %v to %v", leastHeartbeat, mostHeartbeat), "%v is too short", d)
	case d%time.Second != 0:
		b.add(at, "not in whole seconds", fmt.Sprintf("use %v", d.Truncate(time.Second)+time.Second))
	default:
		v.Current = dots.Some(uint16(d / time.Second))
	}
	return v
}

// count reads a number of 16 bits.
func (b *builder) count(at string, n *int, low, high int) (v dots.Bounds[uint16]) {
	if n == nil {
		return v
	}
	b.between(at, *n, low, high)
	v.Current = dots.Some(uint16(min(max(*n, low), high)))
	return v
}

// ackTimeout reads a time in hundredths of a second.
func (b *builder) ackTimeout(at, text string) (v dots.Bounds[dots.Decimal]) {
	if text == "" {
		return v
	}
	d := b.duration(at, text, span{tick, tick, mostAckTimeout})
	if d%tick != 0 {
		b.addf(at, fmt.Sprintf("use steps of %v", tick), "%v is finer than can be told", d)
	}
	v.Current = dots.Some(dots.Decimal(d / tick))
	return v
}

// factor reads a factor with two decimals. RFC 7252, Section 4.8.1: it is not below 1.
func (b *builder) factor(at string, f *float64) (v dots.Bounds[dots.Decimal]) {
	if f == nil {
		return v
	}
	hundredths := math.Round(*f * 100)
	switch {
	case !(*f >= 1 && *f <= mostFactor):
		b.addf(at, fmt.Sprintf("use 1 to %d", mostFactor), "%v is out of range", *f)
		return v
	case math.Abs(hundredths-*f*100) > 1e-6:
		b.addf(at, fmt.Sprintf("use %v", hundredths/100), "%v has more than two decimals", *f)
	}
	v.Current = dots.Some(dots.Decimal(hundredths))
	return v
}
