package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	sqlitedriver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/dotsgate/dotsgate/store"
)

// maxDamaged is how many damaged files are kept; from then on the newest replaces the last of them.
const maxDamaged = 16

// Recovery tells what Open had to do to go on. The zero Recovery means that the store was sound.
type Recovery struct {
	// MovedTo is the name the damaged file has now; its log, if there was one, lies beside it as MovedTo-wal.
	MovedTo string

	// Cause says what was found; it wraps store.ErrCorrupt. Nil means that nothing was damaged.
	Cause error
}

// moveAside renames the database and its log and returns the new name of the database.
func moveAside(path string) (string, error) {
	aside := ""
	for n := 1; n <= maxDamaged; n++ {
		aside = fmt.Sprintf("%s.damaged-%d", path, n)
		if _, err := os.Lstat(aside); errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	if err := os.Rename(path, aside); err != nil {
		return "", err
	}
	// A log left behind would be applied to the fresh file.
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	return aside, syncDirectory(filepath.Dir(path))
}

// classify puts the sentinel of package store around an error of SQLite.
func classify(err error) error {
	var e *sqlitedriver.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return err
}

// classifyOpening is classify for the statements of opening. They are always the same, so that an error in them which
// does not come from the system comes from what the file says: a bit of its header or of its schema has changed.
func classifyOpening(err error) error {
	var e *sqlitedriver.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	switch e.Code() {
	case sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_DATA, sqlite3.SQLITE_IOERR_CORRUPTFS:
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED,
		sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT,
		sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_NOLFS:
		return classify(err)
	}
	return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
}
