package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/dotsgate/dotsgate/store"
)

// Commit implements store.Store: the batch is one transaction, which adds it to the journal and merges some of that.
//
// What happens on a full disk, in this order: the write-ahead log is written back, which makes room in it; all of the journal is merged, which makes
// room in the file; then a batch that only withdraws may take the reserve. As long as the reserve cannot be held back again, every other batch is
// refused with store.ErrFull, since it would eat the room of the withdrawals that are still to come.
func (s *Store) Commit(ctx context.Context, b store.Batch) error {
	if err := store.Check(b); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// From here on the commit is finished whatever becomes of its caller.
	ctx = context.WithoutCancel(ctx)
	commit := s.commitOrdinary
	if b.Reserve {
		commit = s.commitWithdrawal
	}
	if err := commit(ctx, b.Records); err != nil {
		return fmt.Errorf("committing %d records: %w", len(b.Records), err)
	}
	return nil
}

func (s *Store) commitOrdinary(ctx context.Context, records []store.Record) error {
	if err := s.reserve.hold(); err != nil {
		return err
	}
	return s.writeMakingRoom(ctx, records)
}

func (s *Store) commitWithdrawal(ctx context.Context, records []store.Record) error {
	err := s.writeMakingRoom(ctx, records)
	if errors.Is(err, store.ErrFull) && s.reserve.held {
		if err := s.reserve.release(); err != nil {
			return err
		}
		err = s.writeMakingRoom(ctx, records)
	}
	if !s.reserve.held {
		s.checkpoint(ctx) // so that the next withdrawal finds the room that the log of this one took
	}
	return err
}

func (s *Store) writeMakingRoom(ctx context.Context, records []store.Record) error {
	if len(records) == 0 {
		return nil
	}
	rows := s.journal.pack(records)
	err := s.write(ctx, rows, s.mergeDue(len(records)))
	if !errors.Is(err, store.ErrFull) {
		return err
	}
	s.checkpoint(ctx)
	if err = s.write(ctx, rows, s.mergeAll()); errors.Is(err, store.ErrFull) {
		err = s.write(ctx, rows, merge{}) // the records may need more room than the journal gives back
	}
	return err
}

// merge is what of the journal becomes part of the records: so many of its oldest rows, of which these entries count.
type merge struct {
	rows    int
	entries []entry
}

func (s *Store) mergeDue(n int) merge {
	rows, entries := s.journal.due(n)
	return merge{rows, entries}
}

func (s *Store) mergeAll() merge {
	rows, entries := s.journal.all()
	return merge{rows, entries}
}

// write adds rows to the journal and merges some of it, in one transaction. What is merged comes first: the room that it gives back is then
// used.
func (s *Store) write(ctx context.Context, rows []row, m merge) error {
	var err error
	if m.rows == 0 && len(rows) == 1 { // a statement is a transaction
		err = classify(s.insert(ctx, rows))
	} else {
		err = s.transact(ctx, func() error {
			if err := s.apply(ctx, m); err != nil {
				return err
			}
			return s.insert(ctx, rows)
		})
	}
	if err != nil {
		return err
	}
	s.journal.drop(m.rows, m.entries)
	s.journal.add(rows)
	return nil
}

// transact does something whole or not at all.
func (s *Store) transact(ctx context.Context, do func() error) error {
	if _, err := s.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return classify(err)
	}
	err := do()
	if err == nil {
		_, err = s.conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		// SQLite may have rolled back by itself, then this fails and changes nothing.
		_, _ = s.conn.ExecContext(ctx, "ROLLBACK")
		return classify(err)
	}
	return nil
}

func (s *Store) insert(ctx context.Context, rows []row) error {
	for _, r := range rows {
		if _, err := s.add.ExecContext(ctx, int64(r.number), r.blob); err != nil {
			return err
		}
	}
	return nil
}

// apply makes entries of the journal records, and takes their rows away.
func (s *Store) apply(ctx context.Context, m merge) error {
	if m.rows == 0 {
		return nil
	}
	for _, e := range m.entries {
		kind, key := identity(string(e.id))
		var err error
		if e.deleted {
			_, err = s.del.ExecContext(ctx, string(kind), []byte(key))
		} else {
			_, err = s.put.ExecContext(ctx, string(kind), []byte(key), e.value)
		}
		if err != nil {
			return err
		}
	}
	_, err := s.trim.ExecContext(ctx, int64(s.journal.rows[m.rows-1].number))
	return err
}

// checkpoint writes the write-ahead log back, so that it is written anew from its start. It is not truncated: the room it has on the
// disk is then safe from everybody else. It is only an attempt: whether it made room shows in the write that follows.
func (s *Store) checkpoint(ctx context.Context) {
	_, _ = s.conn.ExecContext(ctx, "PRAGMA wal_checkpoint(RESTART)")
}
