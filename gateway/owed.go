package gateway

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
	"github.com/dotsgate/dotsgate/store"
)

// Bounds of what is owed to the store.
const (
	maxOwed      = 1 << 16 // identities; beyond it new requests get 5.03
	maxOwedBatch = 1024    // records written again at a time
)

// identity names a record.
type identity struct {
	kind store.Kind
	key  string
}

// owed holds the identities of records whose batch failed. A failed disk may have kept a batch all the same, so what
// the store holds under them is not known: each is written again as it stands then, until that succeeds. Else a restart would bring
// back what a client withdrew, or lose what another one was promised.
type owed struct {
	set  map[identity]bool
	list []identity // in order of arrival; those not in set are settled
	at   time.Time

	alarm
}

func (o *owed) dueAt() time.Time { return o.at }

func (o *owed) add(id identity) {
	if o.set == nil {
		o.set = map[identity]bool{}
	}
	if !o.set[id] {
		o.set[id] = true
		o.list = append(o.list, id)
	}
}

// settle notes that the step in progress writes a record anew.
func (o *owed) settle(r store.Record) {
	if len(o.set) > 0 {
		delete(o.set, identity{r.Kind, r.Key})
	}
}

// owes remembers the records of a failed batch.
func (c *Core) owes(records []store.Record) {
	for _, r := range records {
		c.owed.add(identity{r.Kind, r.Key})
	}
	if c.owed.at.IsZero() && len(c.owed.set) > 0 {
		c.owed.at = c.now.Add(retryStore)
		c.due.arm(&c.owed)
	}
}

// owedDue writes again what could not be stored: first what only withdraws, which finds room on a full disk; the rest only when there is
// nothing of that.
func (c *Core) owedDue() {
	var less, more, rest []identity
	for _, id := range c.owed.list {
		switch _, only := c.truth(id); {
		case !c.owed.set[id]:
		case only && len(less) < maxOwedBatch:
			less = append(less, id)
		case !only && len(more) < maxOwedBatch:
			more = append(more, id)
		default:
			rest = append(rest, id)
		}
	}
	now, later := less, more
	if len(less) == 0 {
		now, later = more, nil
	}
	c.owed.list = append(later, rest...)
	c.owed.at = time.Time{}
	if len(c.owed.list) > 0 {
		c.owed.at = c.now.Add(owedGap)
	}
	c.due.arm(&c.owed)
	for _, id := range now {
		c.writeTruth(id)
	}
}

// settleClient writes what is owed of a client's mitigations, before it gets a new one: an old record may name its mid as superseded.
func (c *Core) settleClient(cl dots.Client) {
	if len(c.owed.set) == 0 {
		return
	}
	for _, mid := range slices.Sorted(maps.Keys(c.byClient[cl])) {
		id := identity{kindMitigation, mitigationRecordKey(dots.MitigationKey{Client: cl, MID: mid})}
		if c.owed.set[id] {
			c.writeTruth(id)
		}
	}
}

// writeTruth records an identity as it stands now. A withdrawal of it is answered only once that is durable.
func (c *Core) writeTruth(id identity) {
	c.rewrote = c.pending()
	if r, less := c.truth(id); less {
		c.putLess(r)
	} else {
		c.put(r, nil)
	}
}

// truth is what the store should hold under an identity, and whether that only withdraws.
func (c *Core) truth(id identity) (r store.Record, less bool) {
	r = store.Record{Kind: id.kind, Key: id.key}
	first, second, _ := strings.Cut(id.key, keySep)
	switch id.kind {
	case kindMitigation:
		r = c.mitigationTruth(r)
	case kindProlonged:
		r = c.prolongedTruth(r)
	case kindLeg:
		return c.legTruth(r)
	case kindCounter:
		if n := c.counters[scope{first, second}]; n != nil {
			r = n.record(scope{first, second})
		}
	case kindCUID:
		if b := c.cuids[parseCUIDKey(id.key)]; b != nil {
			r = b.record()
		}
	case kindOwn:
		if p := (policy.Placement{Uplink: first, Scope: second}); c.own[p] != "" {
			r = ownRecordOf(p, c.own[p])
		}
	default:
		r = c.plainTruth(r)
	}
	return r, r.Value == nil
}

// plainTruth is the record of what is no client's request, or gone.
func (c *Core) plainTruth(gone store.Record) store.Record {
	switch gone.Kind {
	case kindClock:
		if c.clock != (clockRecord{}) {
			return c.clock.record()
		}
	case kindSpan:
		return c.spanRecordOf(gone.Key)
	case kindDrain:
		return drainRecordOf(gone.Key, c.drained[gone.Key])
	}
	return gone
}

// mitigationTruth is the record of a live mitigation, or gone.
func (c *Core) mitigationTruth(gone store.Record) store.Record {
	k, err := parseMitigationKey(gone.Key)
	if m := c.mits[k]; err == nil && m != nil && m.phase == live {
		return m.record()
	}
	return gone
}

// legTruth is the record of a leg that has one, or gone.
func (c *Core) legTruth(gone store.Record) (r store.Record, less bool) {
	k, err := parseLegKey(gone.Key)
	if l := c.leg(k); err == nil && l != nil && l.state != left && l.state != foreign {
		return l.record(), l.want.Withdraw
	}
	return gone, true
}
