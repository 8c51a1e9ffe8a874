package gateway

import (
	"maps"
	"slices"
)

// Activity says whether a client entry has an active mitigation: one that is live, and not one that only waits for the loss of its sessions. It is a level:
// saying it twice does no harm.
type Activity struct {
	Client string
	On     bool
}

// tally counts a mitigation among its client's active ones as long as it is one. Called whenever that may have changed; for nothing does no harm.
func (c *Core) tally(m *mitigation) {
	active := c.mits[m.key] == m && m.phase == live && !m.armed()
	if active == m.active {
		return
	}
	m.active = active
	if active {
		c.activeOf[m.key.Client.Name]++
	} else {
		lower(c.activeOf, m.key.Client.Name)
	}
	c.swung[m.key.Client.Name] = true
}

// sayActivity tells, at the end of a step, of the client entries that have come to have active mitigations, or have none any more.
//
// RFC 9132, Section 4.5: agents use one set of session parameters while a mitigation is active, and the other one else.
func (c *Core) sayActivity() {
	if len(c.swung) == 0 {
		return
	}
	for _, client := range slices.Sorted(maps.Keys(c.swung)) {
		if on := c.activeOf[client] > 0; on != c.saidOn[client] {
			c.out.Activity = append(c.out.Activity, Activity{Client: client, On: on})
			if on {
				c.saidOn[client] = true
			} else {
				delete(c.saidOn, client)
			}
		}
	}
	clear(c.swung)
}
