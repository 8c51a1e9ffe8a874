package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/store"
	"github.com/dotsgate/dotsgate/store/storetest"
)

// written makes a closed store with records in many pages and returns its name.
func written(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "gate.db")
	s, _ := open(t, Config{Path: name, Reserve: -1})
	var b store.Batch
	for i := range 200 {
		b.Records = append(b.Records, store.Record{
			Kind: "leg", Key: fmt.Sprintf("key-%03d", i), Value: []byte(strings.Repeat("v", 200)),
		})
	}
	if err := s.Commit(context.Background(), b); err != nil {
		t.Fatalf("committing: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("closing: %v", err)
	}
	return name
}

func TestDamagedFileIsMovedAside(t *testing.T) {
	for name, damage := range map[string]func(content []byte) []byte{
		"no database at all":  func([]byte) []byte { return []byte("this was a database") },
		"damaged magic":       func(c []byte) []byte { c[3] ^= 1; return c },
		"damaged page size":   func(c []byte) []byte { c[16] ^= 0xff; return c },
		"unknown file format": func(c []byte) []byte { c[18], c[19] = 9, 9; return c },
		"unknown schema form": func(c []byte) []byte { c[47] = 99; return c },
		"another encoding":    func(c []byte) []byte { c[59] = 2; return c },
		"overwritten by 0":    func(c []byte) []byte { return make([]byte, len(c)) },
		"torn at a page":      func(c []byte) []byte { return c[:2*4096] },
		"torn in a page":      func(c []byte) []byte { return c[:3*4096+100] },
		"one page of rubbish": func(c []byte) []byte { fillRandom(c[3*4096 : 4*4096]); return c },
		"lost table":          func(c []byte) []byte { return replace(c, "CREATE TABLE records", "CREATE TABLE recordz") },
		"lost meta":           func(c []byte) []byte { return replace(c, "meta", "mett") },
		"version is rubbish":  func(c []byte) []byte { return replace(c, "schema_version2", "schema_versionx") },
		"version name lost":   func(c []byte) []byte { return replace(c, "schema_version2", "schema_versiom1") },
	} {
		t.Run(name, func(t *testing.T) {
			file := written(t)
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			content = damage(content)
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			expectRecovery(t, file, content)
		})
	}
}

// expectRecovery opens the damaged store and demands the report, the old bytes under the new name, and a store that works.
func expectRecovery(t *testing.T, file string, content []byte) {
	t.Helper()
	s, recovery := open(t, Config{Path: file})
	if !errors.Is(recovery.Cause, store.ErrCorrupt) {
		t.Fatalf("cause: got %v, want ErrCorrupt", recovery.Cause)
	}
	if want := file + ".damaged-1"; recovery.MovedTo != want {
		t.Errorf("moved to %q, want %q", recovery.MovedTo, want)
	}
	kept, err := os.ReadFile(recovery.MovedTo)
	if err != nil {
		t.Fatal(err)
	}
	if len(kept) != len(content) {
		t.Errorf("the damaged file has %d bytes now, had %d", len(kept), len(content))
	}
	if got := storetest.All(t, s); len(got) != 0 {
		t.Errorf("the fresh store has %d records", len(got))
	}
	put(t, s, "a")
	if err := s.Close(); err != nil {
		t.Fatalf("closing: %v", err)
	}
	s, recovery = open(t, Config{Path: file})
	if recovery.Cause != nil || len(storetest.All(t, s)) != 1 {
		t.Errorf("after reopening: %v, %d records", recovery.Cause, len(storetest.All(t, s)))
	}
}

func fillRandom(b []byte) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
}

func replace(content []byte, old, with string) []byte {
	return []byte(strings.ReplaceAll(string(content), old, with))
}

// TestRandomDamageNeverStopsOpen: whatever a few changed bytes do, Open returns a store that takes a commit, and it
// never panics.
func TestRandomDamageNeverStopsOpen(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	content, err := os.ReadFile(written(t))
	if err != nil {
		t.Fatal(err)
	}
	recovered := 0
	for round := range 60 {
		damaged := append([]byte(nil), content...)
		area := len(damaged)
		if round%2 == 0 {
			area = 4096 // the header and the schema
		}
		for range 1 + rng.IntN(30) {
			damaged[rng.IntN(area)] = byte(rng.Uint32())
		}
		file := filepath.Join(t.TempDir(), "gate.db")
		if err := os.WriteFile(file, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		s, recovery, err := Open(context.Background(), Config{Path: file, Reserve: -1})
		if errors.Is(err, store.ErrVersion) {
			continue // the damage says "not ours" or "newer", and such a file is left alone
		}
		if err != nil {
			t.Fatalf("round %d: opening: %v", round, err)
		}
		if recovery.Cause != nil {
			recovered++
		}
		put(t, s, "new")
		if err := s.Close(); err != nil {
			t.Errorf("round %d: closing: %v", round, err)
		}
	}
	if recovered == 0 {
		t.Error("no damage was ever found")
	}
}

func TestDamagedFilesAreNumberedAndBounded(t *testing.T) {
	name := filepath.Join(t.TempDir(), "gate.db")
	for n := 1; n <= maxDamaged+2; n++ {
		if err := os.WriteFile(name, fmt.Appendf(nil, "damage number %d", n), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name+"-wal", []byte("its log"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, recovery := open(t, Config{Path: name, Reserve: -1})
		if want := fmt.Sprintf("%s.damaged-%d", name, min(n, maxDamaged)); recovery.MovedTo != want {
			t.Errorf("damage %d: moved to %s, want %s", n, recovery.MovedTo, want)
		}
		if err := s.Close(); err != nil {
			t.Fatalf("closing: %v", err)
		}
	}
	files, err := filepath.Glob(name + ".damaged-*[0-9]")
	if err != nil || len(files) != maxDamaged {
		t.Errorf("%d damaged files are kept (%v), want %d", len(files), err, maxDamaged)
	}
}

// TestTornLogKeepsTheWholeBatches cuts the log of a crashed store anywhere: a batch is there whole or not at all.
func TestTornLogKeepsTheWholeBatches(t *testing.T) {
	source := filepath.Join(t.TempDir(), "gate.db")
	s, _ := open(t, Config{Path: source, Reserve: -1})
	for i := range 20 {
		put(t, s, fmt.Sprintf("a%02d", i), fmt.Sprintf("b%02d", i))
	}
	base, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(source + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	for cut := len(log); cut > 0; cut -= len(log)/37 + 1 {
		file := filepath.Join(t.TempDir(), "gate.db")
		if err := errors.Join(os.WriteFile(file, base, 0o600), os.WriteFile(file+"-wal", log[:cut], 0o600)); err != nil {
			t.Fatal(err)
		}
		torn, recovery := open(t, Config{Path: file, Reserve: -1})
		got := storetest.All(t, torn)
		if recovery.Cause != nil || len(got)%2 != 0 {
			t.Errorf("cut at %d: %v, %d records: half a batch", cut, recovery.Cause, len(got))
		}
		most = max(most, len(got))
	}
	if most != 40 {
		t.Errorf("the whole log gave %d records, want 40", most)
	}
}
