package bgp

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/dotsgate/dotsgate/dots"
)

// maxStale bounds the routes of an earlier run that are kept in mind. Those beyond are found when the next ones are gone and gobgpd
// is opened again.
const maxStale = 1 << 16

// held is a route that legs want.
type held struct {
	path    path // without attributes
	legs    map[dots.LegKey]bool
	there   bool // gobgpd has a route of ours to this destination, as far as we know
	current bool // and that with the attributes of today
}

// table counts which legs want which routes. Several may want the same: it is announced with the first and withdrawn with the last.
type table struct {
	name   string
	routes map[string]*held                    // by path.id
	legs   map[dots.LegKey]map[string]struct{} // ids of routes; a leg may have none
	// stale are marked routes that no leg is known to want, by the key that Open returned; doomed are those that are to go.
	stale  map[dots.LegKey]path
	doomed map[dots.LegKey]bool
}

func newTable(name string) *table {
	return &table{
		name: name, routes: map[string]*held{}, legs: map[dots.LegKey]map[string]struct{}{},
		stale: map[dots.LegKey]path{}, doomed: map[dots.LegKey]bool{},
	}
}

// fresh counts the routes of a list that are not in the table.
func (t *table) fresh(list []path) int {
	n := 0
	for _, p := range list {
		if t.routes[p.id()] == nil {
			n++
		}
	}
	return n
}

// claim notes that a leg wants routes, besides those that it wants already, and returns those that are to be announced. A stale
// route that is claimed is one already: gobgpd has it, though maybe with attributes of an older configuration, so it is announced.
func (t *table) claim(key dots.LegKey, list []path) []*held {
	ids := t.legs[key]
	if ids == nil {
		ids = map[string]struct{}{}
		t.legs[key] = ids
	}
	var due []*held
	for _, p := range list {
		id := p.id()
		h := t.routes[id]
		if h == nil {
			_, stale := t.stale[t.staleKey(p)]
			h = &held{path: p, legs: map[dots.LegKey]bool{}, there: stale}
			t.routes[id] = h
			t.spare(t.staleKey(p))
		}
		h.legs[key] = true
		ids[id] = struct{}{}
		if !h.current {
			due = append(due, h)
		}
	}
	return due
}

// spare forgets a stale route: it is claimed, or gone.
func (t *table) spare(key dots.LegKey) {
	delete(t.stale, key)
	delete(t.doomed, key)
}

// surplus returns the routes that a leg has and does not want any more, in a fixed order.
func (t *table) surplus(key dots.LegKey, wanted []path) []*held {
	keep := map[string]bool{}
	for _, p := range wanted {
		keep[p.id()] = true
	}
	var list []*held
	for _, id := range slices.Sorted(maps.Keys(t.legs[key])) {
		if !keep[id] {
			list = append(list, t.routes[id])
		}
	}
	return list
}

// last reports whether no other leg wants a route.
func (h *held) last(key dots.LegKey) bool { return len(h.legs) == 1 && h.legs[key] }

// release notes that a leg does not want a route any more.
func (t *table) release(key dots.LegKey, h *held) {
	id := h.path.id()
	delete(t.legs[key], id)
	delete(h.legs, key)
	if len(h.legs) == 0 {
		delete(t.routes, id)
	}
}

// of returns the routes of a leg, in a fixed order.
func (t *table) of(key dots.LegKey) []*held { return t.surplus(key, nil) }

// settle compares the table with the marked routes that gobgpd has, after it was opened: a leg of which nothing is left there is
// forgotten, and what no leg wants is stale. It returns the keys of what is in force.
func (t *table) settle(found []path) []dots.LegKey {
	there := map[string]bool{}
	clear(t.stale)
	clear(t.doomed)
	for _, p := range found {
		there[p.id()] = true
		if t.routes[p.id()] == nil && len(t.stale) < maxStale {
			t.stale[t.staleKey(p)] = path{family: p.family, nlri: p.nlri}
		}
	}
	for id, h := range t.routes {
		h.there = there[id]
		h.current = h.current && h.there
	}
	for key := range t.legs {
		routes := t.of(key)
		if slices.ContainsFunc(routes, func(h *held) bool { return h.there }) {
			continue
		}
		for _, h := range routes {
			t.release(key, h)
		}
		delete(t.legs, key)
	}
	keys := append(slices.Collect(maps.Keys(t.legs)), slices.Collect(maps.Keys(t.stale))...)
	slices.SortFunc(keys, func(a, b dots.LegKey) int { return cmp.Or(cmp.Compare(a.CUID, b.CUID), cmp.Compare(a.MID, b.MID)) })
	return keys
}

// staleKey names a route of an earlier run. No cuid has a space in it, so no leg has such a key.
func (t *table) staleKey(p path) dots.LegKey {
	name := ""
	if prefix, ok := p.prefixOf(); ok {
		name = "route " + prefix.String()
	} else {
		sum := sha256.Sum256([]byte(p.id()))
		name = "rule " + hex.EncodeToString(sum[:8])
	}
	return dots.LegKey{Uplink: t.name, CUID: name}
}
