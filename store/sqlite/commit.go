package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/dotsgate/dotsgate/store"
)

// Commit implements store.Store: the batch is one transaction.
//
// What happens on a full disk, in this order: the log is written back, which makes room in it; then a batch that only
// withdraws may take the reserve. As long as the reserve cannot be held back again, every other batch is refused
// with store.ErrFull, since it would eat the room of the withdrawals that are still to come.
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
	err := s.write(ctx, records)
	if errors.Is(err, store.ErrFull) {
		s.checkpoint(ctx)
		err = s.write(ctx, records)
	}
	return err
}

func (s *Store) write(ctx context.Context, records []store.Record) error {
	if _, err := s.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return classify(err)
	}
	err := s.apply(ctx, records)
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

func (s *Store) apply(ctx context.Context, records []store.Record) error {
	for _, r := range records {
		var err error
		if r.Value == nil {
			_, err = s.del.ExecContext(ctx, string(r.Kind), []byte(r.Key))
		} else {
			_, err = s.put.ExecContext(ctx, string(r.Kind), []byte(r.Key), r.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkpoint writes the log back, so that it is written anew from its start. It is not truncated: the room it has on the
// disk is then safe from everybody else. It is only an attempt: whether it made room shows in the write that follows.
func (s *Store) checkpoint(ctx context.Context) {
	_, _ = s.conn.ExecContext(ctx, "PRAGMA wal_checkpoint(RESTART)")
}
