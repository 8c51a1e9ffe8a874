package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
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
	case kindProlonged:
		return restoreAs(r, func(v prolongedRecord) error { return c.restoreProlonged(now, r.Key, v) })
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
	case kindClock:
		var err error
		c.clock, err = parseClock(r)
		return err
	case kindSpan:
		return restoreAs(r, func(v spanRecord) error { return c.restoreSpan(r.Key, v) })
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

// restoreMitigation brings a mitigation back, with the expiry that its own record has; see restoreProlonged.
func (c *Core) restoreMitigation(now time.Time, key string, v mitigationRecord) error {
	if err := v.checkKey(key); err != nil {
		return err
	}
	m := &mitigation{
		key: dots.MitigationKey{Client: v.Client, MID: v.MID}, asked: v.Asked.request(v.MID), hopLimit: v.HopLimit, cdid: v.OwnCDID,
		lifetime: v.Lifetime, start: v.Start, refused: v.Refused, fired: v.Fired, period: v.Period, phase: live,
		recursion: recursion{recursed: v.Recursed, to: v.To, byHand: v.ByHand},
	}
	m.grant = c.policy.Today(v.Grant.grant(m))
	if v.Expires != 0 {
		m.expires = expiryAt(now, v.Expires, v.Lifetime)
	}
	c.enter(m) // its cuid has a record of its own, and Restate asks for the names
	c.due.arm(m)
	return nil
}

func (c *Core) restoreLeg(now time.Time, key string, v legRecord) error {
	k, err := parseLegKey(key)
	if err == nil && !v.Withdraw && v.Request.request(0).Target.Empty() {
		err = errOtherKey
	}
	if err != nil {
		return err
	}
	l := &leg{hint: v.Members, state: placing, stood: true, after: v.After, longest: dots.Indefinite} // which was asked for last is not known
	l.want = dots.Leg{Key: k, Request: v.Request.request(k.MID), HopLimit: v.HopLimit, CDID: v.CDID, Withdraw: v.Withdraw, Revision: 1}
	l.part = policy.Footprint{Target: l.want.Request.Target}
	if v.Expanded != nil {
		l.part.Expanded = *v.Expanded
	} else {
		l.part.Expanded = policy.Expanded{Prefixes: sortedPrefixes(l.part.Target.Prefixes)}
	}
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

func (c *Core) restoreSpan(client string, v spanRecord) error {
	if v.Seconds <= 0 || v.Seconds > int64(maxSpan/time.Second) {
		return errors.New("span out of range")
	}
	c.spans[client] = time.Duration(v.Seconds) * time.Second
	return nil
}

// restate makes the restored state consistent with today's policy and states the whole wanted set.
func (c *Core) restate() {
	c.restateCUIDs()
	c.restateOwn()
	c.restateLinks()
	c.restateTables()
	c.restateMembers()
	c.dropUnknown()
	c.dropStray()
	keys := slices.SortedFunc(maps.Keys(c.mits), compareKeys)
	for _, k := range keys {
		c.reconsider(c.mits[k])
	}
	c.restateAbsent()
	c.settle(maxRounds)
	for _, l := range c.sortedLegs() {
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
		for _, m := range l.members {
			c.unsettle(m)
		}
		c.setAdrift(l)
		c.dropLeg(l)
		c.deleteLeg(k)
		dropped[k.Uplink]++
	}
	for _, uplink := range slices.Sorted(maps.Keys(dropped)) {
		c.out.note(slog.LevelError, "uplink no longer configured, what was asked there is forgotten",
			slog.String("uplink", uplink), slog.Int("legs", dropped[uplink]))
	}
}

// restateMembers finds whom the restored legs carry. Those whose place another one takes stay what they are until that one stands.
func (c *Core) restateMembers() {
	legs := c.sortedLegs()
	for _, l := range legs {
		for _, k := range l.hint {
			if m := c.mits[k]; m != nil && m.phase == live {
				l.members = append(l.members, m)
			}
		}
		l.hint = nil
		l.replaces = slices.DeleteFunc(l.replaces, func(k dots.LegKey) bool { return !c.restateReplaced(l, k) })
	}
	for _, l := range legs {
		if !l.want.Withdraw && l.state != foreign && c.replacer(l) == nil {
			c.restateMember(l)
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.mits), compareKeys) {
		for _, armed := range []bool{true, false} {
			c.rejoin(c.mits[k], armed)
		}
	}
}

// rejoin finds the restored legs that give a mitigation what none of its own there does: it joined them after their records were written. Joining writes none,
// so that a crowd costs no disk; but whoever is not known to stand there would be let go with the next change, and asked for somewhere else. What covers it
// elsewhere does not count: in the middle of a move nobody knows yet whether that stands.
func (c *Core) rejoin(m *mitigation, armed bool) {
	if m.phase != live || !m.wantsType(armed) {
		return
	}
	for _, u := range c.policy.Uplinks() {
		p := plot{scope{u, c.own[policy.Placement{Uplink: u, Scope: c.policy.Scope(u, m.grant)}]}, armed}
		rest := m.lacking(c.legsIn(m, p))
		if rest.Empty() || p.cuid == "" || slices.Contains(m.refused, u) {
			continue
		}
		for _, k := range c.ground.Overlaps(p.name(), rest) {
			if l := c.leg(k); !slices.Contains(m.legs, k) && l.part.Expanded.Overlaps(rest) && policy.Serves(l.part, m.grant.Outside) {
				l.members = slices.SortedFunc(slices.Values(append(slices.Clip(l.members), m)), compareMitigations)
				m.carriedBy(k)
				m.holds(p, m.grant.Outside)
			}
		}
	}
}

// lacking is what of a mitigation none of these legs covers.
func (m *mitigation) lacking(legs []*leg) policy.Expanded {
	rest := m.grant.Outside.Expanded
	for _, l := range legs {
		has := l.part.Expanded
		rest.Prefixes = slices.DeleteFunc(slices.Clone(rest.Prefixes), func(p netip.Prefix) bool {
			return slices.ContainsFunc(has.Prefixes, func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Overlaps(p) })
		})
		rest.Names = without(rest.Names, has.Names)
		rest.URIs = without(rest.URIs, has.URIs)
	}
	return rest
}

// without lists the words that are not among others.
func without(words, others []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(w string) bool { return slices.Contains(others, w) })
}

// holds notes what a mitigation has in a plot.
func (m *mitigation) holds(p plot, part policy.Footprint) {
	if m.shares == nil {
		m.shares = map[plot]policy.Footprint{}
	}
	m.shares[p] = part
}

// restateReplaced reports whether a restored leg is still to take another one's place. Of what records say that ours would not, such as that two
// legs are to take each other's, nothing is left.
func (c *Core) restateReplaced(l *leg, k dots.LegKey) bool {
	if c.replacedBy[k] != l.want.Key {
		return false
	}
	if r := c.leg(k); r == nil || r.want.Withdraw || l.want.Withdraw || c.followedBy(l, r) {
		delete(c.replacedBy, k)
		return false
	}
	return true
}

// followedBy reports whether a leg is r, or r is to take its place in the end.
func (c *Core) followedBy(l, r *leg) bool {
	for range c.legCount {
		if l == nil || l == r {
			return l != nil
		}
		l = c.replacer(l)
	}
	return false
}

// restateMember makes a restored leg current. Of those that overlap in spite of all the uplink kept the higher mid.
func (c *Core) restateMember(l *leg) {
	if old := c.leg(l.after); old != nil && old.want.Withdraw && c.blocks[l.after] == (dots.LegKey{}) {
		l.state = held
		c.blocks[l.after] = l.want.Key
	} else {
		l.after = dots.LegKey{}
	}
	for _, k := range c.ground.Overlaps(l.plot().name(), l.part.Expanded) {
		r := c.leg(k)
		c.delist(r)
		c.takeOver(l, []dots.LegKey{k})
		for _, m := range r.members {
			c.unsettle(m)
		}
	}
	l.newcomers = nil
	if replaced := c.legsOf(l.replaces); len(replaced) > 0 {
		l.newcomers = notIn(l.members, c.standFor(replaced))
	}
	c.enlist(l)
	c.loosen(l)
	for _, m := range l.members { // until it is known where it is to be, that is what it has, but for what it never asked for
		p := l.plot()
		_, more := m.shares[p]
		if wider := len(l.part.Expanded.Beyond([]policy.Expanded{m.grant.Outside.Expanded})) > 0; more || wider || len(l.members) > 1 {
			m.holds(p, m.grant.Outside)
		} else {
			m.holds(p, l.part)
		}
	}
}

// restateLeg states a leg, with the lifetime that its mitigations have left.
func (c *Core) restateLeg(l *leg) {
	if l.state == left || l.state == foreign || l.state == held || l.born == c.pending() {
		return
	}
	if l.want.Withdraw && l.want.Revision > 1 {
		return // said already
	}
	if l.current && !slices.ContainsFunc(l.members, func(m *mitigation) bool { return !passed(m.expires, c.now) }) {
		return // the Tick that follows withdraws it
	}
	if c.stillHushed(l) {
		l.hushed = true
		return
	}
	if !l.want.Withdraw {
		c.stamp(l)
	}
	c.out.want(l.want)
}

// stillHushed reports whether a restored leg is not to be asked for because another one takes its place. Whether it was ever answered is not known: where it
// was, it stands as it is until that one does, and is not refreshed meanwhile; where not, it would delete what stands (hush). A local mitigator deletes
// nothing of itself, and ends what is not named.
func (c *Core) stillHushed(l *leg) bool {
	by := c.replacer(l)
	return by != nil && by.state != held && !l.current && !l.want.Withdraw && !c.policy.Local(l.want.Key.Uplink)
}

// sortedPrefixes is what prefixes are compared as.
func sortedPrefixes(list []netip.Prefix) []netip.Prefix {
	list = slices.Clone(list)
	slices.SortFunc(list, netip.Prefix.Compare)
	return slices.Compact(list)
}
