package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/dotsgate/dotsgate/store"
)

const (
	putSQL = `INSERT INTO records (kind, key, value) VALUES (?, ?, ?)
		ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value`
	delSQL  = `DELETE FROM records WHERE kind = ? AND key = ?`
	addSQL  = `INSERT INTO journal (number, entries) VALUES (?, ?)`
	trimSQL = `DELETE FROM journal WHERE number <= ?`
	pageSQL = `SELECT kind, key, value FROM records WHERE (kind, key) > (?, ?) ORDER BY kind, key LIMIT ?`
)

// pageSize is SQLite's default size of a page, in bytes.
const pageSize = 4096

// settings returns the pragmas of the connection, in their order: the locking mode must stand before the first use of
// the log, else the shared-memory file is made.
func settings(logPages int64) []string {
	return []string{
		"locking_mode = EXCLUSIVE",
		"synchronous = FULL", // the log is synced at each commit
		"temp_store = MEMORY",
		"trusted_schema = OFF",
		"cell_size_check = ON",
		fmt.Sprintf("wal_autocheckpoint = %d", logPages),
	}
}

// logPages returns after how many pages the log is written back. Writing it back may make the database grow by as much as
// the log holds, and on a full disk that must fit into the reserve, else the log is stuck.
func logPages(reserve int64) int64 {
	const usual, fewest = 1000, 64
	if reserve < 0 {
		return usual
	}
	return min(max(reserve/2/pageSize, fewest), usual)
}

// connect opens the database, checks it, brings its schema up to date and prepares the statements. Its error wraps
// store.ErrCorrupt when the file is damaged; then nothing is left open.
func connect(ctx context.Context, path string, reserve int64) (*Store, error) {
	if err := prepareFile(path); err != nil {
		return nil, err
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	name := url.URL{Scheme: "file", OmitHost: true, Path: full}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, classifyOpening(err)
	}
	db.SetMaxOpenConns(1)
	s := &Store{db: db, journal: newJournal()}
	if err := s.setUp(ctx, logPages(reserve)); err != nil {
		return nil, errors.Join(classifyOpening(err), s.closeDatabase())
	}
	return s, nil
}

func (s *Store) setUp(ctx context.Context, logPages int64) error {
	var err error
	if s.conn, err = s.db.Conn(ctx); err != nil {
		return err
	}
	for _, pragma := range settings(logPages) {
		if _, err := s.conn.ExecContext(ctx, "PRAGMA "+pragma); err != nil {
			return fmt.Errorf("setting %s: %w", pragma, err)
		}
	}
	if err := s.startLog(ctx); err != nil {
		return err
	}
	if err := s.check(ctx); err != nil {
		return err
	}
	if err := migrate(ctx, s.conn, migrations()); err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	if err := s.probe(ctx); err != nil {
		return err
	}
	return s.readJournal(ctx)
}

// readJournal reads what was committed and not merged yet. Its rows follow each other without a gap.
func (s *Store) readJournal(ctx context.Context) error {
	rows, err := s.conn.QueryContext(ctx, "SELECT number, entries FROM journal ORDER BY number")
	if err != nil {
		return fmt.Errorf("reading the journal: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has told what there is to tell
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.number, &r.blob); err != nil {
			return fmt.Errorf("reading the journal: %w", err)
		}
		if len(s.journal.rows) > 0 && r.number != s.journal.next {
			return fmt.Errorf("reading the journal: %w: row %d is missing", store.ErrCorrupt, s.journal.next)
		}
		if err := r.check(); err != nil {
			return fmt.Errorf("reading the journal: %w: %w", store.ErrCorrupt, err)
		}
		s.journal.add([]row{r})
	}
	return rows.Err()
}

func (s *Store) startLog(ctx context.Context) error {
	var mode string
	if err := s.conn.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return fmt.Errorf("starting the log: %w", err)
	}
	if mode != "wal" {
		return fmt.Errorf("starting the log: the journal mode stays %q", mode)
	}
	return nil
}

func (s *Store) check(ctx context.Context) error {
	var found string
	if err := s.conn.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found); err != nil {
		return fmt.Errorf("checking the file: %w", err)
	}
	if found != "ok" {
		return fmt.Errorf("checking the file: %w: %.200q", store.ErrCorrupt, found)
	}
	return nil
}

// probe writes and takes it back: some damage shows only then, such as a header that says "read only" or a list of free
// pages that leads nowhere. A full disk is no damage: withdrawals may still find room.
func (s *Store) probe(ctx context.Context) error {
	if _, err := s.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("trying a write: %w", err)
	}
	_, err := s.put.ExecContext(ctx, "probe", []byte("probe"), make([]byte, 4*pageSize))
	if _, back := s.conn.ExecContext(ctx, "ROLLBACK"); err == nil && back != nil {
		err = back
	}
	if err != nil && !errors.Is(classify(err), store.ErrFull) {
		return fmt.Errorf("trying a write: %w", err)
	}
	return nil
}

func (s *Store) prepare(ctx context.Context) error {
	for _, p := range []struct {
		stmt  **sql.Stmt
		query string
	}{{&s.put, putSQL}, {&s.del, delSQL}, {&s.add, addSQL}, {&s.trim, trimSQL}, {&s.page, pageSQL}} {
		stmt, err := s.conn.PrepareContext(ctx, p.query)
		if err != nil {
			return fmt.Errorf("preparing statements: %w", err)
		}
		*p.stmt = stmt
	}
	return nil
}

// closeDatabase closes what setUp has opened so far.
func (s *Store) closeDatabase() error {
	var errs []error
	for _, stmt := range []*sql.Stmt{s.put, s.del, s.add, s.trim, s.page} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	return errors.Join(append(errs, s.db.Close())...)
}
