package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/store"
	"github.com/dotsgate/dotsgate/store/storetest"
)

func TestConforms(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Open: func(t *testing.T) store.Store {
			s, recovery := open(t, Config{Path: filepath.Join(t.TempDir(), "gate.db")})
			if recovery.Cause != nil {
				t.Fatalf("a new store is damaged: %v", recovery.Cause)
			}
			return located{s, strings.TrimSuffix(s.reserve.path, ".reserve")}
		},
		Reopen: func(t *testing.T, s store.Store) store.Store {
			p := s.(located)
			if err := p.Close(); err != nil {
				t.Fatalf("closing: %v", err)
			}
			again, recovery := open(t, Config{Path: p.name})
			if recovery.Cause != nil {
				t.Fatalf("after reopening: %v", recovery.Cause)
			}
			return located{again, p.name}
		},
	})
}

// located is a store that remembers where it lies.
type located struct {
	*Store
	name string
}

func open(t testing.TB, cfg Config) (*Store, Recovery) {
	t.Helper()
	s, recovery, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatalf("opening: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, recovery
}

func put(t testing.TB, s store.Store, keys ...string) {
	t.Helper()
	var b store.Batch
	for _, key := range keys {
		b.Records = append(b.Records, store.Record{Kind: "leg", Key: key, Value: []byte("value of " + key)})
	}
	if err := s.Commit(context.Background(), b); err != nil {
		t.Fatalf("committing: %v", err)
	}
}

func TestOpenNeedsPathAndDirectory(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no path":      {},
		"no directory": {Path: filepath.Join(t.TempDir(), "none", "gate.db")},
		"a directory":  {Path: t.TempDir()},
	} {
		if s, _, err := Open(context.Background(), cfg); err == nil {
			_ = s.Close()
			t.Errorf("%s: opened", name)
		}
	}
}

func TestPathMayHoldAnyCharacter(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a b?mode=ro#%41&c.db")
	s, _ := open(t, Config{Path: name})
	put(t, s, "a")
	if err := s.Close(); err != nil {
		t.Fatalf("closing: %v", err)
	}
	if _, err := os.Stat(name); err != nil {
		t.Fatalf("the file has another name: %v", err)
	}
	s, _ = open(t, Config{Path: name})
	if got := len(storetest.All(t, s)); got != 1 {
		t.Errorf("got %d records, want 1", got)
	}
}

func TestFilesAreTheOwnersOnly(t *testing.T) {
	name := filepath.Join(t.TempDir(), "gate.db")
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s, _ := open(t, Config{Path: name})
	put(t, s, "a")
	files, err := filepath.Glob(name + "*")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimPrefix(f, name))
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", f, info.Mode())
		}
	}
	// No "-shm" among them: see the package's comment.
	if got := strings.Join(names, " "); got != " -wal .lock .reserve" {
		t.Errorf("files: %q", got)
	}
}

func TestSecondOpenIsRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "gate.db")
	first, _ := open(t, Config{Path: name})
	_, _, err := Open(context.Background(), Config{Path: name})
	if !errors.Is(err, store.ErrLocked) {
		t.Fatalf("got %v, want ErrLocked", err)
	}
	for _, part := range []string{name + ".lock", "process " + strconv.Itoa(os.Getpid())} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %q", err, part)
		}
	}
	put(t, first, "still works")
	if err := first.Close(); err != nil {
		t.Fatalf("closing: %v", err)
	}
	second, _ := open(t, Config{Path: name})
	if got := len(storetest.All(t, second)); got != 1 {
		t.Errorf("got %d records, want 1", got)
	}
}

func TestDurabilitySettings(t *testing.T) {
	s, _ := open(t, Config{Path: filepath.Join(t.TempDir(), "gate.db")})
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "locking_mode": "exclusive",
	} {
		var got string
		if err := s.conn.QueryRowContext(context.Background(), "PRAGMA "+pragma).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", pragma, got, want)
		}
	}
}
