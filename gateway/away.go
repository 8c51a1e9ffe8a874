package gateway

import (
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/policy"
)

// sentAway notes that an uplink sends a mitigation to a server where we cannot go, so that another uplink is asked for a while. What stands stays until
// it does so there; where there is no other, nothing changes.
//
// RFC 9132, Section 4.6: a redirect to a server that was met within the last five minutes is ignored, and other configured servers are tried.
func (c *Core) sentAway(m *mitigation, uplink string, out policy.Outcome) {
	if out.Away == 0 || m.phase != live || c.mits[m.key] != m {
		return
	}
	if m.away == nil {
		m.away = map[string]time.Time{}
	}
	m.away[uplink] = c.now.Add(out.Away)
	c.due.arm(m)
	if c.goesOn(m) {
		c.out.note(slog.LevelInfo, "sent elsewhere by an uplink, asking another one", keyAttrs(m.key, slog.String("uplink", uplink))...)
		c.touch(m)
	}
}

// goesOn reports whether a mitigation is to be somewhere where it is not asked for.
func (c *Core) goesOn(m *mitigation) bool {
	at := c.at(m)
	return slices.ContainsFunc(c.places(m), func(p policy.Place) bool { return !slices.Contains(at, p.Uplink) })
}

// welcome notes that an uplink does not send a mitigation elsewhere any more.
func (c *Core) welcome(m *mitigation, uplink string) {
	if _, was := m.away[uplink]; was {
		delete(m.away, uplink)
		c.due.arm(m)
	}
}

// awayFrom lists the uplinks that sent a mitigation elsewhere, sorted; nil, as nearly always: there are none.
func (m *mitigation) awayFrom() []string {
	if len(m.away) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m.away))
}

// awayEnds is when the first of the uplinks that sent a mitigation elsewhere is as good as the others again.
func (m *mitigation) awayEnds() time.Time {
	return earliest(slices.Collect(maps.Values(m.away))...)
}

// comesHome forgets the uplinks that sent a mitigation elsewhere long enough ago.
func (c *Core) comesHome(m *mitigation) {
	n := len(m.away)
	maps.DeleteFunc(m.away, func(_ string, until time.Time) bool { return passed(until, c.now) })
	if len(m.away) < n {
		c.touch(m)
	}
}
