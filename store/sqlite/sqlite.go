// Package sqlite is the embedded durable store of the gateway: one SQLite file with a write-ahead log.
//
// What is committed is added to a table that is a journal, in one row, and merged into the table of records later (journal.go).
//
// Every commit is one transaction that is on the disk when it returns. The database is held in exclusive locking
// mode, so that no shared-memory file is needed: on a full disk a write into such a mapping would kill the process.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/dotsgate/dotsgate/store"
)

// DefaultReserve is the space in bytes that is kept back for withdrawals unless the configuration says otherwise.
const DefaultReserve = 1 << 20

// Config says where a store is and how it behaves.
type Config struct {
	// Path is the database file; required. Its directory must exist and be writable: next to the file lie
	// "-wal" (the log), ".lock" and ".reserve". All are created readable by their owner only.
	Path string

	// Reserve is the space in bytes kept back for batches that only withdraw. Zero means DefaultReserve,
	// a negative number none.
	Reserve int64
}

// Store is a store.Store in one SQLite file. It is safe for concurrent use; commits are done one after the other, so
// that a caller with many changes merges them into one batch. Make one with Open.
type Store struct {
	mu      sync.Mutex // held for each use of conn
	closed  bool
	db      *sql.DB
	conn    *sql.Conn
	put     *sql.Stmt
	del     *sql.Stmt
	add     *sql.Stmt
	trim    *sql.Stmt
	page    *sql.Stmt
	lock    *os.File
	reserve reserve
	journal journal
}

// Open opens or creates the store. A damaged file does not stop it: the file is moved aside, the store that is
// returned is a fresh one, and the Recovery says so; the caller logs it. A Recovery comes only with a nil error.
// The errors are store.ErrLocked, store.ErrVersion, store.ErrFull, or one of the system. Open reads the whole
// file once to check it.
func Open(ctx context.Context, cfg Config) (*Store, Recovery, error) {
	if cfg.Path == "" {
		return nil, Recovery{}, errors.New("opening the store: no path")
	}
	lock, err := lockFile(cfg.Path + ".lock")
	if err != nil {
		return nil, Recovery{}, fmt.Errorf("opening the store: %w", err)
	}
	s, recovery, err := openLocked(ctx, cfg)
	if err != nil {
		_ = lock.Close() // the first error says more
		return nil, Recovery{}, fmt.Errorf("opening the store %s: %w", cfg.Path, err)
	}
	s.lock = lock
	return s, recovery, nil
}

func openLocked(ctx context.Context, cfg Config) (*Store, Recovery, error) {
	var recovery Recovery
	held := newReserve(cfg)
	s, err := connect(ctx, cfg.Path, held.size)
	if errors.Is(err, store.ErrCorrupt) {
		recovery.Cause = err
		if recovery.MovedTo, err = moveAside(cfg.Path); err != nil {
			return nil, Recovery{}, fmt.Errorf("moving the damaged file aside (%w): %w", recovery.Cause, err)
		}
		s, err = connect(ctx, cfg.Path, held.size)
	}
	if err != nil {
		return nil, Recovery{}, err
	}
	s.reserve = held
	// A full disk must not stop a restart: without its reserve the store only takes withdrawals.
	if err := s.reserve.hold(); err != nil && !errors.Is(err, store.ErrFull) {
		_ = s.closeDatabase()
		return nil, Recovery{}, err
	}
	return s, recovery, nil
}

// Close implements store.Store. The log is written back into the database file.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.closeDatabase()
	if lockErr := s.lock.Close(); lockErr != nil {
		err = errors.Join(err, lockErr)
	}
	if err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return nil
}
