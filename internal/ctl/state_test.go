package ctl

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestStateIsShared: several programs that choose at the same time choose different mids.
func TestStateIsShared(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	if _, known, err := nextInState(name, "a"); known || err != nil {
		t.Fatalf("at first: %v, %v", known, err)
	}
	if err := noteInState(name, "a", 10); err != nil {
		t.Fatal(err)
	}
	const each, programs = 5, 8
	var group sync.WaitGroup
	var mu sync.Mutex
	taken := make(map[uint32]bool)
	for range programs {
		group.Go(func() {
			for range each {
				mid, known, err := nextInState(name, "a")
				if err != nil || !known {
					t.Errorf("nextInState() = %v, %v", known, err)
				}
				mu.Lock()
				if taken[mid] {
					t.Errorf("mid %d was given twice", mid)
				}
				taken[mid] = true
				mu.Unlock()
			}
		})
	}
	group.Wait()
	for i := range uint32(each * programs) {
		if !taken[11+i] {
			t.Errorf("mid %d was left out", 11+i)
		}
	}
	if _, known, err := nextInState(name, "b"); known || err != nil {
		t.Errorf("another key: %v, %v", known, err)
	}
}

// TestStateIsWhole: the file is replaced, never written over, and nothing is left beside it.
func TestStateIsWhole(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "state")
	for i := range uint32(3) {
		if err := noteInState(name, fmt.Sprint("key", i), i); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := noteInState(name, "key2", 1); err != nil { // a lower mid changes nothing
		t.Fatal(err)
	}
	if same, err := os.Stat(name); err != nil || !os.SameFile(before, same) {
		t.Errorf("written without a change, %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%d files, %v; want the state and its lock", len(entries), err)
	}
	if before.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", before.Mode())
	}
	if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := noteInState(name, "a", 1); err == nil {
		t.Error("a broken file was overwritten")
	}
}
