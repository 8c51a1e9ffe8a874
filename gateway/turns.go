package gateway

import (
	"slices"
	"time"
)

const (
	maxTouched = 1024                  // mitigations whose legs are to follow at a time, when all are
	turnsGap   = 20 * time.Millisecond // between two such times
)

// turns is what of all live mitigations is still to be touched: some at a time, so that the loop answers others between, and a batch fits the store.
type turns struct {
	rest []*mitigation // sorted
	when time.Time     // zero: there is nothing

	alarm
}

func (w *turns) dueAt() time.Time { return w.when }

// touchAll lets every live mitigation's legs follow, soon: where they go may have changed for all.
func (c *Core) touchAll() {
	all := make([]*mitigation, 0, len(c.mits))
	for _, m := range c.mits {
		if m.phase == live {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, compareMitigations)
	c.turns.rest = all
	c.touchSome()
}

// touchStranded lets those live mitigations' legs follow, soon, of which a part is asked for nowhere. Who waits for his turn still gets it.
func (c *Core) touchStranded() {
	for _, m := range c.mits {
		if m.phase == live && !m.lacking(c.legsOfType(m, m.armed())).Empty() {
			c.turns.rest = append(c.turns.rest, m)
		}
	}
	slices.SortFunc(c.turns.rest, compareMitigations)
	c.touchSome()
}

// touchSome touches the next of them.
func (c *Core) touchSome() {
	w := &c.turns
	n := min(len(w.rest), maxTouched)
	for _, m := range w.rest[:n] {
		if m.phase == live && c.mits[m.key] == m {
			c.touch(m)
		}
	}
	w.rest, w.when = w.rest[n:], c.now.Add(turnsGap)
	if len(w.rest) == 0 {
		w.rest, w.when = nil, time.Time{}
	}
	c.due.arm(w)
}
