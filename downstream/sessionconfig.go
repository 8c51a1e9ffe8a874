package downstream

import (
	"cmp"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
)

// offer is what every session is offered: shared and read-only.
type offer struct {
	full     dots.SessionConfig // defaults and ranges
	defaults dots.SessionConfig // current values only
}

func newOffer(full dots.SessionConfig) *offer {
	return &offer{full: full, defaults: dots.SessionConfig{
		Mitigating: overlay(full.Mitigating, dots.ConfigSet{}), Idle: overlay(full.Idle, dots.ConfigSet{}),
	}}
}

// sessionConfig is the configuration resource of one session. It is bound to the session and never relayed
// (RFC 9132, Section 4.5). Not safe for concurrent use.
type sessionConfig struct {
	offer   *offer
	sid     dots.Maybe[uint64]  // of what is installed; absent: the defaults are in force
	current *dots.SessionConfig // current values only; never changed, only replaced
}

func newSessionConfig(o *offer) sessionConfig {
	return sessionConfig{offer: o, current: &o.defaults}
}

// get answers a GET.
func (c *sessionConfig) get(sid dots.Maybe[uint64]) (dots.SessionConfig, error) {
	if !sid.Set {
		// RFC 9132, Section 4.5.1: without sid, the current, least and greatest values of both sets.
		full := *c.current
		full.Mitigating = withRanges(c.offer.full.Mitigating, c.current.Mitigating)
		full.Idle = withRanges(c.offer.full.Idle, c.current.Idle)
		return full, nil
	}
	// RFC 9132, Section 4.5.3: with sid, what was negotiated; 4.04 for a sid that is not installed.
	if c.sid != sid {
		return dots.SessionConfig{}, dots.Refuse(dots.CodeNotFound, "no such sid")
	}
	return *c.current, nil
}

// put answers a PUT with 2.01 or 2.04. What the client leaves out gets its default value again.
func (c *sessionConfig) put(sid dots.Maybe[uint64], asked dots.SessionConfig) (dots.Code, error) {
	if !sid.Set {
		return 0, dots.Refuse(dots.CodeBadRequest, "sid is missing")
	}
	// RFC 9132, Section 4.5.2: sids increase; a higher one replaces the lower.
	if c.sid.Set && sid.Value < c.sid.Value {
		return 0, dots.Refuse(dots.CodeBadRequest, "sid is below the installed one")
	}
	if !anySet(asked.Mitigating) && !anySet(asked.Idle) && !asked.TriggerMitigation.Set {
		return 0, dots.Refuse(dots.CodeBadRequest, "no session parameter")
	}
	for _, part := range []struct{ offer, asked dots.ConfigSet }{
		{c.offer.full.Mitigating, asked.Mitigating}, {c.offer.full.Idle, asked.Idle},
	} {
		if name := outOfRange(part.offer, part.asked); name != "" {
			// RFC 9132, Section 4.5.2: 4.22 for a value that the server does not accept.
			return 0, dots.Refuse(dots.CodeUnprocessable, name+" out of range")
		}
	}
	code := dots.CodeCreated
	if c.sid == sid {
		code = dots.CodeChanged
	}
	c.sid = sid
	c.current = &dots.SessionConfig{
		Mitigating:        overlay(c.offer.full.Mitigating, asked.Mitigating),
		Idle:              overlay(c.offer.full.Idle, asked.Idle),
		TriggerMitigation: asked.TriggerMitigation,
	}
	return code, nil
}

// remove answers a DELETE, which always succeeds: back to the defaults. A sid that is not installed changes nothing,
// so that a DELETE may be repeated after a newer PUT (RFC 9132, Section 4.5.4). It tells whether anything changed.
func (c *sessionConfig) remove(sid dots.Maybe[uint64]) bool {
	if !c.sid.Set || sid.Set && sid != c.sid {
		return false
	}
	*c = newSessionConfig(c.offer)
	return true
}

// inForce returns the set of parameters that holds now. This is the one place that decides between the two sets:
// RFC 9132, Section 4.5: agents switch to the mitigating set while a mitigation is active.
func (c *sessionConfig) inForce(mitigating bool) dots.ConfigSet {
	if mitigating {
		return c.current.Mitigating
	}
	return c.current.Idle
}

// spanOf is how long nothing may be heard of a peer before it is lost: heartbeat-interval x missing-hb-allowed. Whoever has turned heartbeats off is
// missed as one is who has negotiated nothing; and where those who have begin without heartbeats, too, as under attack, or as is recommended. It is never 0.
func (c *sessionConfig) spanOf(set dots.ConfigSet) (span time.Duration) {
	defaults := &c.offer.defaults
	for _, s := range []dots.ConfigSet{set, defaults.Idle, defaults.Mitigating, DefaultSession().Idle} {
		span = time.Duration(s.HeartbeatInterval.Current.Value) * time.Second * time.Duration(s.MissingHBAllowed.Current.Value)
		if span > 0 {
			break
		}
	}
	return span
}

// armed reports whether the mitigations of the session start on signal loss only. It is session-wide in the older
// dialect only; absent means no.
func (c *sessionConfig) armed() bool { return !c.current.TriggerMitigation.Or(true) }

// transmission turns a set into the parameters of the CoAP session. All that is sent unasked are heartbeats, once each.
func transmission(set dots.ConfigSet) coap.Parameters {
	return carry.Transmission(coap.Parameters{RepeatInterval: neverRepeat}, set)
}

// anySet reports whether at least one of the six parameters is present. Those of robust block transfer do not count.
func anySet(s dots.ConfigSet) bool {
	return s.HeartbeatInterval.Set() || s.MissingHBAllowed.Set() || s.ProbingRate.Set() ||
		s.MaxRetransmit.Set() || s.AckTimeout.Set() || s.AckRandomFactor.Set()
}

// overlay returns the current values: as asked, else as offered.
func overlay(offer, asked dots.ConfigSet) dots.ConfigSet {
	return dots.ConfigSet{
		HeartbeatInterval: choose(offer.HeartbeatInterval, asked.HeartbeatInterval),
		MissingHBAllowed:  choose(offer.MissingHBAllowed, asked.MissingHBAllowed),
		ProbingRate:       choose(offer.ProbingRate, asked.ProbingRate),
		MaxRetransmit:     choose(offer.MaxRetransmit, asked.MaxRetransmit),
		AckTimeout:        choose(offer.AckTimeout, asked.AckTimeout),
		AckRandomFactor:   choose(offer.AckRandomFactor, asked.AckRandomFactor),
	}
}

func choose[T any](offer, asked dots.Bounds[T]) dots.Bounds[T] {
	return dots.Bounds[T]{Current: dots.Some(asked.Current.Or(offer.Current.Value))}
}

// withRanges returns the current values with the ranges of the offer.
func withRanges(offer, current dots.ConfigSet) dots.ConfigSet {
	return dots.ConfigSet{
		HeartbeatInterval: ranged(offer.HeartbeatInterval, current.HeartbeatInterval),
		MissingHBAllowed:  ranged(offer.MissingHBAllowed, current.MissingHBAllowed),
		ProbingRate:       ranged(offer.ProbingRate, current.ProbingRate),
		MaxRetransmit:     ranged(offer.MaxRetransmit, current.MaxRetransmit),
		AckTimeout:        ranged(offer.AckTimeout, current.AckTimeout),
		AckRandomFactor:   ranged(offer.AckRandomFactor, current.AckRandomFactor),
	}
}

func ranged[T any](offer, current dots.Bounds[T]) dots.Bounds[T] {
	return dots.Bounds[T]{Current: current.Current, Min: offer.Min, Max: offer.Max}
}

// outOfRange names the first parameter asked for that the offer does not allow, or returns nothing.
func outOfRange(offer, asked dots.ConfigSet) string {
	// RFC 9132, Section 4.5.2: a heartbeat-interval of 0 turns heartbeats off, whatever the range.
	interval := asked.HeartbeatInterval.Current
	switch {
	case !(interval.Set && interval.Value == 0) && !allowed(offer.HeartbeatInterval, asked.HeartbeatInterval):
		return "heartbeat-interval"
	case !allowed(offer.MissingHBAllowed, asked.MissingHBAllowed):
		return "missing-hb-allowed"
	case !allowed(offer.ProbingRate, asked.ProbingRate):
		return "probing-rate"
	case !allowed(offer.MaxRetransmit, asked.MaxRetransmit):
		return "max-retransmit"
	case !allowed(offer.AckTimeout, asked.AckTimeout):
		return "ack-timeout"
	case !allowed(offer.AckRandomFactor, asked.AckRandomFactor):
		return "ack-random-factor"
	}
	return ""
}

func allowed[T cmp.Ordered](offer, asked dots.Bounds[T]) bool {
	v := asked.Current
	return !v.Set || offer.Min.Value <= v.Value && v.Value <= offer.Max.Value
}
