package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/dotsgate/dotsgate/store"
)

// applicationID marks a database file as ours: "DOTS".
const applicationID = 0x444f5453

// migrations returns the steps of the schema: entry n takes a database of version n to version n+1. Entries are only
// ever added at the end.
func migrations() [][]string {
	return [][]string{
		{
			fmt.Sprintf(`PRAGMA application_id = %d`, applicationID),
			`CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID`,
			`INSERT INTO meta (name, value) VALUES ('schema_version', '0')`,
			// With row ids: without them the values would lie in the tree of the keys, and one that does not fit into a
			// quarter of a page would be read whole each time that its key is compared.
			`CREATE TABLE records (
				kind TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)
			) STRICT`,
		},
		{
			`CREATE TABLE journal (number INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT`,
		},
	}
}

// migrate brings the database to the newest version, each step in a transaction of its own.
func migrate(ctx context.Context, conn *sql.Conn, steps [][]string) error {
	version, err := schemaVersion(ctx, conn)
	if err != nil {
		return err
	}
	if version > len(steps) {
		return fmt.Errorf("%w: schema version %d, this program knows versions up to %d",
			store.ErrVersion, version, len(steps))
	}
	for ; version < len(steps); version++ {
		if err := migrateStep(ctx, conn, steps[version], version+1); err != nil {
			return fmt.Errorf("migrating to schema version %d: %w", version+1, err)
		}
	}
	return nil
}

func migrateStep(ctx context.Context, conn *sql.Conn, statements []string, version int) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `UPDATE meta SET value = ? WHERE name = 'schema_version'`, strconv.Itoa(version))
	if err != nil {
		return err
	}
	return tx.Commit()
}

// schemaVersion returns 0 for an empty database.
func schemaVersion(ctx context.Context, conn *sql.Conn) (int, error) {
	var id, tables, metas int
	if err := conn.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return 0, fmt.Errorf("reading the file's mark: %w", err)
	}
	err := conn.QueryRowContext(ctx, "SELECT count(*), count(*) FILTER (WHERE name = 'meta') FROM sqlite_schema").
		Scan(&tables, &metas)
	if err != nil {
		return 0, fmt.Errorf("reading the schema: %w", err)
	}
	switch {
	case tables == 0:
		return 0, nil
	case metas == 0 && id != applicationID:
		return 0, fmt.Errorf("%w: the file is a database of something else", store.ErrVersion)
	case metas == 0:
		return 0, fmt.Errorf("%w: no table of the schema version", store.ErrCorrupt)
	}
	return readVersion(ctx, conn)
}

func readVersion(ctx context.Context, conn *sql.Conn) (int, error) {
	var text string
	err := conn.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'schema_version'").Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("%w: no schema version", store.ErrCorrupt)
	}
	if err != nil {
		return 0, fmt.Errorf("reading the schema version: %w", err)
	}
	version, err := strconv.Atoi(text)
	if err != nil || version < 1 {
		return 0, fmt.Errorf("%w: schema version %.20q", store.ErrCorrupt, text)
	}
	return version, nil
}
