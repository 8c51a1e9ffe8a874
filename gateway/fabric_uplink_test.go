package gateway

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// simUplink is a server with the session to it: what is wanted of it, and what stands there.
type simUplink struct {
	name    string
	up      bool
	epoch   int // counts sessions
	wanted  map[dots.LegKey]dots.Leg
	said    map[dots.LegKey]simVerdict
	stands  map[dots.LegKey]*simLeg
	extents map[dots.LegKey]*simLeg // of what is wanted
	refuses int                     // so many PUTs
	code    dots.Code
}

// simVerdict is what the server answered to a revision of a leg.
type simVerdict struct {
	revision       uint64
	withdraw, good bool
	epoch          int
}

// simLeg is a mitigation at a server.
type simLeg struct {
	extent
	request dots.Request
	soft    area      // where its names lead
	expires time.Time // zero: never
}

func newSimUplink(name string) *simUplink {
	return &simUplink{
		name: name, wanted: map[dots.LegKey]dots.Leg{}, said: map[dots.LegKey]simVerdict{}, stands: map[dots.LegKey]*simLeg{},
		extents: map[dots.LegKey]*simLeg{},
	}
}

func compareLegKeys(a, b dots.LegKey) int {
	return cmp.Or(strings.Compare(a.CUID, b.CUID), cmp.Compare(a.MID, b.MID))
}

// pending lists the keys that the server is still to be told of on this session, sorted.
func (u *simUplink) pending() []dots.LegKey {
	if !u.up {
		return nil
	}
	var keys []dots.LegKey
	for k, l := range u.wanted {
		v, ok := u.said[k]
		answered := ok && v.revision == l.Revision && v.withdraw == l.Withdraw
		if !answered || v.good && !l.Withdraw && v.epoch != u.epoch {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, compareLegKeys)
	return keys
}

// tell sends what is wanted under a key, and returns the server's answer.
func (u *simUplink) tell(k dots.LegKey, now time.Time) dots.LegAnswer {
	l := u.wanted[k]
	a := dots.LegAnswer{Key: k, Revision: l.Revision, Withdraw: l.Withdraw}
	if l.Withdraw {
		delete(u.stands, k)
		a.Code = dots.CodeDeleted
		return a
	}
	u.put(l, &a, now)
	return a
}

// put is what a server does with a PUT (RFC 9132, Section 4.4.1.3): the same mid refreshes what has equal parameters; a higher mid deletes what it
// overlaps of the same trigger type whole, and a lower one is refused.
func (u *simUplink) put(l dots.Leg, a *dots.LegAnswer, now time.Time) {
	s := simLegOf(l)
	old := u.stands[l.Key]
	switch {
	case u.refuses > 0 && old == nil:
		u.refuses--
		a.Code = u.code
		switch a.Code {
		case dots.CodeUnavailable:
			a.MaxAge = 10 * time.Second
		case dots.CodeConflict:
			a.Conflict = dots.Some(dots.Conflict{Status: dots.ConflictOtherActive, Cause: dots.CauseOverlappingTargets, Scope: l.Request.Target, RetryTimer: 5})
		}
		return
	case old != nil && (!old.request.Target.Equal(l.Request.Target) || old.request.OnSignalLoss != l.Request.OnSignalLoss):
		a.Code = dots.CodeBadRequest
		return
	}
	var lower []dots.LegKey
	for k, o := range u.stands {
		if k == l.Key || k.CUID != l.Key.CUID || o.request.OnSignalLoss != l.Request.OnSignalLoss || !o.overlaps(s) {
			continue
		}
		if k.MID > l.Key.MID {
			a.Code = dots.CodeConflict
			if mid := a.Conflict.Value.MID; !mid.Set || mid.Value < k.MID {
				a.Conflict = dots.Some(dots.Conflict{Status: dots.ConflictOtherActive, Cause: dots.CauseOverlappingTargets, MID: dots.Some(k.MID)})
			}
		}
		lower = append(lower, k)
	}
	if a.Code != 0 {
		return
	}
	for _, k := range lower {
		delete(u.stands, k)
	}
	if life := l.Request.Lifetime.Or(dots.DefaultLifetime); life != dots.Indefinite {
		s.expires = now.Add(time.Duration(life) * time.Second)
		a.Lifetime = dots.Some(life)
	}
	a.Code = dots.CodeCreated
	if old != nil {
		a.Code = dots.CodeChanged
	}
	u.stands[l.Key] = s
}

func simLegOf(l dots.Leg) *simLeg {
	e, _ := extentOf(l.Request.Target)
	return &simLeg{extent: e, request: l.Request, soft: softOf(e.texts)}
}

// overlaps is the server's rule: an address, name or URI in common.
func (s *simLeg) overlaps(o *simLeg) bool {
	return s.area.or(s.soft).meets(o.area.or(o.soft)) ||
		slices.ContainsFunc(s.texts, func(t string) bool {
			return slices.ContainsFunc(o.texts, func(u string) bool { return host(u) == host(t) })
		})
}

// expire drops what is over, and returns what that was.
func (u *simUplink) expire(now time.Time) map[dots.LegKey]*simLeg {
	over := map[dots.LegKey]*simLeg{}
	for k, s := range u.stands {
		if !s.expires.IsZero() && !s.expires.After(now) {
			over[k] = s
			delete(u.stands, k)
		}
	}
	return over
}

// lists are complete lists of what stands, one for each cuid that the gateway has.
func (u *simUplink) lists(now time.Time) []Reported {
	by := map[string][]dots.Report{}
	for k := range u.wanted {
		by[k.CUID] = nil
	}
	for _, k := range slices.SortedFunc(maps.Keys(u.stands), compareLegKeys) {
		s := u.stands[k]
		r := dots.Report{MID: k.MID, Target: s.request.Target, OnSignalLoss: s.request.OnSignalLoss, Status: dots.StatusMitigated, Lifetime: dots.Indefinite}
		if s.request.OnSignalLoss {
			r.Status = dots.StatusSignalLossArmed
		}
		if !s.expires.IsZero() {
			r.Lifetime = dots.Lifetime(s.expires.Sub(now) / time.Second)
		}
		if _, ours := by[k.CUID]; ours {
			by[k.CUID] = append(by[k.CUID], r)
		}
	}
	var out []Reported
	for _, cuid := range slices.Sorted(maps.Keys(by)) {
		out = append(out, Reported{Uplink: u.name, CUID: cuid, Complete: true, Reports: by[cuid]})
	}
	return out
}
