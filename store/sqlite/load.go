package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"

	"github.com/dotsgate/dotsgate/store"
)

// loadPage is how many records Load holds in memory at a time, beside the journal.
const loadPage = 128

// Load implements store.Store. It reads page by page and holds no lock while it visits. The journal is taken as it is at the beginning.
func (s *Store) Load(ctx context.Context, visit func(store.Record) error) error {
	newer, err := s.snapshot(ctx)
	if err != nil {
		return err
	}
	last := store.Record{}
	for {
		records, err := s.loadAfter(ctx, last)
		if err != nil {
			return err
		}
		more := len(records) == loadPage
		if more {
			last = records[loadPage-1]
		}
		newer, records = overlay(newer, records, more)
		for _, r := range records {
			if err := visit(r); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
	}
}

// snapshot returns what the journal says, sorted.
func (s *Store) snapshot(ctx context.Context) ([]entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	return s.journal.sorted(), ctx.Err()
}

// overlay puts the newer entries into a page of records and returns those that belong behind it. With more pages to come, those up to the page's
// last record belong to it, else all do.
func overlay(newer []entry, page []store.Record, more bool) ([]entry, []store.Record) {
	var merged []store.Record
	take := func() {
		if e := newer[0]; !e.deleted {
			kind, key := identity(string(e.id))
			merged = append(merged, store.Record{Kind: kind, Key: key, Value: append([]byte{}, e.value...)})
		}
		newer = newer[1:]
	}
	for _, r := range page {
		id := []byte(identify(r.Kind, r.Key))
		for len(newer) > 0 && bytes.Compare(newer[0].id, id) < 0 {
			take()
		}
		if len(newer) > 0 && bytes.Equal(newer[0].id, id) {
			take()
			continue
		}
		merged = append(merged, r)
	}
	for !more && len(newer) > 0 {
		take()
	}
	return newer, merged
}

func (s *Store) loadAfter(ctx context.Context, last store.Record) ([]store.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rows, err := s.page.QueryContext(context.WithoutCancel(ctx), string(last.Kind), []byte(last.Key), loadPage)
	if err != nil {
		return nil, fmt.Errorf("loading records: %w", classify(err))
	}
	records, err := scanRecords(rows)
	if err != nil {
		return nil, fmt.Errorf("loading records: %w", classify(err))
	}
	return records, nil
}

func scanRecords(rows *sql.Rows) ([]store.Record, error) {
	defer func() { _ = rows.Close() }() // rows.Err has told what there is to tell
	var records []store.Record
	for rows.Next() {
		var kind string
		var key, value []byte
		if err := rows.Scan(&kind, &key, &value); err != nil {
			return nil, err
		}
		if value == nil { // the driver's form of an empty blob
			value = []byte{}
		}
		records = append(records, store.Record{Kind: store.Kind(kind), Key: string(key), Value: value})
	}
	return records, rows.Err()
}
