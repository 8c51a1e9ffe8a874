package draft04

import (
	"errors"
	"math"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// The session configuration: PUT config with {14: {26 id, 15..18 scalars, 27 trigger, 28}}, the answer to GET config with
// {15: {19 min, 20 max, 29 current}, ...}, and the bodies of GET and DELETE, {14: {26 id}}
// (draft-ietf-dots-signal-channel-04, Section 5.4).

// integers returns the parameter that is an integer under key, or nil.
func integers(key uint64, s *dots.ConfigSet) *dots.Bounds[uint16] {
	switch key {
	case keyHeartbeatInterval:
		return &s.HeartbeatInterval
	case keyMaxRetransmit:
		return &s.MaxRetransmit
	case keyMissingHBAllowed:
		return &s.MissingHBAllowed
	}
	return nil
}

// decimals returns the parameter that is a decimal above this package under key, or nil.
func decimals(key uint64, s *dots.ConfigSet) *dots.Bounds[dots.Decimal] {
	switch key {
	case keyAckTimeout:
		return &s.AckTimeout
	case keyAckRandomFactor:
		return &s.AckRandomFactor
	}
	return nil
}

// parameter reads one of the parameters; done is false where key is none of them.
func (r *reader) parameter(key uint64, c *dots.SessionConfig) (done bool, err error) {
	if b := integers(key, &c.Mitigating); b != nil {
		return true, readBounds(r, key, b, r.whole)
	}
	if b := decimals(key, &c.Mitigating); b != nil {
		return true, readBounds(r, key, b, r.hundredths)
	}
	if key != keyTriggerMitigation {
		return false, nil
	}
	v, ok := r.Bool()
	if !ok {
		return true, r.Bad(key, "not a boolean")
	}
	c.TriggerMitigation = dots.Some(v)
	return true, nil
}

// readBounds reads a parameter: a scalar from a client, a map from a server.
func readBounds[T any](r *reader, parameter uint64, b *dots.Bounds[T], value func(key uint64) (T, error)) error {
	read := func(key uint64, into *dots.Maybe[T]) error {
		v, err := value(key)
		*into = dots.Maybe[T]{Value: v, Set: err == nil}
		return err
	}
	if !r.Lenient || r.Major() != wire.MajorMap {
		return read(parameter, &b.Current)
	}
	return r.Entries(parameter, func(key uint64) error {
		switch key {
		case keyCurrentValue:
			return read(key, &b.Current)
		case keyMinValue:
			return read(key, &b.Min)
		case keyMaxValue:
			return read(key, &b.Max)
		}
		return r.Stray(key)
	})
}

// whole reads an int16 that is not negative; a server may write it as a float.
func (r *reader) whole(key uint64) (uint16, error) {
	if !r.Lenient {
		v, err := r.ReadUint(key, math.MaxInt16)
		return uint16(v), err
	}
	v, err := r.hundredths(key)
	if err == nil && v%100 != 0 {
		err = r.Bad(key, "not an integer")
	}
	return uint16(v / 100), err
}

// hundredths reads a number of either kind. A client's ack-timeout is an integer.
func (r *reader) hundredths(key uint64) (dots.Decimal, error) {
	if v, ok := r.Uint(); ok && v <= math.MaxInt16 {
		return dots.Decimal(v) * 100, nil
	}
	if key != keyAckTimeout || r.Lenient {
		if f, ok := r.Float(); ok && f >= 0 && f <= math.MaxInt16 {
			return dots.Decimal(math.Round(f * 100)), nil
		}
	}
	return 0, r.Bad(key, "not a number in range")
}

// readConfig reads the body of a PUT.
func readConfig(r *reader) (c dots.SessionConfig, sid dots.Maybe[uint64], err error) {
	parameters := 0
	err = r.Body(keySignalConfig, func() error {
		return r.Entries(keySignalConfig, func(key uint64) error {
			if done, err := r.parameter(key, &c); done {
				parameters++
				return err
			}
			return r.sessionID(key, &sid)
		})
	})
	switch {
	case err != nil:
	case !sid.Set:
		err = r.Missing(keySessionID)
	case parameters == 0:
		// draft-ietf-dots-signal-channel-04, Section 5.4.2: at least one of the parameters is present.
		err = dots.Refuse(dots.CodeBadRequest, "signal-config: no parameter")
	case c.Mitigating.AckRandomFactor.Current.Or(minRandomFactor) < minRandomFactor:
		err = r.Bad(keyAckRandomFactor, "below 1.0")
	}
	c.Idle = c.Mitigating
	return c, sid, err
}

// minRandomFactor is 1.00: RFC 7252, Section 4.8.1: ACK_RANDOM_FACTOR must not be decreased below 1.0.
const minRandomFactor dots.Decimal = 100

// sessionID reads session-id. The draft's own example has one of more than 32 bits.
func (r *reader) sessionID(key uint64, into *dots.Maybe[uint64]) error {
	if key != keySessionID {
		return r.Stray(key)
	}
	v, err := r.ReadUint(key, math.MaxUint64)
	*into = dots.Maybe[uint64]{Value: v, Set: err == nil}
	return err
}

// readSessionID reads a body that names one configuration.
func readSessionID(r *reader) (sid dots.Maybe[uint64], err error) {
	err = r.Body(keySignalConfig, func() error {
		return r.Entries(keySignalConfig, func(key uint64) error { return r.sessionID(key, &sid) })
	})
	if err == nil && !sid.Set {
		err = r.Missing(keySessionID)
	}
	return sid, err
}

// readConfigAnswer reads the answer to a GET, with signal-config around it or without.
func readConfigAnswer(r *reader) (c dots.SessionConfig, err error) {
	field := func(key uint64) error {
		if done, err := r.parameter(key, &c); done {
			return err
		}
		return r.Stray(key)
	}
	err = r.Entries(wire.BodyKey, func(key uint64) error {
		if key == keySignalConfig {
			return r.Entries(key, field)
		}
		return field(key)
	})
	c.Idle = c.Mitigating
	return c, err
}

// set returns the one set of parameters that this dialect can say.
func set(c dots.SessionConfig) dots.ConfigSet {
	for key := uint64(keyHeartbeatInterval); key <= keyMissingHBAllowed; key++ {
		i, d := integers(key, &c.Mitigating), decimals(key, &c.Mitigating)
		if i != nil && i.Set() || d != nil && d.Set() {
			return c.Mitigating
		}
	}
	return c.Idle
}

// writeConfig writes the body of a PUT.
func writeConfig(w *wire.Writer, c dots.SessionConfig, sid uint64) error {
	s, parameters := set(c), 0
	w.BeginMap()
	w.Key(keySignalConfig)
	w.BeginMap()
	for key := uint64(keyHeartbeatInterval); key <= keyMissingHBAllowed; key++ {
		written, err := writeScalar(w, key, &s, c.TriggerMitigation)
		if err != nil {
			return err
		}
		if written {
			parameters++
		}
		if key == keySessionID {
			w.Key(key)
			w.Uint(sid)
		}
	}
	w.EndMap()
	w.EndMap()
	if parameters == 0 {
		return errors.New("no parameter")
	}
	return nil
}

// writeScalar writes a parameter's current value, if there is one under key.
func writeScalar(w *wire.Writer, key uint64, s *dots.ConfigSet, trigger dots.Maybe[bool]) (bool, error) {
	if b := integers(key, s); b != nil && b.Current.Set {
		if b.Current.Value > math.MaxInt16 {
			return false, errors.New(name(key) + " beyond 16 bits with sign")
		}
		w.Key(key)
		w.Uint(uint64(b.Current.Value))
		return true, nil
	}
	if b := decimals(key, s); b != nil && b.Current.Set {
		if b.Current.Value < 0 || b.Current.Value > math.MaxInt16*100 || key == keyAckTimeout && b.Current.Value%100 != 0 {
			return false, errors.New(name(key) + " negative, too large or not in whole seconds")
		}
		w.Key(key)
		writeDecimal(w, key, b.Current.Value)
		return true, nil
	}
	if key == keyTriggerMitigation && trigger.Set {
		w.Key(key)
		w.Bool(trigger.Value)
		return true, nil
	}
	return false, nil
}

// writeDecimal writes ack-timeout as an integer, rounded up, and ack-random-factor as a float.
func writeDecimal(w *wire.Writer, parameter uint64, v dots.Decimal) {
	if parameter == keyAckTimeout {
		w.Uint(uint64(max(v, 0)+99) / 100)
		return
	}
	w.Float(float64(v) / 100)
}

// writeConfigAnswer writes the answer to a GET, without signal-config around it, as the figure has it.
func writeConfigAnswer(w *wire.Writer, c dots.SessionConfig) {
	s := set(c)
	w.BeginMap()
	for key := uint64(keyHeartbeatInterval); key <= keyMissingHBAllowed; key++ {
		if b := integers(key, &s); b != nil && b.Set() {
			w.Key(key)
			writeBounds(w, *b, func(v uint16) { w.Uint(min(uint64(v), math.MaxInt16)) })
		}
		if b := decimals(key, &s); b != nil && b.Set() {
			w.Key(key)
			writeBounds(w, *b, func(v dots.Decimal) { writeDecimal(w, key, v) })
		}
		if key == keyTriggerMitigation && c.TriggerMitigation.Set {
			w.Key(key)
			w.Bool(c.TriggerMitigation.Value)
		}
	}
	w.EndMap()
}

func writeBounds[T any](w *wire.Writer, b dots.Bounds[T], value func(T)) {
	w.BeginMap()
	if b.Min.Set {
		w.Key(keyMinValue)
		value(b.Min.Value)
	}
	if b.Max.Set {
		w.Key(keyMaxValue)
		value(b.Max.Value)
	}
	if b.Current.Set {
		w.Key(keyCurrentValue)
		value(b.Current.Value)
	}
	w.EndMap()
}
