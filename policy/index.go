package policy

import (
	"iter"
	"net/netip"
	"slices"
	"sort"

	"github.com/gaissmai/bart"

	"github.com/dotsgate/dotsgate/dots"
)

// Index finds overlapping targets, of mitigations or of legs, at a cost that grows with the target asked and with what is found, not
// with the table. A domain here is whatever keeps targets apart: only those of the same one are found together. It holds as many
// entries as it is given: the caller bounds them (Defaults.MaxMitigations). It is not safe for concurrent use.
type Index[K comparable] struct {
	compare func(a, b K) int
	domains map[string]*domainIndex[K]
	entries map[K]indexed
}

// indexed is what an Index holds of an entry, so that Delete needs its key only.
type indexed struct {
	domain   string
	expanded Expanded
}

// domainIndex holds the keys of one domain's entries by what they protect. Each list is sorted.
type domainIndex[K comparable] struct {
	prefixes bart.Table[[]K]
	texts    map[text][]K
	count    int
}

// text is a name, URI or alias.
type text struct {
	kind  textKind
	value string
}

type textKind uint8

const (
	kindName textKind = iota
	kindURI
	kindAlias
)

// NewIndex makes an empty Index whose lists are in the order of compare: negative, zero or positive, zero for equal keys only.
func NewIndex[K comparable](compare func(a, b K) int) *Index[K] {
	return &Index[K]{compare: compare, domains: map[string]*domainIndex[K]{}, entries: map[K]indexed{}}
}

// Insert adds an entry, or replaces it. The Index keeps e's slices, which must not be changed after.
func (x *Index[K]) Insert(key K, domain string, e Expanded) {
	x.Delete(key)
	d := x.domains[domain]
	if d == nil {
		d = &domainIndex[K]{texts: map[text][]K{}}
		x.domains[domain] = d
	}
	d.count++
	x.entries[key] = indexed{domain, e}
	for _, p := range e.Prefixes {
		d.prefixes.Modify(p, func(list []K, _ bool) ([]K, bool) {
			return withKey(list, key, x.compare), false
		})
	}
	for t := range e.texts {
		d.texts[t] = withKey(d.texts[t], key, x.compare)
	}
}

// Delete removes an entry. An unknown one is ignored.
func (x *Index[K]) Delete(key K) {
	old, ok := x.entries[key]
	if !ok {
		return
	}
	delete(x.entries, key)
	d := x.domains[old.domain]
	for _, p := range old.expanded.Prefixes {
		d.prefixes.Modify(p, func(list []K, _ bool) ([]K, bool) {
			list = withoutKey(list, key, x.compare)
			return list, len(list) == 0
		})
	}
	for t := range old.expanded.texts {
		if list := withoutKey(d.texts[t], key, x.compare); len(list) > 0 {
			d.texts[t] = list
		} else {
			delete(d.texts, t)
		}
	}
	if d.count--; d.count == 0 {
		delete(x.domains, old.domain)
	}
}

// Overlaps lists the keys of a domain's entries that overlap e, in the order of the Index. The list is the caller's.
func (x *Index[K]) Overlaps(domain string, e Expanded) []K {
	return x.overlaps(domain, e, func(list []K) []K { return list })
}

// OverlapsIn is Overlaps for a range of keys, and costs what is found in it: side is negative for those before the range, zero for those in it and
// positive for those after it, in the order of the Index.
func (x *Index[K]) OverlapsIn(domain string, e Expanded, side func(K) int) []K {
	return x.overlaps(domain, e, func(list []K) []K {
		from := sort.Search(len(list), func(i int) bool { return side(list[i]) >= 0 })
		rest := list[from:]
		return rest[:sort.Search(len(rest), func(i int) bool { return side(rest[i]) > 0 })]
	})
}

// overlaps lists what part leaves of the keys that overlap.
func (x *Index[K]) overlaps(domain string, e Expanded, part func(list []K) []K) []K {
	d := x.domains[domain]
	if d == nil {
		return nil
	}
	var found []K
	for _, p := range e.Prefixes {
		for list := range d.around(p) {
			found = append(found, part(list)...)
		}
	}
	for t := range e.texts {
		found = append(found, part(d.texts[t])...)
	}
	return sorted(found, x.compare)
}

// around walks the lists of the prefixes that hold p or lie in it.
func (d *domainIndex[K]) around(p netip.Prefix) iter.Seq[[]K] {
	return func(yield func([]K) bool) {
		for _, list := range d.prefixes.Supernets(p) { // p itself is among them
			if !yield(list) {
				return
			}
		}
		for q, list := range d.prefixes.Subnets(p) {
			if q != p && !yield(list) {
				return
			}
		}
	}
}

// Expanded returns the target under which an entry was inserted.
func (x *Index[K]) Expanded(key K) (Expanded, bool) {
	e, ok := x.entries[key]
	return e.expanded, ok
}

// Len returns the number of entries.
func (x *Index[K]) Len() int { return len(x.entries) }

// texts walks names, URIs and aliases.
func (e Expanded) texts(yield func(text) bool) {
	for _, l := range []struct {
		kind   textKind
		values []string
	}{{kindName, e.Names}, {kindURI, e.URIs}, {kindAlias, e.Aliases}} {
		for _, v := range l.values {
			if !yield(text{l.kind, v}) {
				return
			}
		}
	}
}

// withKey inserts a key into a sorted list.
func withKey[K any](list []K, key K, compare func(a, b K) int) []K {
	i, ok := slices.BinarySearchFunc(list, key, compare)
	if ok {
		return list
	}
	return slices.Insert(list, i, key)
}

// withoutKey deletes a key from a sorted list.
func withoutKey[K any](list []K, key K, compare func(a, b K) int) []K {
	i, ok := slices.BinarySearchFunc(list, key, compare)
	if !ok {
		return list
	}
	return slices.Delete(list, i, i+1)
}

// compareKey orders mitigations by client and mid.
func compareKey(a, b dots.MitigationKey) int {
	return a.Compare(b)
}
