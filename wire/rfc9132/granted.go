package rfc9132

import (
	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// The answer to a mitigation request (RFC 9132, Section 4.4.1.3): 2.01 and 2.04 with {1: {2: [{5 mid, 14 lifetime, 17 conflict}]}},
// 4.09 with {1: {2: [{5 mid, 17 conflict}]}}, and 5.03 with the access lists that could not
// be applied, {1: {2: [{5 mid, 53 acl-list}]}} (RFC 9133, Section 3.3).

// verdict is what one scope entry of such an answer may hold.
type verdict struct {
	mid      dots.Maybe[uint32]
	lifetime dots.Maybe[dots.Lifetime]
	conflict dots.Maybe[dots.Conflict]
	acls     []dots.ACLControl
}

// readVerdict reads the answer to a mitigation request. Of several entries, which no server should send, the last counts.
func readVerdict(r *reader) (v verdict, err error) {
	err = r.Scopes(wire.MaxArray, func(int) {}, func() error {
		return r.Entries(keyScope, func(key uint64) (err error) {
			switch key {
			case keyMID:
				v.mid, err = r.mid()
			case keyLifetime:
				v.lifetime, err = r.lifetime()
			case keyConflict:
				err = r.conflict(&v.conflict)
			case keyControlACLList:
				v.acls, err = r.acls()
			default:
				err = r.Stray(key)
			}
			return err
		})
	})
	return v, err
}

func writeVerdict(w *wire.Writer, v verdict) {
	w.BeginScope()
	w.Element()
	w.BeginMap()
	if v.mid.Set {
		w.Key(keyMID)
		w.Uint(uint64(v.mid.Value))
	}
	if v.lifetime.Set {
		w.Key(keyLifetime)
		w.Int(int64(v.lifetime.Value))
	}
	if v.conflict.Set {
		writeConflict(w, v.conflict.Value)
	}
	writeACLs(w, v.acls)
	w.EndMap()
	w.EndScope()
}
