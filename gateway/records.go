package gateway

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
	"github.com/dotsgate/dotsgate/store"
)

// The kinds of records. A key joins its parts by a zero byte, which no name can hold.
const (
	kindMitigation store.Kind = "mitigation"
	kindLeg        store.Kind = "leg"
	kindCounter    store.Kind = "mids"
	kindCUID       store.Kind = "cuid"
	kindOwn        store.Kind = "own-cuid"
	kindDrain      store.Kind = "drain"
	kindProlonged  store.Kind = "prolonged" // after kindMitigation, in the order in which a store tells its records
	kindSpan       store.Kind = "span"
	kindClock      store.Kind = "clock"
)

// keySep joins the parts of a key: no name holds a zero byte.
const keySep = "\x00"

func mitigationRecordKey(k dots.MitigationKey) string {
	key := k.Client.Name + keySep + k.Client.CUID + keySep + strconv.FormatUint(uint64(k.MID), 10)
	if k.Client.CDID != "" {
		key += keySep + k.Client.CDID
	}
	return key
}

func legRecordKey(k dots.LegKey) string {
	return k.Uplink + keySep + k.CUID + keySep + strconv.FormatUint(uint64(k.MID), 10)
}

func parseMitigationKey(key string) (dots.MitigationKey, error) {
	cdid := ""
	if i := strings.LastIndex(key, keySep); strings.Count(key, keySep) == 3 {
		key, cdid = key[:i], key[i+1:]
	}
	name, cuid, mid, err := parseKey(key)
	return dots.MitigationKey{Client: dots.Client{Name: name, CUID: cuid, CDID: cdid}, MID: mid}, err
}

func parseLegKey(key string) (dots.LegKey, error) {
	uplink, cuid, mid, err := parseKey(key)
	return dots.LegKey{Uplink: uplink, CUID: cuid, MID: mid}, err
}

func parseKey(key string) (first, cuid string, mid uint32, err error) {
	parts := strings.Split(key, keySep)
	if len(parts) != 3 {
		return "", "", 0, fmt.Errorf("key has %d parts, want 3", len(parts))
	}
	n, err := strconv.ParseUint(parts[2], 10, 32)
	if err != nil {
		return "", "", 0, fmt.Errorf("reading the mid: %w", err)
	}
	return parts[0], parts[1], uint32(n), nil
}

// encode makes a record's value. The types above hold nothing that JSON cannot say, so an error is a mistake of ours.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("gateway: encoding a %T: %v", v, err))
	}
	return b
}

// unix returns a time's seconds since the epoch; 0 for none.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func (m *mitigation) record() store.Record {
	v := encodeMitigation(&mitigationRecord{
		Client: m.key.Client, MID: m.key.MID, Asked: recordRequest(m.asked), Grant: recordGrant(m.grant, m.asked), HopLimit: m.hopLimit, OwnCDID: m.cdid,
		Lifetime: m.lifetime, Expires: unix(m.expires), Start: m.start, Refused: m.refused, Fired: m.fired, Period: m.period,
		Recursed: m.recursed, To: m.to, ByHand: m.byHand,
	})
	return store.Record{Kind: kindMitigation, Key: mitigationRecordKey(m.key), Value: v}
}

// recordMitigation keeps a live mitigation as it stands now.
func (c *Core) recordMitigation(m *mitigation, undo func(*Ready)) {
	m.seq, m.onDisk.key = c.pending(), ""
	c.put(m.record(), undo)
}

// dropRecord ends a mitigation on disk.
func (c *Core) dropRecord(m *mitigation) {
	m.seq = c.pending()
	if b := c.cuids[nameOf(m.key.Client)]; b != nil {
		b.gone = c.pending()
	}
	key := mitigationRecordKey(m.key)
	c.putLess(store.Record{Kind: kindMitigation, Key: key})
	if m.onDisk.prolonged {
		c.putLess(store.Record{Kind: kindProlonged, Key: key})
	}
}

func (l *leg) record() store.Record {
	v := legRecord{
		Request: recordRequest(l.want.Request), HopLimit: l.want.HopLimit, CDID: l.want.CDID,
		Withdraw: l.want.Withdraw, Expires: unix(l.expires), Replaces: l.replaces, After: l.after,
	}
	if !l.want.Withdraw {
		v.Members = make([]dots.MitigationKey, len(l.members))
		for i, m := range l.members {
			v.Members[i] = m.key
		}
	}
	if e := l.part.Expanded; len(e.Names)+len(e.URIs) > 0 {
		v.Expanded = &e
	}
	return store.Record{Kind: kindLeg, Key: legRecordKey(l.want.Key), Value: encode(v)}
}

func (c *Core) deleteLeg(k dots.LegKey) {
	c.putLess(store.Record{Kind: kindLeg, Key: legRecordKey(k)})
}

func (n *counter) record(s scope) store.Record {
	return store.Record{Kind: kindCounter, Key: s.uplink + keySep + s.cuid, Value: encode(counterRecord{n.reserved})}
}

// recordCounter keeps a reservation. If it cannot be kept, the next mid that is taken records it again.
func (c *Core) recordCounter(s scope, n *counter) {
	c.put(n.record(s), func(*Ready) { n.reserved = min(n.reserved, n.next) })
}

func (b *binding) record() store.Record {
	return store.Record{Kind: kindCUID, Key: b.name.recordKey(), Value: encode(cuidRecord{b.owner, b.proven})}
}

func ownRecordOf(p policy.Placement, cuid string) store.Record {
	return store.Record{Kind: kindOwn, Key: p.Uplink + keySep + p.Scope, Value: encode(ownRecord{p, cuid})}
}
