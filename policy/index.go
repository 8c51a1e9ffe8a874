package policy

import "github.com/dotsgate/dotsgate/dots"

// Index finds overlapping mitigations, at a cost that grows with the target asked and with what is found, not with the table. It is not safe for concurrent use.
type Index struct{}

// NewIndex makes an empty Index.
func NewIndex() *Index { return &Index{} }

// Insert adds a mitigation, or replaces it. The Index keeps e's slices, which must not be changed after.
func (x *Index) Insert(key dots.MitigationKey, domain string, e Expanded) {}

// Delete removes a mitigation. An unknown one is ignored.
func (x *Index) Delete(key dots.MitigationKey) {}

// Overlaps lists the mitigations of a domain that overlap e, sorted by client, cuid and mid.
func (x *Index) Overlaps(domain string, e Expanded) []dots.MitigationKey { return nil }

// Len returns the number of mitigations.
func (x *Index) Len() int { return 0 }
