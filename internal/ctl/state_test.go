package ctl

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
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

// TestMIDAfter: mids increase, begin again only where nothing is held, and never wrap unseen. RFC 9132, Section 4.4.1.1.
func TestMIDAfter(t *testing.T) {
	const last = math.MaxUint32
	tests := []struct {
		largest uint32
		held    []uint32
		want    uint32 // 0: none is left
	}{
		{0, nil, 1},
		{7, nil, 8},
		{7, []uint32{9, 3}, 10},
		{0, []uint32{0}, 1},
		{dots.MIDRollover - 2, nil, dots.MIDRollover - 1},
		{dots.MIDRollover - 1, nil, 1},
		{dots.MIDRollover, nil, 1},
		{last, nil, 1},
		{dots.MIDRollover - 1, []uint32{5}, dots.MIDRollover},
		{0, []uint32{dots.MIDRollover}, dots.MIDRollover + 1},
		{last - 1, []uint32{5}, last},
		{last, []uint32{5}, 0},
		{0, []uint32{last}, 0},
	}
	for i, tt := range tests {
		var held []dots.Report
		for _, mid := range tt.held {
			held = append(held, dots.Report{MID: mid})
		}
		got, err := midAfter(tt.largest, held)
		if got != tt.want || (err != nil) != (tt.want == 0) {
			t.Errorf("midAfter(%d, %d) = %d, %v; want %d", tt.largest, tt.held, got, err, tt.want)
		}
		name := filepath.Join(t.TempDir(), fmt.Sprint(i))
		if err := noteInState(name, "a", tt.largest); err != nil {
			t.Fatal(err)
		}
		got, known, err := nextInState(name, "a")
		if alone := tt.largest < dots.MIDRollover-1; known != alone || err != nil || alone && got != tt.largest+1 {
			t.Errorf("after %d: nextInState() = %d, %v, %v", tt.largest, got, known, err)
		}
		if known {
			continue
		}
		if got, err := takeInState(name, "a", held); got != tt.want || (err != nil) != (tt.want == 0) {
			t.Errorf("takeInState() after %d = %d, %v; want %d", tt.largest, got, err, tt.want)
		}
		if tt.want == 1 {
			if got, known, err := nextInState(name, "a"); got != 2 || !known || err != nil {
				t.Errorf("after the new beginning: %d, %v, %v", got, known, err)
			}
		}
	}
}
