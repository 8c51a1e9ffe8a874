package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/store"
	"github.com/dotsgate/dotsgate/store/storetest"
)

// TestFailedBatchLeavesNothing makes the database refuse the row of a batch with a certain record.
func TestFailedBatchLeavesNothing(t *testing.T) {
	s, _ := open(t, Config{Path: filepath.Join(t.TempDir(), "gate.db")})
	put(t, s, "a", "b")
	_, err := s.conn.ExecContext(context.Background(), `CREATE TEMP TRIGGER refuse BEFORE INSERT ON main.journal
		WHEN instr(NEW.entries, x'626164') BEGIN SELECT RAISE(ABORT, 'refused by the test'); END`)
	if err != nil {
		t.Fatal(err)
	}
	for _, reserve := range []bool{false, true} {
		err = s.Commit(context.Background(), store.Batch{Reserve: reserve, Records: []store.Record{
			{Kind: "leg", Key: "a"}, {Kind: "leg", Key: "c", Value: []byte("1")}, {Kind: "leg", Key: "bad", Value: []byte("1")},
		}})
		if err == nil || !strings.Contains(err.Error(), "refused by the test") || errors.Is(err, store.ErrFull) {
			t.Errorf("reserve %v: got %v, want the database's refusal", reserve, err)
		}
		if got := keys(t, s); got != "a b" {
			t.Errorf("reserve %v: records %q, want a b", reserve, got)
		}
	}
	put(t, s, "d")
	if got := keys(t, s); got != "a b d" {
		t.Errorf("after the failure: records %q, want a b d", got)
	}
}

// TestDamageWhileOpen: what is damaged under a running store is told as such, and the next Open puts it aside.
func TestDamageWhileOpen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gate.db")
	s, _ := open(t, Config{Path: file, Reserve: -1})
	value := []byte(strings.Repeat("v", 600))
	for n := range 10 { // in all more than SQLite keeps in memory
		var b store.Batch
		for i := range 1000 {
			b.Records = append(b.Records, store.Record{Kind: "leg", Key: fmt.Sprintf("%02d-%04d", n, i), Value: value})
		}
		if err := s.Commit(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	rows, entries := s.journal.all()
	if err := s.write(context.Background(), nil, merge{rows, entries}); err != nil {
		t.Fatal(err)
	}
	s.checkpoint(context.Background())
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fillRandom(content[2*pageSize:])
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	err = s.Load(context.Background(), func(store.Record) error { return nil })
	if !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("loading: got %v, want ErrCorrupt", err)
	}
	_ = s.Close() // may fail, and must not panic
	s, recovery := open(t, Config{Path: file, Reserve: -1})
	if !errors.Is(recovery.Cause, store.ErrCorrupt) || len(storetest.All(t, s)) != 0 {
		t.Errorf("after reopening: %v, %d records", recovery.Cause, len(storetest.All(t, s)))
	}
}

// TestTroubleIsNoDamage: what the system or the caller does must not have a sound file moved aside.
func TestTroubleIsNoDamage(t *testing.T) {
	for name, test := range map[string]func(t *testing.T, file string) error{
		"cancelled": func(_ *testing.T, file string) error {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, _, err := Open(ctx, Config{Path: file})
			return err
		},
		"reserve cannot be made": func(t *testing.T, file string) error {
			if err := os.MkdirAll(filepath.Join(file+".reserve", "x"), 0o700); err != nil {
				t.Fatal(err)
			}
			_, _, err := Open(context.Background(), Config{Path: file})
			return err
		},
		"held by another connection": func(t *testing.T, file string) error {
			other, err := connect(context.Background(), file, -1) // goes past our own lock
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = other.closeDatabase() }()
			_, err = other.conn.ExecContext(context.Background(), "BEGIN EXCLUSIVE")
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = Open(context.Background(), Config{Path: file})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := written(t)
			err := test(t, file)
			if err == nil || errors.Is(err, store.ErrCorrupt) {
				t.Errorf("got %v, want an error other than ErrCorrupt", err)
			}
			if found, _ := filepath.Glob(file + ".damaged*"); len(found) != 0 {
				t.Errorf("moved aside as %v", found)
			}
			_ = os.RemoveAll(file + ".reserve")
			s, recovery := open(t, Config{Path: file, Reserve: -1})
			if recovery.Cause != nil || len(storetest.All(t, s)) != 200 {
				t.Errorf("afterwards: %v, %d records; want 200", recovery.Cause, len(storetest.All(t, s)))
			}
		})
	}
}

func TestLoadHeedsItsContextBetweenRecords(t *testing.T) {
	s, _ := open(t, Config{Path: written(t), Reserve: -1})
	ctx, cancel := context.WithCancel(context.Background())
	visits := 0
	err := s.Load(ctx, func(store.Record) error {
		if visits++; visits == 5 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || visits != 5 {
		t.Errorf("got %v after %d visits, want context.Canceled after 5", err, visits)
	}
}
