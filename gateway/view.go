package gateway

import (
	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// view is what policy may read of the core.
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
	var found []policy.Overlap
	for _, k := range v.c.index.Overlaps(domain, t) {
		m := v.c.mits[k]
		if m == nil || m.phase != live {
			continue
		}
		found = append(found, policy.Overlap{
			Key:          k,
			OnSignalLoss: m.asked.OnSignalLoss,
			Fired:        m.fired,
			Expanded:     m.grant.Expanded,
			Remaining:    m.remaining(v.c.now),
		})
	}
	return found
}
