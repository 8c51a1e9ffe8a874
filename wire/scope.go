package wire

import "github.com/dotsgate/dotsgate/dots"

// What surrounds mitigations in every profile: {1: {2: [...]}} (RFC 9132, Section 4.4.1), and what each report begins with.

// BeginScope opens {1: {2: [; Element before each entry, then EndScope.
func (w *Writer) BeginScope() {
	w.BeginMap()
	w.Key(KeyMitigationScope)
	w.BeginMap()
	w.Key(KeyScope)
	w.BeginArray()
}

// EndScope closes ]}}.
func (w *Writer) EndScope() {
	w.EndArray()
	w.EndMap()
	w.EndMap()
}

// smallestReport is the encoded length of the shortest report that is accepted: mid, lifetime and status.
const smallestReport = 7

// ReadReports reads the answer to a GET of mitigations, in the server's order, at most MaxReports; report reads one into its
// place. The list has an entry for every mitigation under a cuid (RFC 9132, Section 4.4.2), so it may be far longer than MaxArray. It returns a list even where that has no reports.
func (r *Reader) ReadReports(report func(into *dots.Report) error) (list []dots.Report, err error) {
	err = r.Scopes(MaxReports, func(n int) {
		list = make([]dots.Report, 0, r.Room(n, smallestReport))
	}, func() error {
		list = append(list, dots.Report{})
		return report(&list[len(list)-1])
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// ReportKeys are the keys of what every report has. RFC 9132, Section 4.4.2: mid, lifetime and status are mandatory.
type ReportKeys struct {
	MID, Lifetime, Status uint64
	MostMID, MostLifetime uint64 // the greatest values
}

// ReadReport reads one report: mid and lifetime itself, all other attributes by field. A filter may have taken the lifetime or
// the status.
func (r *Reader) ReadReport(keys ReportKeys, filter Filter, into *dots.Report, field func(key uint64, into *dots.Report) error) error {
	var mid dots.Maybe[uint32]
	var lifetime dots.Maybe[dots.Lifetime]
	err := r.Entries(KeyScope, func(key uint64) (err error) {
		switch key {
		case keys.MID:
			mid, err = r.ReadMID(key, keys.MostMID)
		case keys.Lifetime:
			lifetime, err = r.ReadLifetime(key, keys.MostLifetime)
		default:
			err = field(key, into)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case !mid.Set:
		return r.Missing(keys.MID)
	case !lifetime.Set && filter != FilterNonConfig:
		return r.Missing(keys.Lifetime)
	case into.Status == 0 && filter != FilterConfig:
		return r.Missing(keys.Status)
	}
	into.MID, into.Lifetime = mid.Value, lifetime.Value
	return nil
}

// Counter returns the counter that stands at key in the row of four that begins at first, or nil. Every profile has them in
// this order: bytes, bytes per second, packets, packets per second.
func Counter(key, first uint64, c *dots.Counters) *dots.Maybe[uint64] {
	switch key - first {
	case 0:
		return &c.BytesDropped
	case 1:
		return &c.BytesPerSecond
	case 2:
		return &c.PktsDropped
	case 3:
		return &c.PktsPerSecond
	}
	return nil
}

// Counters writes the counters that are present, under the four keys from first on.
func (w *Writer) Counters(first uint64, c dots.Counters) {
	for key := first; key < first+4; key++ {
		if v := Counter(key, first, &c); v.Set {
			w.Key(key)
			w.Uint(v.Value)
		}
	}
}

// tagEpoch marks seconds since the Unix epoch (RFC 8949, Section 3.4.2).
const tagEpoch = 1

// PassEpoch passes over the tag of an epoch time, which should not be there, and refuses any other tag.
func (r *Reader) PassEpoch(key uint64) error {
	if tag, ok := r.Tag(); ok && tag != tagEpoch {
		return r.Bad(key, "unexpected tag")
	}
	return nil
}
