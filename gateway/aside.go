package gateway

import (
	"maps"
	"slices"

	"github.com/dotsgate/dotsgate/dots"
)

// restateTables makes up for records that were put aside: of them the others must not be left hanging.
func (c *Core) restateTables() {
	if len(c.aside) == 0 {
		return
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.mits), compareKeys) {
		if c.cuids[nameOf(k.Client)] == nil {
			b := &binding{name: nameOf(k.Client), owner: k.Client.Name}
			c.enterCUID(b)
			c.put(b.record(), nil)
		}
	}
	for _, l := range c.sortedLegs() {
		c.restateCounter(l)
		known := slices.DeleteFunc(slices.Clone(l.hint), func(k dots.MitigationKey) bool {
			return c.aside[identity{kindMitigation, mitigationRecordKey(k)}]
		})
		if len(known) == 0 && len(l.hint) > 0 {
			// Nobody asked for its end: the uplink tells of it as of one that is not known, and it is left to expire.
			c.dropLeg(l)
		}
		l.hint = known
	}
}

// restateCounter makes sure that a restored leg's scope has a counter, above all of its mids (RFC 9132, Section 4.4.1: mids grow).
func (c *Core) restateCounter(l *leg) {
	s := scopeOf(l.want.Key)
	if n := c.counterOf(s); n.seen(l.want.Key.MID, c.cfg.MIDBlock) || n.reserve(c.cfg.MIDBlock) {
		c.recordCounter(s, n)
	}
}

// checkKey refuses a mitigation's record that is not the one its key says.
func (v mitigationRecord) checkKey(key string) error {
	if k := (dots.MitigationKey{Client: v.Client, MID: v.MID}); mitigationRecordKey(k) != key {
		return errOtherKey
	}
	return nil
}
