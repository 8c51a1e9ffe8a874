package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/store"
	"github.com/dotsgate/dotsgate/store/storetest"
)

func execute(t *testing.T, file string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestUnknownFormatIsLeftAlone(t *testing.T) {
	for name, test := range map[string]struct {
		statements []string
		want       string
	}{
		"newer schema": {
			[]string{`UPDATE meta SET value = '7' WHERE name = 'schema_version'`},
			"schema version 7, this program knows versions up to 2",
		},
		"other program": {
			[]string{`DROP TABLE meta`, `DROP TABLE records`, `CREATE TABLE bookmarks (x)`, `PRAGMA application_id = 5`},
			"a database of something else",
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := written(t)
			execute(t, file, test.statements...)
			before, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = Open(context.Background(), Config{Path: file})
			if !errors.Is(err, store.ErrVersion) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want ErrVersion and %q", err, test.want)
			}
			if !strings.Contains(err.Error(), file) {
				t.Errorf("%q does not name the file", err)
			}
			after, err := os.ReadFile(file)
			if err != nil || string(after) != string(before) {
				t.Errorf("the file was changed (%v)", err)
			}
			if found, _ := filepath.Glob(file + ".damaged*"); len(found) != 0 {
				t.Errorf("moved aside as %v", found)
			}
			// The lock is free again: the operator can put the right file there.
			execute(t, file, `PRAGMA user_version`)
			lock, err := lockFile(file + ".lock")
			if err != nil {
				t.Fatalf("still locked: %v", err)
			}
			_ = lock.Close()
		})
	}
}

func TestMigrationRunsTheMissingSteps(t *testing.T) {
	file := written(t)
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	steps := append(migrations(),
		[]string{`ALTER TABLE records ADD COLUMN written INTEGER`, `UPDATE records SET written = 5`},
		[]string{`CREATE TABLE other (x)`, `this is no SQL`},
	)
	if _, err := conn.ExecContext(ctx, `INSERT INTO records VALUES ('leg', x'61', x''), ('leg', x'62', x'')`); err != nil {
		t.Fatal(err)
	}
	if err := migrate(ctx, conn, steps); err == nil || !strings.Contains(err.Error(), "schema version 4") {
		t.Fatalf("got %v, want the failure of the last step", err)
	}
	var version, written, others int
	err = conn.QueryRowContext(ctx, `SELECT
		(SELECT value FROM meta WHERE name = 'schema_version'),
		(SELECT sum(written) FROM records),
		(SELECT count(*) FROM sqlite_schema WHERE name = 'other')`).Scan(&version, &written, &others)
	if err != nil {
		t.Fatal(err)
	}
	// The step before it is done, the last has left nothing.
	if version != 3 || written != 2*5 || others != 0 {
		t.Errorf("version %d, sum %d, others %d; want 3, 10, 0", version, written, others)
	}
}

// TestOlderStoreIsBroughtUpToDate: one of the first version, without a journal, keeps what it holds.
func TestOlderStoreIsBroughtUpToDate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gate.db")
	statements := append(migrations()[0], `UPDATE meta SET value = '1'`,
		`INSERT INTO records VALUES ('leg', CAST('a' AS BLOB), CAST('1' AS BLOB)), ('leg', CAST('b' AS BLOB), CAST('1' AS BLOB))`)
	execute(t, file, statements...)
	s, recovery := open(t, Config{Path: file})
	if recovery.Cause != nil {
		t.Fatal(recovery.Cause)
	}
	put(t, s, "b", "c")
	if got := keys(t, s); got != "a b c" {
		t.Errorf("records %q, want a b c", got)
	}
}

func TestEmptyFileIsANewStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gate.db")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, recovery := open(t, Config{Path: file})
	put(t, s, "a")
	if recovery.Cause != nil || len(storetest.All(t, s)) != 1 {
		t.Errorf("recovery %v, records %v", recovery.Cause, storetest.All(t, s))
	}
}
