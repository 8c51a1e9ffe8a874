package sqlite

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/dotsgate/dotsgate/store"
)

// Bounds of the journal.
const (
	// journalBytes is how large the journal grows before its oldest rows are merged. Records that are written again within that time are never merged
	// but once.
	journalBytes = 4 << 20
	// rowBytes and rowRecords bound a row, and with it what is merged at once; a record that is larger has a row of its own.
	rowBytes, rowRecords = 128 << 10, 512
	// mergeLeast is how many records a commit merges at least, while the journal is too large.
	mergeLeast = 64
)

// journal is what was committed and not merged into the table of records yet: rows in the order of their numbers, each with a part of a batch. It is
// held in memory too, because the newest value of a record may be there. Its size is bounded: beyond journalBytes each commit merges more than it
// adds.
//
// A commit is one row at the end of one table, where in the table of records it would be a place in two trees for each record. What
// is written again and again, as mitigations are that are refreshed, gets there only with the value that it has when its row is merged.
type journal struct {
	limit    int // bytes from which on rows are merged
	rows     []row
	newest   map[string]*place // by identity; see identify
	bytes    int
	next     uint64 // number of the next row
	draining bool   // it was too large, and is merged until it is a good deal smaller
}

// row is one row of the journal. Its bytes are a checksum, then entries, each an identity and a value (appendEntry).
type row struct {
	number uint64
	blob   []byte
}

// place is where an entry begins.
type place struct {
	row uint64
	at  int
}

// entry is a record as it lies in a row; its slices are parts of the row.
type entry struct {
	id      []byte
	value   []byte
	deleted bool
}

const checksumBytes = 4

func newJournal() journal { return journal{limit: journalBytes, newest: map[string]*place{}, next: 1} }

// identify is a record's identity as one text. A kind holds no zero byte, so that texts sort as kinds and keys do.
func identify(kind store.Kind, key string) string { return string(kind) + "\x00" + key }

// identity is what identify made.
func identity(id string) (store.Kind, string) {
	kind, key, _ := strings.Cut(id, "\x00")
	return store.Kind(kind), key
}

// pack makes rows of records.
func (j *journal) pack(records []store.Record) []row {
	var rows []row
	for len(records) > 0 {
		n, size := 0, checksumBytes
		for n < len(records) && n < rowRecords && (n == 0 || size < rowBytes) {
			r := records[n]
			size += len(r.Kind) + 1 + len(r.Key) + len(r.Value) + 2*binary.MaxVarintLen32
			n++
		}
		blob := make([]byte, checksumBytes, size)
		for _, r := range records[:n] {
			blob = appendEntry(blob, r)
		}
		binary.BigEndian.PutUint32(blob, checksum(blob))
		rows = append(rows, row{j.next + uint64(len(rows)), blob})
		records = records[n:]
	}
	return rows
}

func appendEntry(b []byte, r store.Record) []byte {
	b = binary.AppendUvarint(b, uint64(len(r.Kind)+1+len(r.Key)))
	b = append(b, r.Kind...)
	b = append(b, 0)
	b = append(b, r.Key...)
	if r.Value == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Value))+1)
	return append(b, r.Value...)
}

func checksum(blob []byte) uint32 {
	return crc32.Checksum(blob[checksumBytes:], crc32.MakeTable(crc32.Castagnoli))
}

// check reports a row that is not as pack made it.
func (r row) check() error {
	if len(r.blob) < checksumBytes || binary.BigEndian.Uint32(r.blob) != checksum(r.blob) {
		return fmt.Errorf("row %d has a wrong checksum", r.number)
	}
	for at := checksumBytes; at < len(r.blob); {
		e, end, ok := r.entry(at)
		if !ok || bytes.IndexByte(e.id, 0) < 0 {
			return fmt.Errorf("row %d ends in the middle", r.number)
		}
		at = end
	}
	return nil
}

// entry reads the entry at a place, and returns where the next one begins.
func (r row) entry(at int) (e entry, end int, ok bool) {
	n, w := binary.Uvarint(r.blob[at:])
	at += w
	if w <= 0 || n > uint64(len(r.blob)-at) {
		return entry{}, 0, false
	}
	e.id = r.blob[at : at+int(n)]
	at += int(n)
	n, w = binary.Uvarint(r.blob[at:])
	at += w
	if w <= 0 || n > uint64(len(r.blob)-at)+1 {
		return entry{}, 0, false
	}
	if n == 0 {
		e.deleted = true
		return e, at, true
	}
	e.value = r.blob[at : at+int(n)-1]
	return e, at + int(n) - 1, true
}

// add notes rows that were committed.
func (j *journal) add(rows []row) {
	for _, r := range rows {
		for at := checksumBytes; at < len(r.blob); {
			e, end, _ := r.entry(at)
			if p := j.newest[string(e.id)]; p != nil {
				*p = place{r.number, at}
			} else {
				j.newest[string(e.id)] = &place{r.number, at}
			}
			at = end
		}
		j.rows = append(j.rows, r)
		j.bytes += len(r.blob)
		j.next = r.number + 1
	}
	j.draining = j.bytes > j.limit || j.draining && j.bytes > j.limit/4*3
}

// live lists the entries of a row that nothing newer replaces.
func (j *journal) live(r row) []entry {
	var list []entry
	for at := checksumBytes; at < len(r.blob); {
		e, end, _ := r.entry(at)
		if p := j.newest[string(e.id)]; p != nil && *p == (place{r.number, at}) {
			list = append(list, e)
		}
		at = end
	}
	return list
}

// due says how many of the oldest rows a commit of n records merges, and their live entries: more than it adds, so that the journal becomes smaller,
// and not many more, so that it is done soon.
func (j *journal) due(n int) (rows int, entries []entry) {
	if !j.draining {
		return 0, nil
	}
	left := j.bytes
	for rows < len(j.rows) && left > j.limit/2 && len(entries) < mergeLeast+2*n {
		entries = append(entries, j.live(j.rows[rows])...)
		left -= len(j.rows[rows].blob)
		rows++
	}
	return rows, entries
}

// all is what there is to be merged.
func (j *journal) all() (rows int, entries []entry) {
	for _, r := range j.rows {
		entries = append(entries, j.live(r)...)
	}
	return len(j.rows), entries
}

// drop notes that the oldest rows were merged, and their live entries with them.
func (j *journal) drop(rows int, entries []entry) {
	for _, e := range entries {
		delete(j.newest, string(e.id))
	}
	for _, r := range j.rows[:rows] {
		j.bytes -= len(r.blob)
	}
	clear(j.rows[:rows])
	j.rows = j.rows[rows:]
}

// sorted lists the newest entries by identity. Rows are never changed, so that the list stays good.
func (j *journal) sorted() []entry {
	list := make([]entry, 0, len(j.newest))
	for _, p := range j.newest {
		e, _, _ := j.rows[p.row-j.rows[0].number].entry(p.at)
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b entry) int { return bytes.Compare(a.id, b.id) })
	return list
}
