package rfc9132

import (
	"math"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// The session configuration, PUT config and the answer to GET config (RFC 9132, Section 4.5):
// {30: {32: {33: {36}, 39: {43}, ...}, 44: {...}}}. Only a server tells ranges.

// integers returns the parameter that is an integer under key, or nil.
func integers(key uint64, s *dots.ConfigSet) *dots.Bounds[uint16] {
	switch key {
	case keyHeartbeatInterval:
		return &s.HeartbeatInterval
	case keyMissingHBAllowed:
		return &s.MissingHBAllowed
	case keyMaxRetransmit:
		return &s.MaxRetransmit
	case keyProbingRate:
		return &s.ProbingRate
	case keyMaxPayloads:
		return &s.Robust.MaxPayloads
	case keyNonMaxRetransmit:
		return &s.Robust.NonMaxRetransmit
	}
	return nil
}

// decimals returns the parameter that is a decimal under key, or nil.
func decimals(key uint64, s *dots.ConfigSet) *dots.Bounds[dots.Decimal] {
	switch key {
	case keyAckTimeout:
		return &s.AckTimeout
	case keyAckRandomFactor:
		return &s.AckRandomFactor
	case keyNonTimeout:
		return &s.Robust.NonTimeout
	case keyNonReceiveTimeout:
		return &s.Robust.NonReceiveTimeout
	case keyNonProbingWait:
		return &s.Robust.NonProbingWait
	case keyNonPartialWait:
		return &s.Robust.NonPartialWait
	}
	return nil
}

// parameterKeys are the parameters of a set in the order of their keys.
func parameterKeys() [12]uint64 {
	return [12]uint64{
		keyHeartbeatInterval, keyMissingHBAllowed, keyMaxRetransmit, keyAckTimeout, keyAckRandomFactor, keyProbingRate,
		keyMaxPayloads, keyNonMaxRetransmit, keyNonTimeout, keyNonReceiveTimeout, keyNonProbingWait, keyNonPartialWait,
	}
}

func readConfig(r *reader) (c dots.SessionConfig, err error) {
	sets := 0
	err = r.Body(keySignalConfig, func() error {
		return r.Entries(keySignalConfig, func(key uint64) error {
			switch key {
			case keyMitigatingConfig:
				sets++
				return r.configSet(key, &c.Mitigating)
			case keyIdleConfig:
				sets++
				return r.configSet(key, &c.Idle)
			case keySID:
				if !r.Lenient {
					// RFC 9132, Section 4.5.2: the sid is in the path.
					return bad(key, "not allowed in the body")
				}
			}
			return r.Stray(key)
		})
	})
	if err == nil && sets == 0 && !r.Lenient {
		// RFC 9132, Section 4.5.2: at least one parameter is present; each set that is present has one.
		err = bad(keySignalConfig, "no parameter")
	}
	return c, err
}

func (r *reader) configSet(within uint64, s *dots.ConfigSet) error {
	parameters := 0
	err := r.Entries(within, func(key uint64) error {
		if p := integers(key, s); p != nil {
			parameters++
			return readBounds(r, key, p, integerKind())
		}
		if p := decimals(key, s); p != nil {
			parameters++
			return readBounds(r, key, p, decimalKind())
		}
		return r.Stray(key)
	})
	if err == nil && parameters == 0 && !r.Incomplete() && !r.Lenient {
		err = bad(within, "no parameter")
	}
	if err == nil && !r.Lenient && s.AckRandomFactor.Current.Or(minRandomFactor) < minRandomFactor {
		err = bad(keyAckRandomFactor, "below 1.00")
	}
	return err
}

// minRandomFactor is 1.00: RFC 7252, Section 4.8.1: ACK_RANDOM_FACTOR must not be decreased below 1.0.
const minRandomFactor dots.Decimal = 100

// kind is how the values of a parameter are keyed, read and written.
type kind[T any] struct {
	max, min, current uint64
	read              func(r *reader, key uint64) (T, error)
	write             func(w *wire.Writer, v T)
}

func integerKind() kind[uint16] {
	return kind[uint16]{
		max: keyMaxValue, min: keyMinValue, current: keyCurrentValue,
		read: (*reader).integer, write: func(w *wire.Writer, v uint16) { w.Uint(uint64(v)) },
	}
}

func decimalKind() kind[dots.Decimal] {
	return kind[dots.Decimal]{
		max: keyMaxDecimal, min: keyMinDecimal, current: keyCurrentDecimal,
		read: (*reader).decimal, write: func(w *wire.Writer, v dots.Decimal) { w.Hundredths(int64(v)) },
	}
}

func readBounds[T any](r *reader, parameter uint64, b *dots.Bounds[T], k kind[T]) error {
	err := r.Entries(parameter, func(key uint64) error {
		into := &b.Current
		switch key {
		case k.max:
			into = &b.Max
		case k.min:
			into = &b.Min
		case k.current:
		default:
			return r.Stray(key)
		}
		// RFC 9132, Section 4.5.2: a client sends current values only.
		if key != k.current && !r.Lenient {
			return bad(key, "only a server sends it")
		}
		v, err := k.read(r, key)
		*into = dots.Maybe[T]{Value: v, Set: err == nil}
		return err
	})
	if err == nil && !b.Current.Set && !r.Incomplete() && !r.Lenient {
		err = bad(parameter, "empty")
	}
	return err
}

func (r *reader) integer(key uint64) (uint16, error) {
	v, err := r.ReadUint(key, math.MaxUint16)
	return uint16(v), err
}

// decimal reads a decimal. A server may also send an integer.
func (r *reader) decimal(key uint64) (dots.Decimal, error) {
	if v, ok := r.Decimal(); ok {
		if v < 0 {
			return 0, bad(key, "negative")
		}
		return v, nil
	}
	if !r.Lenient {
		return 0, bad(key, "not a decimal of two digits")
	}
	v, err := r.ReadUint(key, math.MaxUint32)
	return dots.Decimal(v) * 100, err
}

// writeConfig writes a configuration; ranges too where it is a server's.
func writeConfig(w *wire.Writer, c dots.SessionConfig, ranges bool) {
	w.BeginMap()
	w.Key(keySignalConfig)
	w.BeginMap()
	writeSet(w, keyMitigatingConfig, c.Mitigating, ranges)
	writeSet(w, keyIdleConfig, c.Idle, ranges)
	w.EndMap()
	w.EndMap()
}

// present reports whether a parameter is to be written.
func present[T any](b *dots.Bounds[T], ranges bool) bool {
	return b != nil && (b.Current.Set || ranges && b.Set())
}

func writeSet(w *wire.Writer, set uint64, s dots.ConfigSet, ranges bool) {
	if empty(s, ranges) {
		return
	}
	w.Key(set)
	w.BeginMap()
	for _, key := range parameterKeys() {
		if b := integers(key, &s); present(b, ranges) {
			w.Key(key)
			writeBounds(w, *b, ranges, integerKind())
		}
		if b := decimals(key, &s); present(b, ranges) {
			w.Key(key)
			writeBounds(w, *b, ranges, decimalKind())
		}
	}
	w.EndMap()
}

// empty reports whether nothing of a set is to be written.
func empty(s dots.ConfigSet, ranges bool) bool {
	for _, key := range parameterKeys() {
		if present(integers(key, &s), ranges) || present(decimals(key, &s), ranges) {
			return false
		}
	}
	return true
}

func writeBounds[T any](w *wire.Writer, b dots.Bounds[T], ranges bool, k kind[T]) {
	value := func(key uint64, v dots.Maybe[T], wanted bool) {
		if v.Set && wanted {
			w.Key(key)
			k.write(w, v.Value)
		}
	}
	w.BeginMap()
	value(k.max, b.Max, ranges)
	value(k.min, b.Min, ranges)
	value(k.current, b.Current, true)
	w.EndMap()
}
