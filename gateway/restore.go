package gateway

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/store"
)

// Restore fills an empty core with one record of the store. Call it for every record, then Step a Restate event: nothing is
// told to anybody in between.
func (c *Core) Restore(now time.Time, r store.Record) error {
	var err error
	switch r.Kind {
	case kindMitigation:
		err = restoreAs(r, func(v mitigationRecord) error { c.restoreMitigation(now, v); return nil })
	case kindLeg:
		err = restoreAs(r, func(v legRecord) error { return c.restoreLeg(now, r.Key, v) })
	case kindCounter:
		err = restoreAs(r, func(v counterRecord) error { return c.restoreCounter(r.Key, v) })
	case kindCUID:
		err = restoreAs(r, func(v cuidRecord) error { c.enterCUID(&binding{cuid: r.Key, owner: v.Client}); return nil })
	case kindOwn:
		err = restoreAs(r, func(v ownRecord) error { c.own[v.Placement] = v.CUID; return nil })
	default:
		return fmt.Errorf("restoring: unknown kind %q", r.Kind)
	}
	if err != nil {
		return fmt.Errorf("restoring %s %q: %w", r.Kind, r.Key, err)
	}
	return nil
}

// restoreAs decodes a record's value and uses it.
func restoreAs[T any](r store.Record, use func(T) error) error {
	var v T
	if err := json.Unmarshal(r.Value, &v); err != nil {
		return fmt.Errorf("decoding: %w", err)
	}
	return use(v)
}

// restoreMitigation brings a mitigation back. Its lifetime is what the wall clock says is left, but never more than was granted, so that a
// clock that jumped back prolongs nothing.
func (c *Core) restoreMitigation(now time.Time, v mitigationRecord) {
	m := &mitigation{
		key: dots.MitigationKey{Client: v.Client, MID: v.MID}, asked: v.Asked.request(v.MID), hopLimit: v.HopLimit, cdid: v.CDID,
		lifetime: v.Lifetime, start: v.Start, legs: v.Legs, mirror: v.Mirror, fired: v.Fired, period: v.Period, phase: live,
	}
	m.grant = v.Grant.grant(m)
	if v.Expires != 0 {
		left := min(time.Duration(v.Expires-now.Unix())*time.Second, time.Duration(v.Lifetime)*time.Second)
		m.expires = now.Add(max(left, 0))
	}
	c.enter(m) // its cuid has a record of its own, and Restate asks for the names
	c.due.arm(m)
}

func (c *Core) restoreLeg(now time.Time, key string, v legRecord) error {
	k, err := parseLegKey(key)
	if err != nil {
		return err
	}
	l := &leg{of: v.Of, state: placing, stood: true, after: v.After}
	l.want = dots.Leg{Key: k, Request: v.Request.request(k.MID), HopLimit: v.HopLimit, CDID: v.CDID, Withdraw: v.Withdraw, Revision: 1}
	if v.Withdraw {
		l.state = leaving
		l.expires = now.Add(max(time.Duration(v.Expires-now.Unix())*time.Second, 0))
	}
	c.keepLeg(l)
	c.takeOver(l, v.Replaces)
	c.due.arm(l)
	return nil
}

func (c *Core) restoreCounter(key string, v counterRecord) error {
	uplink, cuid, ok := strings.Cut(key, keySep)
	if !ok {
		return fmt.Errorf("key without a cuid")
	}
	c.counters[scope{uplink, cuid}] = &counter{next: v.Reserved, reserved: v.Reserved, known: true}
	return nil
}

// restate makes the restored state consistent with today's policy and states the whole wanted set.
func (c *Core) restate() {
	for _, cuid := range slices.Sorted(maps.Keys(c.cuids)) {
		if b := c.cuids[cuid]; len(c.byClient[dots.Client{Name: b.owner, CUID: cuid}]) == 0 {
			c.idleCUID(cuid)
		}
	}
	keys := slices.SortedFunc(maps.Keys(c.mits), compareKeys)
	for _, k := range keys {
		c.reconsider(c.mits[k])
	}
	for _, l := range c.sortedLegs() {
		c.restateLeg(l)
	}
}

// reconsider brings a restored mitigation to life, completes what a crash cut short, and lets one expire at once that its client
// may not ask for any more: the Tick that follows ends it.
func (c *Core) reconsider(m *mitigation) {
	if m == nil || m.phase != live {
		return
	}
	err := c.policy.Recheck(view{c}, m.grant)
	if !c.policy.MayMitigate(m.key.Client.Name) {
		err = dots.Refuse(dots.CodeUnauthorized, "client may not mitigate")
	}
	c.out.Live = append(c.out.Live, m.key)
	if err != nil {
		c.out.note(slog.LevelWarn, "stored mitigation no longer allowed", keyAttrs(m.key, slog.String("reason", err.Text))...)
		m.expires = c.now
		c.due.arm(m)
		return
	}
	c.watch(m)
	if c.supersede(m) {
		c.recordMitigation(m, nil)
	}
	c.complete(m)
}

// complete places a restored mitigation that has lost its legs.
func (c *Core) complete(m *mitigation) {
	kept := slices.DeleteFunc(slices.Clone(m.legs), func(k dots.LegKey) bool { return c.leg(k) == nil })
	if len(kept) == len(m.legs) && (len(kept) > 0 || m.armed() && !c.mirrors(m.grant.Uplink)) || passed(m.expires, c.now) {
		return
	}
	m.legs = kept
	for _, p := range c.policy.Route(m.grant) {
		if len(kept) == 0 {
			c.addLeg(m, c.scopeFor(p), m.armed(), nil)
		}
	}
	c.recordMitigation(m, nil)
}

// restateLeg states a leg, with the lifetime that its mitigation has left; one that carries nothing any more is withdrawn.
// That of a mitigation whose time is over is left to its end.
func (c *Core) restateLeg(l *leg) {
	m := c.carried(l)
	switch {
	case l.state == left || l.state == foreign || m != nil && passed(m.expires, c.now):
		return
	case l.want.Withdraw:
	case m == nil && !c.newerThan(l).Set:
		c.leave(l)
		return
	case c.leg(l.after) != nil:
		l.state = held
		c.blocks[l.after] = l.want.Key
		return
	case m != nil:
		l.want.Request.Lifetime = m.toAsk(c.now)
	}
	c.out.want(l.want)
}
