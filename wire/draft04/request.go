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
	err = r.Scopes(1, func(int) {}, func() error {
		return r.Entries(keyScope, func(key uint64) (err error) {
			if done, err := r.target(key, &m.Target); done {
				return err
			}
			switch key {
			case keyMitigationID:
				mid, err = r.id()
			case keyLifetime:
				m.Lifetime, err = r.lifetime()
			case keyAttackStatus:
				var v uint8
				v, err = r.ReadEnum(key, uint64(dots.AttackMitigated))
				m.Attack = dots.AttackStatus(v)
			default:
				err = r.Stray(key)
			}
			return err
		})
	})
	switch {
	case err != nil:
		return dots.Request{}, err
	case !mid.Set:
		return dots.Request{}, r.Missing(keyMitigationID)
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

func (r *reader) id() (dots.Maybe[uint32], error) { return r.ReadMID(keyMitigationID, maxID) }

func (r *reader) lifetime() (dots.Maybe[dots.Lifetime], error) {
	return r.ReadLifetime(keyLifetime, math.MaxInt32)
}

// readID reads a body that names one mitigation.
func readID(r *reader) (mid dots.Maybe[uint32], err error) {
	err = r.Scopes(1, func(int) {}, func() error {
		return r.Entries(keyScope, func(key uint64) (err error) {
			if key != keyMitigationID {
				return r.Stray(key)
			}
			mid, err = r.id()
			return err
		})
	})
	if err == nil && !mid.Set {
		err = r.Missing(keyMitigationID)
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
	w.BeginScope()
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
	w.EndScope()
	return nil
}

func writeLifetime(w *wire.Writer, l dots.Lifetime) {
	w.Key(keyLifetime)
	w.Int(min(int64(l), math.MaxInt32))
}

func writeID(w *wire.Writer, mid uint32) {
	w.BeginScope()
	w.Element()
	w.BeginMap()
	w.Key(keyMitigationID)
	w.Uint(uint64(mid))
	w.EndMap()
	w.EndScope()
}
