package gateway

import (
	"strconv"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/store"
)

// prolongedRecord is a mitigation's newer expiry, under its key. A refresh changes nothing else nearly always, and a mitigation's own record is ten times as
// long. It counts where that record has the same lifetime and an earlier expiry: time only goes forward (clock.go), so of two records of
// one lifetime the one that ends later is the newer one, and what is left over from before says nothing.
type prolongedRecord struct {
	Expires  int64 // seconds since the epoch
	Lifetime dots.Lifetime
}

// value is the record as encoding/json writes it.
func (v prolongedRecord) value() []byte {
	b := append(make([]byte, 0, 48), `{"Expires":`...)
	b = strconv.AppendInt(b, v.Expires, 10)
	b = append(b, `,"Lifetime":`...)
	b = strconv.AppendInt(b, int64(v.Lifetime), 10)
	return append(b, '}')
}

// onDisk is what a mitigation knows of its records.
type onDisk struct {
	key string // theirs, where its own was written by a refresh, and says all of it but the expiry since; else empty
	// failed are the commits that had failed then: a later one may have taken back what was written.
	failed uint64
	// prolonged says that there may be a record of its expiry.
	prolonged bool
}

// prolongedRecord is the record of a mitigation's expiry.
func (m *mitigation) prolongedRecord(key string) store.Record {
	return store.Record{Kind: kindProlonged, Key: key, Value: prolongedRecord{unix(m.expires), m.lifetime}.value()}
}

// recordRefresh is recordMitigation of a refresh. Where it changed nothing but the expiry, as nearly all do, that alone is written.
func (c *Core) recordRefresh(m *mitigation, same bool, undo func(*Ready)) {
	d := &m.onDisk
	if same && d.key != "" && d.failed == c.failed && !m.expires.IsZero() { // what was written is on its way, and fails only together with this
		m.seq, d.prolonged = c.pending(), true
		c.put(m.prolongedRecord(d.key), undo)
		return
	}
	c.recordMitigation(m, undo)
	d.key, d.failed = mitigationRecordKey(m.key), c.failed
}

// prolongedTruth is the record of a live mitigation's expiry, or gone.
func (c *Core) prolongedTruth(gone store.Record) store.Record {
	k, err := parseMitigationKey(gone.Key)
	if m := c.mits[k]; err == nil && m != nil && m.phase == live && m.onDisk.prolonged && !m.expires.IsZero() {
		return m.prolongedRecord(gone.Key)
	}
	return gone
}

// restoreProlonged takes in the newer expiry of a mitigation whose own record came before; the store's order sees to that.
func (c *Core) restoreProlonged(now time.Time, key string, v prolongedRecord) error {
	k, err := parseMitigationKey(key)
	if err != nil {
		return err
	}
	m := c.mits[k]
	if m == nil {
		c.stray = append(c.stray, key)
		return nil
	}
	m.onDisk.prolonged = true
	if until := expiryAt(now, v.Expires, v.Lifetime); v.Lifetime == m.lifetime && !m.expires.IsZero() && until.After(m.expires) {
		m.expires = until
		c.due.arm(m)
	}
	return nil
}

// expiryAt is when a restored mitigation expires. Its lifetime is what the clock says is left, but never more than was granted, so that a clock
// that jumped back prolongs nothing.
func expiryAt(now time.Time, expires int64, lifetime dots.Lifetime) time.Time {
	left := min(expires-now.Unix(), int64(lifetime))
	return now.Add(time.Duration(max(left, 0)) * time.Second)
}

// dropStray deletes what is left of mitigations that have no record of their own; where that is put aside, this is let alone as well.
func (c *Core) dropStray() {
	for _, key := range c.stray {
		if !c.aside[identity{kindMitigation, key}] {
			c.putLess(store.Record{Kind: kindProlonged, Key: key})
		}
	}
	c.stray = nil
}
