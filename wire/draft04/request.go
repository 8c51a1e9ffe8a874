package draft04

import (
	"math"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// The mitigation request and the efficacy update, PUT signal: {1: {2: [{3 id, 4..12, 13}]}}
// (draft-ietf-dots-signal-channel-04, Section 5.3.1 and Section 5.3.4), and the bodies of GET and DELETE, {1: {2: [{3 id}]}}.

// maxID is the greatest mitigation-id, an int32 that may not be negative.
const maxID = math.MaxInt32

// readRequest reads the body of a PUT of a mitigation.
func readRequest(r *reader) (m dots.Request, err error) {
	var mid dots.Maybe[uint32]
	err = r.scopes(1, func(int) {}, func() error {
		return r.entries(keyScope, func(key uint64) (err error) {
			if done, err := r.target(key, &m.Target); done {
				return err
			}
			switch key {
			case keyMitigationID:
				mid, err = r.id()
			case keyLifetime:
				m.Lifetime, err = r.lifetime()
			case keyAttackStatus:
				m.Attack, err = r.attackStatus()
			default:
				err = r.stray(key)
			}
			return err
		})
	})
	switch {
	case err != nil:
		return dots.Request{}, err
	case !mid.Set:
		return dots.Request{}, missing(keyMitigationID)
	case m.Target.Empty():
		return dots.Request{}, dots.Refuse(dots.CodeBadRequest, "target missing")
	}
	m.MID = mid.Value
	if !m.Lifetime.Set && m.Attack == 0 {
		// draft-ietf-dots-signal-channel-04, Section 5.3.1: optional, 3600 seconds by default.
		m.Lifetime = dots.Some(dots.DefaultLifetime)
	}
	return m, nil
}

func (r *reader) id() (dots.Maybe[uint32], error) {
	v, err := r.uint(keyMitigationID, maxID)
	return dots.Maybe[uint32]{Value: uint32(v), Set: err == nil}, err
}

func (r *reader) lifetime() (dots.Maybe[dots.Lifetime], error) {
	v, ok := r.Int()
	if !ok {
		return dots.Maybe[dots.Lifetime]{}, bad(keyLifetime, "not an integer")
	}
	if v < -1 || v > math.MaxInt32 || v == 0 && !r.lenient {
		return dots.Maybe[dots.Lifetime]{}, bad(keyLifetime, "out of range")
	}
	return dots.Some(dots.Lifetime(v)), nil
}

func (r *reader) attackStatus() (dots.AttackStatus, error) {
	v, err := r.uint(keyAttackStatus, uint64(dots.AttackMitigated))
	if err == nil && v == 0 {
		err = bad(keyAttackStatus, "out of range")
	}
	return dots.AttackStatus(v), err
}

// readID reads a body that names one mitigation.
func readID(r *reader) (mid dots.Maybe[uint32], err error) {
	err = r.scopes(1, func(int) {}, func() error {
		return r.entries(keyScope, func(key uint64) (err error) {
			if key != keyMitigationID {
				return r.stray(key)
			}
			mid, err = r.id()
			return err
		})
	})
	if err == nil && !mid.Set {
		err = missing(keyMitigationID)
	}
	return mid, err
}

// writeRequest writes the body of a PUT of a mitigation.
func writeRequest(w *wire.Writer, m dots.Request, efficacy bool) error {
	if err := checkSayable(m.Target); err != nil {
		return err
	}
	switch {
	case m.OnSignalLoss:
		return dots.Refuse(dots.CodeBadRequest, "trigger-mitigation: only for a whole session")
	case len(m.ACLs) > 0:
		return dots.Refuse(dots.CodeBadRequest, "acl-list: cannot be controlled")
	case efficacy != m.Attack.Valid():
		return dots.Refuse(dots.CodeBadRequest, "attack-status: in an efficacy update and only there")
	case !efficacy && !m.Lifetime.Set, m.Lifetime.Set && !m.Lifetime.Value.Valid():
		return dots.Refuse(dots.CodeBadRequest, "lifetime missing or invalid")
	}
	beginScope(w)
	w.Element()
	w.BeginMap()
	w.Key(keyMitigationID)
	w.Uint(uint64(m.MID))
	writeTarget(w, m.Target)
	if m.Lifetime.Set {
		writeLifetime(w, m.Lifetime.Value)
	}
	if efficacy {
		w.Key(keyAttackStatus)
		w.Uint(uint64(m.Attack))
	}
	w.EndMap()
	endScope(w)
	return nil
}

func writeLifetime(w *wire.Writer, l dots.Lifetime) {
	w.Key(keyLifetime)
	w.Int(min(int64(l), math.MaxInt32))
}

func writeID(w *wire.Writer, mid uint32) {
	beginScope(w)
	w.Element()
	w.BeginMap()
	w.Key(keyMitigationID)
	w.Uint(uint64(mid))
	w.EndMap()
	endScope(w)
}

// beginScope opens {1: {2: [.
func beginScope(w *wire.Writer) {
	w.BeginMap()
	w.Key(keyMitigationScope)
	w.BeginMap()
	w.Key(keyScope)
	w.BeginArray()
}

// endScope closes ]}}.
func endScope(w *wire.Writer) {
	w.EndArray()
	w.EndMap()
	w.EndMap()
}
