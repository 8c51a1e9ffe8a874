package gateway

import (
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// view is what policy may read of the core, and of the uplinks as the core sees them.
type view struct{ c *Core }

func (v view) Resolved(n string) (policy.Resolution, bool) {
	if known := v.c.names[n]; known != nil && known.answered {
		return known.res, true
	}
	return policy.Resolution{}, false
}

func (v view) Mitigations(c dots.Client) int { return v.c.liveOf[c.Name] }

func (v view) CUIDs(client string) int { return len(v.c.cuidsOf[client]) }

func (v view) Overlaps(domain string, t policy.Expanded) []policy.Overlap {
	return v.overlaps(v.c.index.Overlaps(domain, t))
}

// OwnOverlaps costs what is found: of a crowd that shares a target the others are passed over.
func (v view) OwnOverlaps(cl dots.Client, domain string, t policy.Expanded) []policy.Overlap {
	return v.overlaps(v.c.ownOverlaps(cl, domain, t))
}

func (v view) overlaps(keys []dots.MitigationKey) []policy.Overlap {
	var found []policy.Overlap
	for _, k := range keys {
		if m := v.c.mits[k]; m != nil && m.phase == live {
			found = append(found, overlapOf(m, v.c.now))
		}
	}
	return found
}

// ownOverlaps lists a client's own mitigations that overlap a target.
func (c *Core) ownOverlaps(cl dots.Client, domain string, t policy.Expanded) []dots.MitigationKey {
	return c.index.OverlapsIn(domain, t, func(k dots.MitigationKey) int { return k.Client.Compare(cl) })
}

// overlapOf is a mitigation as policy sees it in a conflict.
func overlapOf(m *mitigation, now time.Time) policy.Overlap {
	return policy.Overlap{
		Key:          m.key,
		OnSignalLoss: m.asked.OnSignalLoss,
		Fired:        m.fired,
		Expanded:     m.grant.Expanded,
		Remaining:    m.remaining(now),
	}
}
