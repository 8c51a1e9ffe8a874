package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dotsgate/dotsgate/store"
	"github.com/dotsgate/dotsgate/store/storetest"
)

// smallDisk mounts a file system of 2 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("mounting a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	return dir
}

// fillDisk takes what is free, which may be nothing.
func fillDisk(t *testing.T, file string) {
	t.Helper()
	err := os.WriteFile(file, make([]byte, 4<<20), 0o600)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: got %v, want ENOSPC", err)
	}
}

func putUntilFull(t *testing.T, s store.Store) (kept []string) {
	t.Helper()
	for n := 0; ; n++ {
		var b store.Batch
		for i := range 10 {
			b.Records = append(b.Records, store.Record{
				Kind: "leg", Key: fmt.Sprintf("%05d-%d", n, i), Value: []byte(strings.Repeat("v", 300)),
			})
		}
		err := s.Commit(context.Background(), b)
		if errors.Is(err, store.ErrFull) {
			return kept
		}
		if err != nil {
			t.Fatalf("batch %d: got %v, want nil or ErrFull", n, err)
		}
		for _, r := range b.Records {
			kept = append(kept, r.Key)
		}
		if n > 2000 {
			t.Fatal("the disk is never full")
		}
	}
}

func keys(t *testing.T, s store.Store) string {
	t.Helper()
	var found []string
	for _, r := range storetest.All(t, s) {
		found = append(found, r.Key)
	}
	return strings.Join(found, " ")
}

func withdraw(s store.Store, keys ...string) error {
	b := store.Batch{Reserve: true}
	for _, key := range keys {
		b.Records = append(b.Records, store.Record{Kind: "leg", Key: key})
	}
	return s.Commit(context.Background(), b)
}

func TestFullDiskTakesWithdrawalsOnly(t *testing.T) {
	dir := smallDisk(t)
	cfg := Config{Path: filepath.Join(dir, "gate.db"), Reserve: 512 << 10}
	s, _ := open(t, cfg)
	kept := putUntilFull(t, s)
	if len(kept) < 100 {
		t.Fatalf("only %d records fit", len(kept))
	}
	fillDisk(t, filepath.Join(dir, "ballast"))
	if got := keys(t, s); got != strings.Join(kept, " ") {
		t.Fatal("what was refused is there, or what was accepted is not")
	}
	// Withdraw all but the last hundred, one by one and in groups.
	for len(kept) > 100 {
		n := min(1+len(kept)%7, len(kept)-100)
		if err := withdraw(s, kept[:n]...); err != nil {
			t.Fatalf("withdrawing with %d left: %v", len(kept), err)
		}
		kept = kept[n:]
	}
	if _, err := os.Stat(cfg.Path + ".reserve"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the reserve was not used: %v", err)
	}
	// Whatever room there is, somebody else takes it: the store goes on taking withdrawals in the room of its log.
	fillDisk(t, filepath.Join(dir, "ballast-too"))
	refusesOrdinary(t, s)
	if err := withdraw(s, kept[0]); err != nil {
		t.Fatalf("withdrawing on a disk without any room: %v", err)
	}
	kept = kept[1:]

	// A restart on the full disk finds the same and goes on the same way.
	if err := s.Close(); err != nil {
		t.Fatalf("closing: %v", err)
	}
	fillDisk(t, filepath.Join(dir, "ballast-more"))
	s, recovery := open(t, cfg)
	if recovery.Cause != nil {
		t.Fatalf("after the restart: %v", recovery.Cause)
	}
	if got := keys(t, s); got != strings.Join(kept, " ") {
		t.Fatal("the restart has lost or found something")
	}
	refusesOrdinary(t, s)

	// Space returns: the reserve is held again, and ordinary batches too.
	for _, ballast := range []string{"ballast", "ballast-too", "ballast-more"} {
		if err := os.Remove(filepath.Join(dir, ballast)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, "new")
	info, err := os.Stat(cfg.Path + ".reserve")
	if err != nil || info.Size() != cfg.Reserve {
		t.Errorf("the reserve is not held again: %v", err)
	}
}

func refusesOrdinary(t *testing.T, s store.Store) {
	t.Helper()
	b := store.Batch{Records: []store.Record{{Kind: "leg", Key: "zzz", Value: []byte("v")}}}
	if err := s.Commit(context.Background(), b); !errors.Is(err, store.ErrFull) {
		t.Fatalf("an ordinary batch while the reserve is in use: got %v, want ErrFull", err)
	}
}

func TestReserveIsMadeAndKept(t *testing.T) {
	for name, test := range map[string]struct{ configured, want int64 }{
		"default": {0, DefaultReserve},
		"set":     {10_000, 10_000},
		"none":    {-1, -1},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Path: filepath.Join(t.TempDir(), "gate.db"), Reserve: test.configured}
			for range 2 { // the second time it is there already
				s, _ := open(t, cfg)
				size := int64(-1)
				if info, err := os.Stat(cfg.Path + ".reserve"); err == nil {
					size = info.Size()
				}
				if size != test.want {
					t.Errorf("size %d, want %d", size, test.want)
				}
				put(t, s, "a")
				if err := s.Close(); err != nil {
					t.Fatalf("closing: %v", err)
				}
			}
		})
	}
}

func TestReserveOfAnotherSizeIsMadeAnew(t *testing.T) {
	cfg := Config{Path: filepath.Join(t.TempDir(), "gate.db"), Reserve: 5000}
	if err := os.WriteFile(cfg.Path+".reserve", []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, cfg)
	if info, err := os.Stat(cfg.Path + ".reserve"); err != nil || info.Size() != 5000 {
		t.Errorf("the torn reserve stays: %v", err)
	}
}
