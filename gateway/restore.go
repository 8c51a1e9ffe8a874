package gateway

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
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
		err = restoreAs(r, func(v cuidRecord) error {
			c.cuids[r.Key] = v.Client
			c.cuidsOf[v.Client]++
			return nil
		})
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
		key: dots.MitigationKey{Client: v.Client, MID: v.MID}, asked: v.Asked, grant: v.Grant, hopLimit: v.HopLimit, cdid: v.CDID,
		lifetime: v.Lifetime, start: v.Start, legs: v.Legs, mirror: v.Mirror, fired: v.Fired, period: v.Period, phase: live,
	}
	if v.Expires != 0 {
		left := min(time.Duration(v.Expires-now.Unix())*time.Second, time.Duration(v.Lifetime)*time.Second)
		m.expires = now.Add(max(left, 0))
	}
	c.adoptRestored(m)
	c.due.arm(m)
}

// adoptRestored enters a mitigation without asking for its names or binding its cuid: its cuid has a record of its own, and
// Restate asks for the names.
func (c *Core) adoptRestored(m *mitigation) {
	c.mits[m.key] = m
	of := c.byClient[m.key.Client]
	if of == nil {
		of = map[uint32]*mitigation{}
		c.byClient[m.key.Client] = of
	}
	of[m.key.MID] = m
	c.liveOf[m.key.Client.Name]++
	c.index.Insert(m.key, m.grant.Domain, m.grant.Expanded)
}

func (c *Core) restoreLeg(now time.Time, key string, v legRecord) error {
	k, err := parseLegKey(key)
	if err != nil {
		return err
	}
	l := &leg{of: v.Of, state: placing, replaces: v.Replaces}
	l.want = dots.Leg{Key: k, Request: v.Request, HopLimit: v.HopLimit, CDID: v.CDID, Withdraw: v.Withdraw, Revision: 1}
	if v.Withdraw {
		l.state = leaving
		l.expires = now.Add(max(time.Duration(v.Expires-now.Unix())*time.Second, 0))
	}
	c.keepLeg(l)
	c.due.arm(l)
	return nil
}

func (c *Core) restoreCounter(key string, v counterRecord) error {
	uplink, cuid, ok := strings.Cut(key, "\x00")
	if !ok {
		return fmt.Errorf("key without a cuid")
	}
	c.counters[scope{uplink, cuid}] = &counter{next: v.Reserved, reserved: v.Reserved}
	return nil
}

func parseLegKey(key string) (dots.LegKey, error) {
	parts := strings.Split(key, "\x00")
	if len(parts) != 3 {
		return dots.LegKey{}, fmt.Errorf("key has %d parts, want 3", len(parts))
	}
	mid, err := strconv.ParseUint(parts[2], 10, 32)
	if err != nil {
		return dots.LegKey{}, fmt.Errorf("reading the mid: %w", err)
	}
	return dots.LegKey{Uplink: parts[0], CUID: parts[1], MID: uint32(mid)}, nil
}

// restate makes the restored state consistent with today's policy and states the whole wanted set.
func (c *Core) restate() {
	keys := make([]dots.MitigationKey, 0, len(c.mits))
	for k := range c.mits {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareKeys)
	for _, k := range keys {
		c.reconsider(c.mits[k])
	}
	for _, l := range c.sortedLegs() {
		c.restateLeg(l)
	}
}

// reconsider ends a restored mitigation that its client may not ask for any more, and completes what a crash cut short.
func (c *Core) reconsider(m *mitigation) {
	if m == nil || m.phase != live {
		return
	}
	err := c.policy.Recheck(view{c}, m.grant)
	if !c.policy.MayMitigate(m.key.Client.Name) {
		err = dots.Refuse(dots.CodeUnauthorized, "client may not mitigate")
	}
	if err != nil {
		c.out.note(slog.LevelWarn, "stored mitigation no longer allowed", keyAttrs(m.key, slog.String("reason", err.Text))...)
		c.end(m)
		return
	}
	c.out.Live = append(c.out.Live, m.key)
	c.watch(m)
	c.supersede(m)
}

// restateLeg states a leg, with the lifetime that its mitigation has left; one that carries nothing any more is withdrawn.
func (c *Core) restateLeg(l *leg) {
	switch {
	case l.state == left || l.state == foreign:
		return
	case !l.want.Withdraw && c.carried(l) == nil && !c.isReplaced(l):
		c.leave(l)
		return
	case !l.want.Withdraw:
		if m := c.carried(l); m != nil {
			l.want.Request.Lifetime = dots.Some(m.remaining(c.now))
		}
	}
	c.out.want(l.want)
}

// isReplaced reports whether another leg is to withdraw this one once it stands.
func (c *Core) isReplaced(l *leg) bool { return c.newerThan(l).Set }
