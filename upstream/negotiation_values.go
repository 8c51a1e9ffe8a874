package upstream

import (
	"cmp"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// minInterval is the least heartbeat-interval that we take from a server without having asked for it.
//
// RFC 9132, Section 4.5.2: heartbeats are not sent more often than every 15 seconds.
const minInterval = 15

// sets applies f to both sets of a configuration and another one.
func sets(a, b dots.SessionConfig, f func(a, b dots.ConfigSet) dots.ConfigSet) dots.SessionConfig {
	return dots.SessionConfig{Mitigating: f(a.Mitigating, b.Mitigating), Idle: f(a.Idle, b.Idle)}
}

// choose is what we ask for: what is wanted, as far as it lies in the server's ranges (RFC 9132, Section 4.5.2).
func choose(wish, ranges dots.SessionConfig) dots.SessionConfig {
	return sets(wish, ranges, func(w, r dots.ConfigSet) dots.ConfigSet {
		chosen := dots.ConfigSet{
			HeartbeatInterval: within(w.HeartbeatInterval, r.HeartbeatInterval),
			MissingHBAllowed:  within(w.MissingHBAllowed, r.MissingHBAllowed),
			ProbingRate:       within(w.ProbingRate, r.ProbingRate),
			MaxRetransmit:     within(w.MaxRetransmit, r.MaxRetransmit),
			AckTimeout:        within(w.AckTimeout, r.AckTimeout),
			AckRandomFactor:   within(w.AckRandomFactor, r.AckRandomFactor),
		}
		if w.HeartbeatInterval.Current == dots.Some[uint16](0) {
			// RFC 9132, Section 4.5.2: 0 turns heartbeats off, whatever the range.
			chosen.HeartbeatInterval = w.HeartbeatInterval
		}
		return chosen
	})
}

// within brings a value that is wanted into a range.
func within[T cmp.Ordered](wish, r dots.Bounds[T]) dots.Bounds[T] {
	v := wish.Current
	if v.Set && r.Max.Set {
		v.Value = min(v.Value, r.Max.Value)
	}
	if v.Set && r.Min.Set {
		v.Value = max(v.Value, r.Min.Value)
	}
	return dots.Bounds[T]{Current: v}
}

// bounded is what is put in force of a server's values: no heartbeats that are too close together, but where we asked for them.
func bounded(told, asked dots.SessionConfig) dots.SessionConfig {
	return sets(told, asked, func(t, a dots.ConfigSet) dots.ConfigSet {
		t = current(t)
		if v := &t.HeartbeatInterval.Current; v.Set && *v != a.HeartbeatInterval.Current && v.Value != 0 {
			v.Value = max(v.Value, minInterval)
		}
		return t
	})
}

// current leaves the current values of the six parameters alone.
func current(s dots.ConfigSet) dots.ConfigSet {
	return dots.ConfigSet{
		HeartbeatInterval: within(s.HeartbeatInterval, dots.Bounds[uint16]{}),
		MissingHBAllowed:  within(s.MissingHBAllowed, dots.Bounds[uint16]{}),
		ProbingRate:       within(s.ProbingRate, dots.Bounds[uint16]{}),
		MaxRetransmit:     within(s.MaxRetransmit, dots.Bounds[uint16]{}),
		AckTimeout:        within(s.AckTimeout, dots.Bounds[dots.Decimal]{}),
		AckRandomFactor:   within(s.AckRandomFactor, dots.Bounds[dots.Decimal]{}),
	}
}

// usedOver leaves out what has no meaning on a transport: RFC 9132, Section 4.5.2: over TCP the heartbeats' interval alone has one.
func usedOver(reliable bool, wish dots.SessionConfig) dots.SessionConfig {
	if !reliable {
		return wish
	}
	return sets(wish, wish, func(w, _ dots.ConfigSet) dots.ConfigSet {
		return dots.ConfigSet{HeartbeatInterval: w.HeartbeatInterval}
	})
}

// heartbeats is the interval of a set, 0 for none, and how many may go unanswered; what is absent is as configured for all uplinks.
func (c Config) heartbeats(set dots.ConfigSet) (interval time.Duration, missing int) {
	interval, missing = max(c.HeartbeatInterval, 0), c.MissingAllowed
	if v := set.HeartbeatInterval.Current; v.Set {
		interval = time.Duration(v.Value) * time.Second
	}
	if v := set.MissingHBAllowed.Current; v.Set && v.Value > 0 {
		missing = int(v.Value)
	}
	return interval, missing
}
