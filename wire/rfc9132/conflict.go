package rfc9132

import (
	"math"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// The conflict of a 2.01, a 4.09 or a report (RFC 9132, Section 4.4.1.3):
// 17: {18 status, 19 cause, 20 retry-timer, 21: {5 mid, 6..13 target, 22: [{23 name, 24 type}]}}.

// conflict reads conflict-information, which only a server sends.
func (r *reader) conflict(into *dots.Maybe[dots.Conflict]) error {
	var c dots.Conflict
	err := r.Entries(keyConflict, func(key uint64) error {
		switch key {
		case keyConflictStatus:
			v, err := r.ReadEnum(key, math.MaxUint8)
			c.Status = dots.ConflictStatus(v)
			return err
		case keyConflictCause:
			v, err := r.ReadEnum(key, math.MaxUint8)
			c.Cause = dots.ConflictCause(v)
			return err
		case keyRetryTimer:
			v, err := r.ReadUint(key, math.MaxUint32)
			c.RetryTimer = uint32(v)
			return err
		case keyConflictScope:
			return r.Entries(key, func(key uint64) error { return r.conflictScope(key, &c) })
		}
		return r.Stray(key)
	})
	*into = dots.Some(c)
	return err
}

func (r *reader) conflictScope(key uint64, c *dots.Conflict) (err error) {
	if done, err := r.target(key, &c.Scope); done {
		return err
	}
	switch key {
	case keyMID:
		c.MID, err = r.mid()
		return err
	case keyACLList:
		c.ACLs, err = wire.ReadList(&r.Reader, key, smallestACL, r.aclRef)
		return err
	}
	return r.Stray(key)
}

func (r *reader) aclRef() (a dots.ACLRef, err error) {
	err = r.Entries(keyACLList, func(key uint64) (err error) {
		switch key {
		case keyACLName:
			a.Name, err = r.ReadText(key, wire.CheckText)
		case keyACLType:
			a.Type, err = r.ReadText(key, wire.CheckText)
		default:
			err = r.Stray(key)
		}
		return err
	})
	if err == nil && a.Name == "" {
		err = r.Missing(keyACLName)
	}
	return a, err
}

// writeConflict writes the key 17 and its value.
func writeConflict(w *wire.Writer, c dots.Conflict) {
	if c.Cause == dots.CauseCUIDCollision {
		// RFC 9132, Section 4.4.1: a cuid collision tells its cause and nothing else.
		c = dots.Conflict{Cause: c.Cause}
	}
	w.Key(keyConflict)
	w.BeginMap()
	if c.Status != 0 {
		w.Key(keyConflictStatus)
		w.Uint(uint64(c.Status))
	}
	if c.Cause != 0 {
		w.Key(keyConflictCause)
		w.Uint(uint64(c.Cause))
	}
	if c.RetryTimer != 0 {
		w.Key(keyRetryTimer)
		w.Uint(uint64(c.RetryTimer))
	}
	writeConflictScope(w, c)
	w.EndMap()
}

func writeConflictScope(w *wire.Writer, c dots.Conflict) {
	// RFC 9132, Section 4.4.1.3: access lists are a scope only of a conflict with an accept-list.
	lists := c.Cause == dots.CauseAcceptList && len(c.ACLs) > 0
	// Ports and protocols alone may be all that a server tells of an overlap.
	hasTarget := !c.Scope.Empty() || len(c.Scope.Ports) > 0 || len(c.Scope.Protocols) > 0
	if !c.MID.Set && !hasTarget && !lists {
		return
	}
	w.Key(keyConflictScope)
	w.BeginMap()
	if c.MID.Set {
		w.Key(keyMID)
		w.Uint(uint64(c.MID.Value))
	}
	writeTarget(w, c.Scope)
	if lists {
		writeACLRefs(w, c.ACLs)
	}
	w.EndMap()
}

func writeACLRefs(w *wire.Writer, list []dots.ACLRef) {
	w.Key(keyACLList)
	w.BeginArray()
	for _, a := range list {
		w.Element()
		w.BeginMap()
		w.Key(keyACLName)
		w.Text(a.Name)
		if a.Type != "" {
			w.Key(keyACLType)
			w.Text(a.Type)
		}
		w.EndMap()
	}
	w.EndArray()
}
