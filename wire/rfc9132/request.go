package rfc9132

import (
	"errors"
	"math"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// The mitigation request, PUT mitigate (RFC 9132, Section 4.4.1), and the efficacy update, the same with If-Match
// and attack-status (RFC 9132, Section 4.4.3): {1: {2: [{6..14, 29, 45, 53, 128..}]}}.

// readRequest reads the body of a PUT of a mitigation.
func readRequest(r *reader, efficacy bool) (m dots.Request, err error) {
	// RFC 9132, Section 4.4.1: exactly one entry in scope.
	err = r.Scopes(1, func(int) {}, func() error {
		return r.Entries(keyScope, func(key uint64) error { return r.requestField(key, &m) })
	})
	if err != nil {
		return dots.Request{}, err
	}
	sortOptional(m.Optional)
	return m, complete(m, efficacy)
}

func (r *reader) requestField(key uint64, m *dots.Request) (err error) {
	if done, err := r.target(key, &m.Target); done {
		return err
	}
	if done, err := r.source(key, &m.Source); done {
		return err
	}
	switch key {
	case keyLifetime:
		m.Lifetime, err = r.lifetime()
		return err
	case keyTriggerMitigation:
		trigger, err := r.ReadBool(key)
		m.OnSignalLoss = err == nil && !trigger
		return err
	case keyAttackStatus:
		v, err := r.ReadEnum(key, uint64(dots.AttackMitigated))
		m.Attack = dots.AttackStatus(v)
		return err
	case keyControlACLList:
		m.ACLs, err = r.acls()
		return err
	case keyCDID, keyCUID, keyMID:
		// RFC 9132, Section 4.4.1: these are in the path and never in a request's body.
		return bad(key, "not allowed in the body")
	}
	if key >= keyMitigationStart && key <= keyPPSDropped {
		return bad(key, "only a server sends it")
	}
	return r.keep(key, &m.Optional)
}

// complete checks what a request must have.
func complete(m dots.Request, efficacy bool) error {
	switch {
	case m.Target.Empty():
		// RFC 9132, Section 4.4.1: at least one of target-prefix, target-fqdn, target-uri and alias-name.
		return dots.Refuse(dots.CodeBadRequest, "target missing")
	case !efficacy && !m.Lifetime.Set:
		return bad(keyLifetime, "missing")
	case !efficacy && m.Attack != 0:
		return bad(keyAttackStatus, "only with If-Match")
	case efficacy && m.Attack == 0:
		// RFC 9132, Section 4.4.3: mandatory in an efficacy update; its lifetime may be left out, as the example does.
		return bad(keyAttackStatus, "missing")
	case efficacy && len(m.ACLs) > 0:
		// RFC 9133, Section 3.2: an efficacy update carries no ACL data.
		return bad(keyControlACLList, "not in an efficacy update")
	}
	return nil
}

// writeRequest writes the body of a PUT of a mitigation.
func writeRequest(w *wire.Writer, m dots.Request, efficacy bool) error {
	if err := checkOptional(m.Optional); err != nil {
		return err
	}
	if m.Lifetime.Set && !m.Lifetime.Value.Valid() {
		return errors.New("writing a mitigation request: not a lifetime")
	}
	if err := complete(m, efficacy); err != nil {
		return errors.New("writing a mitigation request: " + dots.AsError(err).Text)
	}
	w.BeginScope()
	w.Element()
	w.BeginMap()
	writeTarget(w, m.Target)
	if m.Lifetime.Set {
		w.Key(keyLifetime)
		w.Int(int64(m.Lifetime.Value))
	}
	if efficacy {
		w.Key(keyAttackStatus)
		w.Uint(uint64(m.Attack))
	}
	writeTrigger(w, m.OnSignalLoss)
	writeACLs(w, m.ACLs)
	writeExtensions(w, m.Source, m.Optional)
	w.EndMap()
	w.EndScope()
	return nil
}

// writeTrigger writes trigger-mitigation where it is not the default, true.
func writeTrigger(w *wire.Writer, onSignalLoss bool) {
	if onSignalLoss {
		w.Key(keyTriggerMitigation)
		w.Bool(false)
	}
}

// mid reads a mid, which only a server's body has.
func (r *reader) mid() (dots.Maybe[uint32], error) { return r.ReadMID(keyMID, math.MaxUint32) }

func (r *reader) lifetime() (dots.Maybe[dots.Lifetime], error) {
	return r.ReadLifetime(keyLifetime, math.MaxUint32)
}
