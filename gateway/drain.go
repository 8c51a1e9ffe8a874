package gateway

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/store"
)

// drainUplink acts on the operator's command to empty an uplink, or to use it again. It is kept over a restart. An uplink that drains is
// asked for nothing new, and what stands there goes on at the others; where there is no other it stays.
//
// RFC 8811, Section 3.2.4: a server may be taken out while its sessions go on elsewhere.
func (c *Core) drainUplink(ev Drain) {
	if c.policy.CUIDMode(ev.Uplink) == "" {
		c.orderDone(ev.Ticket, fmt.Errorf("no uplink %q; there are %q", ev.Uplink, c.policy.Uplinks()))
		return
	}
	if c.drained[ev.Uplink] != ev.On {
		c.out.note(slog.LevelInfo, "uplink drains by command", slog.String("uplink", ev.Uplink), slog.Bool("on", ev.On))
		c.setDrained(ev.Uplink, ev.On)
		c.put(drainRecordOf(ev.Uplink, ev.On), func(*Ready) { c.setDrained(ev.Uplink, !ev.On) })
	}
	c.orderDone(ev.Ticket, nil)
}

// orderDone answers an operator's command: what it says is durable then, even if an earlier command did it.
func (c *Core) orderDone(t Ticket, err error) {
	c.waitFor(c.seq)
	if t != 0 {
		c.out.Replies = append(c.out.Replies, Reply{Ticket: t, Answer: dots.Answer{Code: dots.CodeChanged}, Err: err})
	}
}

// setDrained notes what an uplink is to do. Everybody's places may change by it.
func (c *Core) setDrained(uplink string, on bool) {
	if on {
		c.drained[uplink] = true
	} else {
		delete(c.drained, uplink)
	}
	c.touchAll()
}

// Drained lists the uplinks that drain, sorted.
func (c *Core) Drained() []string { return slices.Sorted(maps.Keys(c.drained)) }

// drainRecordOf is what is kept of an uplink that drains; nothing of one that does not.
func drainRecordOf(uplink string, on bool) store.Record {
	r := store.Record{Kind: kindDrain, Key: uplink}
	if on {
		r.Value = encode(drainRecord{})
	}
	return r
}
