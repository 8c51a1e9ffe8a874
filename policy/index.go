package policy

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/gaissmai/bart"

	"github.com/dotsgate/dotsgate/dots"
)

// Index finds overlapping mitigations, at a cost that grows with the target asked and with what is found, not with the
// table. It holds as many mitigations as it is given: the caller bounds them (Defaults.MaxMitigations). It is not safe for
// concurrent use.
type Index struct {
	domains map[string]*domainIndex
	entries map[dots.MitigationKey]indexed
}

// indexed is what an Index holds of a mitigation, so that Delete needs its key only.
type indexed struct {
	domain   string
	expanded Expanded
}

// domainIndex holds the keys of one domain's mitigations by what they protect. Each list is sorted.
type domainIndex struct {
	prefixes bart.Table[[]dots.MitigationKey]
	texts    map[text][]dots.MitigationKey
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

// NewIndex makes an empty Index.
func NewIndex() *Index {
	return &Index{domains: map[string]*domainIndex{}, entries: map[dots.MitigationKey]indexed{}}
}

// Insert adds a mitigation, or replaces it. The Index keeps e's slices, which must not be changed after.
func (x *Index) Insert(key dots.MitigationKey, domain string, e Expanded) {
	x.Delete(key)
	d := x.domains[domain]
	if d == nil {
		d = &domainIndex{texts: map[text][]dots.MitigationKey{}}
		x.domains[domain] = d
	}
	d.count++
	x.entries[key] = indexed{domain, e}
	for _, p := range e.Prefixes {
		d.prefixes.Modify(p, func(list []dots.MitigationKey, _ bool) ([]dots.MitigationKey, bool) {
			return withKey(list, key), false
		})
	}
	for t := range e.texts {
		d.texts[t] = withKey(d.texts[t], key)
	}
}

// Delete removes a mitigation. An unknown one is ignored.
func (x *Index) Delete(key dots.MitigationKey) {
	old, ok := x.entries[key]
	if !ok {
		return
	}
	delete(x.entries, key)
	d := x.domains[old.domain]
	for _, p := range old.expanded.Prefixes {
		d.prefixes.Modify(p, func(list []dots.MitigationKey, _ bool) ([]dots.MitigationKey, bool) {
			list = withoutKey(list, key)
			return list, len(list) == 0
		})
	}
	for t := range old.expanded.texts {
		if list := withoutKey(d.texts[t], key); len(list) > 0 {
			d.texts[t] = list
		} else {
			delete(d.texts, t)
		}
	}
	if d.count--; d.count == 0 {
		delete(x.domains, old.domain)
	}
}

// Overlaps lists the mitigations of a domain that overlap e, sorted by client, cuid and mid. The list is the caller's.
func (x *Index) Overlaps(domain string, e Expanded) []dots.MitigationKey {
	d := x.domains[domain]
	if d == nil {
		return nil
	}
	var found []dots.MitigationKey
	for _, p := range e.Prefixes {
		found = d.prefixOverlaps(found, p)
	}
	for t := range e.texts {
		found = append(found, d.texts[t]...)
	}
	return sorted(found, compareKey)
}

// prefixOverlaps appends the keys whose prefixes hold p or lie in it.
func (d *domainIndex) prefixOverlaps(found []dots.MitigationKey, p netip.Prefix) []dots.MitigationKey {
	for _, list := range d.prefixes.Supernets(p) { // p itself is among them
		found = append(found, list...)
	}
	for q, list := range d.prefixes.Subnets(p) {
		if q != p {
			found = append(found, list...)
		}
	}
	return found
}

// Expanded returns the target under which a mitigation was inserted.
func (x *Index) Expanded(key dots.MitigationKey) (Expanded, bool) {
	e, ok := x.entries[key]
	return e.expanded, ok
}

// Len returns the number of mitigations.
func (x *Index) Len() int { return len(x.entries) }

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
func withKey(list []dots.MitigationKey, key dots.MitigationKey) []dots.MitigationKey {
	i, ok := slices.BinarySearchFunc(list, key, compareKey)
	if ok {
		return list
	}
	return slices.Insert(list, i, key)
}

// withoutKey deletes a key from a sorted list.
func withoutKey(list []dots.MitigationKey, key dots.MitigationKey) []dots.MitigationKey {
	i, ok := slices.BinarySearchFunc(list, key, compareKey)
	if !ok {
		return list
	}
	return slices.Delete(list, i, i+1)
}

// compareKey orders mitigations by client, cuid and mid.
func compareKey(a, b dots.MitigationKey) int {
	return cmp.Or(strings.Compare(a.Client.Name, b.Client.Name), strings.Compare(a.Client.CUID, b.Client.CUID), cmp.Compare(a.MID, b.MID))
}
