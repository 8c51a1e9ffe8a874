package gateway

import (
	"maps"
	"slices"

	"github.com/dotsgate/dotsgate/dots"
)

// touch marks a mitigation whose legs are to follow what it is now: asked or granted otherwise, moved, ended. Legs are derived, and made to
// follow at the end of the step. Touching twice, or for nothing, does no harm.
func (c *Core) touch(m *mitigation) { c.dirty[m.key] = true }

// settle makes the legs follow the mitigations that were touched in the step.
func (c *Core) settle() {
	keys := slices.SortedFunc(maps.Keys(c.dirty), compareKeys)
	clear(c.dirty)
	for _, k := range keys {
		c.settleOne(k)
	}
}

// settleOne makes the legs of one mitigation follow it.
func (c *Core) settleOne(dots.MitigationKey) {}
