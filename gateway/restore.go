package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/store"
)

// errOtherKey says that a record holds something else than its key says.
var errOtherKey = errors.New("value does not belong to the key")

// Restore fills an empty core with one record of the store. Call it for every record, then Step a Restate event: nothing is
// told to anybody in between. A record that it cannot use is an error, and stays aside: it is neither used nor deleted, and the core
// does without it.
func (c *Core) Restore(now time.Time, r store.Record) error {
	if err := c.restoreRecord(now, r); err != nil {
		c.aside[identity{r.Kind, r.Key}] = true
		return fmt.Errorf("restoring a record: %w", err)
	}
	return nil
}

func (c *Core) restoreRecord(now time.Time, r store.Record) error {
	switch r.Kind {
	case kindMitigation:
		return restoreAs(r, func(v mitigationRecord) error { return c.restoreMitigation(now, r.Key, v) })
	case kindLeg:
		return restoreAs(r, func(v legRecord) error { return c.restoreLeg(now, r.Key, v) })
	case kindCounter:
		return restoreAs(r, func(v counterRecord) error { return c.restoreCounter(r.Key, v) })
	case kindCUID:
		return restoreAs(r, func(v cuidRecord) error {
			c.enterCUID(&binding{name: parseCUIDKey(r.Key), owner: v.Client, proven: v.Proven})
			return nil
		})
	case kindOwn:
		return restoreAs(r, func(v ownRecord) error { c.own[v.Placement] = v.CUID; return nil })
	case kindDrain:
		return restoreAs(r, func(drainRecord) error { c.drained[r.Key] = true; return nil })
	}
	return errors.New("unknown kind")
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
func (c *Core) restoreMitigation(now time.Time, key string, v mitigationRecord) error {
	if err := v.checkKey(key); err != nil {
		return err
	}
	m := &mitigation{
		key: dots.MitigationKey{Client: v.Client, MID: v.MID}, asked: v.Asked.request(v.MID), hopLimit: v.HopLimit, cdid: v.CDID,
		lifetime: v.Lifetime, start: v.Start, legs: v.Legs, mirror: v.Mirror, fired: v.Fired, period: v.Period, phase: live,
		recursion: recursion{recursed: v.Recursed, to: v.To, byHand: v.ByHand},
	}
	m.grant = c.policy.Today(v.Grant.grant(m))
	if v.Expires != 0 {
		left := min(time.Duration(v.Expires-now.Unix())*time.Second, time.Duration(v.Lifetime)*time.Second)
		m.expires = now.Add(max(left, 0))
	}
	c.enter(m) // its cuid has a record of its own, and Restate asks for the names
	c.due.arm(m)
	return nil
}

func (c *Core) restoreLeg(now time.Time, key string, v legRecord) error {
	k, err := parseLegKey(key)
	if err == nil && v.Of.Client.Name == "" {
		err = errOtherKey
	}
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
		return errors.New("key without a cuid")
	}
	c.counters[scope{uplink, cuid}] = &counter{next: v.Reserved, reserved: v.Reserved, known: true}
	return nil
}

// restate makes the restored state consistent with today's policy and states the whole wanted set.
func (c *Core) restate() {
	c.restateCUIDs()
	c.restateTables()
	c.dropUnknown()
	keys := slices.SortedFunc(maps.Keys(c.mits), compareKeys)
	for _, k := range keys {
		c.reconsider(c.mits[k])
	}
	legs := c.sortedLegs()
	for _, l := range legs {
		c.restateHeld(l)
	}
	for _, l := range legs {
		c.restateLeg(l)
	}
	c.out.Stated = true
}

// reconsider brings a restored mitigation to life, completes what a crash cut short, and ends one that its client may not have any more.
func (c *Core) reconsider(m *mitigation) {
	if m == nil || m.phase != live {
		return
	}
	c.out.Live = append(c.out.Live, m.key)
	c.watch(m)
	if c.stillAllowed(m) && c.supersede(m) {
		c.recordMitigation(m, nil)
	}
}

// dropUnknown forgets the legs at uplinks that are not configured any more: nobody can ask or withdraw them. What stands there stands until
// its lifetime ends. The counters stay, should the uplink come back.
func (c *Core) dropUnknown() {
	dropped := map[string]int{}
	for _, l := range c.sortedLegs() {
		k := l.want.Key
		if c.policy.CUIDMode(k.Uplink) != "" {
			continue
		}
		if m := c.carried(l); m != nil {
			m.without(k)
		}
		c.dropLeg(l)
		c.deleteLeg(k)
		dropped[k.Uplink]++
	}
	for _, uplink := range slices.Sorted(maps.Keys(dropped)) {
		c.out.note(slog.LevelError, "uplink no longer configured, what was asked there is forgotten",
			slog.String("uplink", uplink), slog.Int("legs", dropped[uplink]))
	}
}

// complete places a restored mitigation that has lost its legs, or whose domain has another uplink now; there the legs of before
// go once the new one stands. Where there is no way any more it ends.
func (c *Core) complete(m *mitigation) {
	if passed(m.expires, c.now) {
		return
	}
	kept, elsewhere := c.legsHereAndElsewhere(m)
	bare := m.armed() && !c.mirrors(m.grant.Uplink)
	if len(kept) == len(m.legs) && (len(kept) > 0 || bare) {
		return
	}
	route := c.policy.Route(m.grant)
	if len(route) == 0 {
		c.withdrawnByUs(m, nil)
		return
	}
	m.legs = kept
	if !slices.Contains(kept, m.mirror) {
		m.mirror = dots.LegKey{}
	}
	switch {
	case len(kept) > 0:
	case bare:
		c.leaveAll(elsewhere)
	default:
		c.addLeg(m, c.scopeFor(route[0]), m.armed(), elsewhere)
	}
	c.recordMitigation(m, nil)
}

// legsHereAndElsewhere sorts a restored mitigation's legs: those at its domain's uplink of today, and those at another.
func (c *Core) legsHereAndElsewhere(m *mitigation) (here, elsewhere []dots.LegKey) {
	for _, k := range m.legs {
		switch {
		case c.leg(k) == nil:
		case k.Uplink == m.grant.Uplink:
			here = append(here, k)
		default:
			elsewhere = append(elsewhere, k)
		}
	}
	return here, elsewhere
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
	case l.state == held || m != nil && c.outranked(m, l):
		return
	case m != nil:
		l.want.Request.Lifetime = m.toAsk(c.now)
	}
	c.out.want(l.want)
}
