package gateway

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/store"
)

const (
	// returnHandshake is what a client may need for its handshake when it comes back after a start of ours: the deadline of one over DTLS.
	returnHandshake = 60 * time.Second
	// refireGap is the least time between two triggers of one mitigation: who comes and goes, and pushes back what was triggered each time, does not make
	// legs come and go. What pushed it back stands meanwhile.
	refireGap = DefaultTerminatingMax
	// maxSpan bounds how long a client may be silent: what two parameters of 16 bits can make would be centuries.
	maxSpan = 30 * 24 * time.Hour
)

// absence is the countdown of a client entry that has no session. Its requests that wait for the loss of its sessions are triggered at its end, unless it
// has a session again by then (RFC 9132, Section 4.7). There is one for each client entry at most.
type absence struct {
	client string
	until  time.Time

	alarm
}

func (a *absence) dueAt() time.Time { return a.until }

// clientGone begins a client's countdown, or sets another end to it; one whose time is over already is lost.
func (c *Core) clientGone(client string, in time.Duration) {
	a := c.absenceOf(client)
	a.until = c.now.Add(max(in, 0))
	if in > 0 {
		c.noteArmed(slog.LevelInfo, "client has no session, counting down", client, slog.Duration("in", in))
		c.due.arm(a)
		return
	}
	c.absenceDue(a)
}

// clientBack ends a client's countdown. What was triggered goes on: recovery of a session stops nothing (RFC 9132, Section 4.4.4).
func (c *Core) clientBack(client string, span time.Duration) {
	if a := c.absent[client]; a != nil {
		c.noteArmed(slog.LevelInfo, "client has a session again", client)
		c.endAbsence(a)
	}
	c.keepSpan(client, span)
}

func (c *Core) absenceOf(client string) *absence {
	a := c.absent[client]
	if a == nil {
		a = &absence{client: client}
		c.absent[client] = a
	}
	return a
}

func (c *Core) endAbsence(a *absence) {
	c.due.disarm(a)
	delete(c.absent, a.client)
}

// absenceDue triggers what a client armed for the loss of its sessions (RFC 9132, Section 4.7): an immediate leg under
// a new mid, because the uplink hears our heartbeats and will not trigger its own copy. What is to be superseded by an armed one that waits for its
// uplink still is so first: it must not push out anything of its client's any more.
func (c *Core) absenceDue(a *absence) {
	c.endAbsence(a)
	var again time.Time
	var fires []*mitigation
	for _, m := range c.mitigationsOf(a.client) {
		switch gap := m.firedAt.Add(refireGap); {
		case !m.armed():
		case !m.firedAt.IsZero() && gap.After(c.now):
			again = earliest(again, gap)
		default:
			fires = append(fires, m)
		}
	}
	for _, m := range fires {
		c.accepted(m)
	}
	for _, m := range fires {
		if m.armed() && c.mits[m.key] == m {
			c.fire(m)
		}
	}
	if !again.IsZero() {
		a.until = again
		c.absent[a.client] = a
		c.due.arm(a)
	}
}

// restateAbsent begins the countdown of every client whose requests are armed, after a start of ours: nobody has a session yet, and that is our doing. It
// has twice the time after which it would be lost, and that of a handshake, to come back; only then it is as if it had gone. A restart must never trigger
// everybody's (RFC 9132, Section 4.7, speaks of missed heartbeats, and we were not there to hear any).
func (c *Core) restateAbsent() {
	for _, m := range c.mits {
		if m.armed() && c.absent[m.key.Client.Name] == nil {
			a := c.absenceOf(m.key.Client.Name)
			a.until = c.now.Add(3*c.spanOf(a.client) + returnHandshake)
		}
	}
	for _, client := range slices.Sorted(maps.Keys(c.absent)) { // not over the map: what is due must come in the same order each time
		c.due.arm(c.absent[client])
	}
	for _, client := range slices.Sorted(maps.Keys(c.spans)) {
		if c.policy.Domain(client) == "" {
			c.keepSpan(client, c.cfg.Span)
		}
	}
}

// spanOf is how long a client may be silent before it is lost.
func (c *Core) spanOf(client string) time.Duration { return cmp.Or(c.spans[client], c.cfg.Span) }

// keepSpan notes, durably, how long a client may be silent before it is lost, where it has negotiated something else than others have.
func (c *Core) keepSpan(client string, span time.Duration) {
	span = min(span, maxSpan).Truncate(time.Second)
	if span <= 0 || span == c.spanOf(client) {
		return
	}
	if span == c.cfg.Span {
		delete(c.spans, client)
	} else {
		c.spans[client] = span
	}
	c.put(c.spanRecordOf(client), nil)
}

// spanRecordOf is what is kept of a client's span; nothing where it is everybody's.
func (c *Core) spanRecordOf(client string) store.Record {
	r := store.Record{Kind: kindSpan, Key: client}
	if span := c.spans[client]; span > 0 {
		r.Value = encode(spanRecord{Seconds: int64(span / time.Second)})
	}
	return r
}

// noteArmed adds a line for the log where a client has something armed: else nothing depends on it.
func (c *Core) noteArmed(level slog.Level, text, client string, attrs ...slog.Attr) {
	if slices.ContainsFunc(c.mitigationsOf(client), (*mitigation).armed) {
		c.out.note(level, text, append([]slog.Attr{slog.String("client", client)}, attrs...)...)
	}
}
