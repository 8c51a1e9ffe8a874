package gateway

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/dotsgate/dotsgate/store"
)

const (
	// lookAtWall is how often the wall clock is looked at.
	lookAtWall = time.Minute
	// A wall clock that is this much off from what is written down is written down anew; and so is the time, when that is so old.
	wallMoved = time.Minute
	clockOld  = 24 * time.Hour
	// longestOff is how long a gateway may have been off, as far as a wall clock is believed after a start of the machine.
	longestOff = 365 * 24 * time.Hour
)

// clock gives the core its time: one that goes on steadily, whatever is done to the wall clock, and over our starts as well. Records name times of it. While
// the machine runs it follows the machine's own count; over a start of the machine there is the wall clock only, which is believed within bounds:
// it does not go back, and no more than longestOff ahead.
//
// So no lifetime ends early, or is prolonged, because somebody sets the clock (RFC 9132, Section 4.4.1: a lifetime is a number of seconds).
type clock struct {
	now  func() time.Time // steady within the process
	wall func() time.Time
	boot func() (id string, up time.Duration) // nil: not known

	base  time.Time     // of now, when it was made
	shift time.Duration // what is to be added
}

// clockRecord is what is kept of it.
type clockRecord struct {
	Boot string `json:",omitempty"` // which run of the machine; empty: not known
	// Anchor is the core's time when that run began, Skew what the wall clock is ahead of the core's time, Seen the core's time when this was written;
	// all in milliseconds, the times since the epoch.
	Anchor, Skew, Seen int64
}

func newClock(cfg Config) *clock {
	k := &clock{now: cfg.Now, wall: cfg.Wall, boot: cfg.Boot, base: cfg.Now()}
	if k.wall == nil {
		k.wall = k.now
	}
	return k
}

// Now is the core's time.
func (k *clock) Now() time.Time { return k.base.Add(k.now().Sub(k.base) + k.shift) }

// resume makes the clock go on where the record's did.
func (k *clock) resume(v clockRecord) {
	seen := time.UnixMilli(v.Seen)
	at := k.wall().Round(0).Add(-time.Duration(v.Skew) * time.Millisecond)
	if id, up := k.run(); id != "" && id == v.Boot {
		at = time.UnixMilli(v.Anchor).Add(up)
	} else if at.Sub(seen) > longestOff {
		at = seen
	}
	if at.Before(seen) {
		at = seen
	}
	k.shift += at.Sub(k.Now().Round(0))
}

// run is which run of the machine this is, and for how long.
func (k *clock) run() (id string, up time.Duration) {
	if k.boot == nil {
		return "", 0
	}
	return k.boot()
}

// reading is what the clocks say now.
func (k *clock) reading() Clock {
	now := k.Now().Round(0)
	c := Clock{Skew: k.wall().Round(0).Sub(now)}
	if id, up := k.run(); id != "" {
		c.Boot, c.Anchor = id, now.Add(-up)
	}
	return c
}

// setClock notes what the clocks say, durably where that is news.
func (c *Core) setClock(ev Clock) {
	was, now := c.clock, clockRecord{Boot: ev.Boot, Skew: ev.Skew.Milliseconds(), Seen: c.now.UnixMilli()}
	if ev.Boot != "" {
		now.Anchor = ev.Anchor.UnixMilli()
	}
	if moved := ev.Skew - c.skew; c.clocked && moved.Abs() >= wallMoved {
		c.out.note(slog.LevelWarn, "wall clock was set", slog.Duration("by", moved))
	}
	c.skew, c.clocked = ev.Skew, true
	off := time.Duration(now.Skew-was.Skew) * time.Millisecond
	old := time.Duration(now.Seen-was.Seen) * time.Millisecond
	switch {
	case was == (clockRecord{}) && now.Boot == "" && off.Abs() < wallMoved: // nothing that the wall clock would not tell
	case now.Boot != was.Boot, off.Abs() >= wallMoved, old >= clockOld:
		c.clock = now
		c.put(now.record(), nil)
	}
}

func (v clockRecord) record() store.Record {
	return store.Record{Kind: kindClock, Key: "core", Value: encode(v)}
}

// parseClock reads the record.
func parseClock(r store.Record) (v clockRecord, err error) {
	if err := json.Unmarshal(r.Value, &v); err != nil {
		return v, fmt.Errorf("decoding: %w", err)
	}
	return v, nil
}

// wallNow is the time as others tell it.
func (c *Core) wallNow() time.Time { return c.now.Add(c.skew) }

// outside turns a time of the core's into what the wall clock says or said then; zero stays zero.
func (c *Core) outside(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(c.skew)
}

// Now is the time that the core's methods are to be asked at, such as Core.Mitigations: it is not that of other clocks.
func (g *Gateway) Now() time.Time { return g.clock.Now() }
