package downstream

import (
	"cmp"
	"fmt"

	"github.com/dotsgate/dotsgate/dots"
)

// DefaultSession returns the session parameters that RFC 9132, Section 4.5.2 recommends, and the ranges of its
// examples: in both sets a heartbeat each 30 s (15 to 240), 15 missing ones allowed (3 to 20), a probing rate of
// 5 bytes per second (5 to 20), 3 retransmissions (2 to 15), an ack-timeout of 2.00 s (1.00 to 30.00) and an
// ack-random-factor of 1.50 (1.10 to 4.00).
func DefaultSession() dots.SessionConfig {
	set := dots.ConfigSet{
		HeartbeatInterval: bounds[uint16](30, 15, 240),
		MissingHBAllowed:  bounds[uint16](15, 3, 20),
		ProbingRate:       bounds[uint16](5, 5, 20),
		MaxRetransmit:     bounds[uint16](3, 2, 15),
		AckTimeout:        bounds[dots.Decimal](200, 100, 3000),
		AckRandomFactor:   bounds[dots.Decimal](150, 110, 400),
	}
	return dots.SessionConfig{Mitigating: set, Idle: set}
}

func bounds[T any](current, least, most T) dots.Bounds[T] {
	return dots.Bounds[T]{Current: dots.Some(current), Min: dots.Some(least), Max: dots.Some(most)}
}

// fillSet takes what a set leaves out from DefaultSession. Robust block transfer is not offered.
func fillSet(s dots.ConfigSet) dots.ConfigSet {
	d := DefaultSession().Idle
	return dots.ConfigSet{
		HeartbeatInterval: fill(s.HeartbeatInterval, d.HeartbeatInterval),
		MissingHBAllowed:  fill(s.MissingHBAllowed, d.MissingHBAllowed),
		ProbingRate:       fill(s.ProbingRate, d.ProbingRate),
		MaxRetransmit:     fill(s.MaxRetransmit, d.MaxRetransmit),
		AckTimeout:        fill(s.AckTimeout, d.AckTimeout),
		AckRandomFactor:   fill(s.AckRandomFactor, d.AckRandomFactor),
	}
}

// fill takes each value that b leaves out from def; a default range is widened to hold a current value outside it.
func fill[T cmp.Ordered](b, def dots.Bounds[T]) dots.Bounds[T] {
	current := b.Current.Or(def.Current.Value)
	return dots.Bounds[T]{
		Current: dots.Some(current),
		Min:     dots.Some(b.Min.Or(min(def.Min.Value, current))),
		Max:     dots.Some(b.Max.Or(max(def.Max.Value, current))),
	}
}

// checkSet tells which parameter's default lies outside its own range.
func checkSet(name string, s dots.ConfigSet) error {
	for _, p := range []struct {
		name string
		ok   bool
	}{
		{"heartbeat-interval", s.HeartbeatInterval.Current.Value == 0 || within(s.HeartbeatInterval)},
		{"missing-hb-allowed", within(s.MissingHBAllowed)},
		{"probing-rate", within(s.ProbingRate)},
		{"max-retransmit", within(s.MaxRetransmit)},
		{"ack-timeout", within(s.AckTimeout) && s.AckTimeout.Min.Value > 0},
		{"ack-random-factor", within(s.AckRandomFactor) && s.AckRandomFactor.Min.Value >= 100},
	} {
		if !p.ok {
			return fmt.Errorf("session parameter %s of the %s set is outside its range", p.name, name)
		}
	}
	return nil
}

func within[T cmp.Ordered](b dots.Bounds[T]) bool {
	return b.Min.Value <= b.Current.Value && b.Current.Value <= b.Max.Value
}
