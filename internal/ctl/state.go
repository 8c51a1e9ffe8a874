package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/dotsgate/dotsgate/dots"
)

// stateFile is what the state file holds: the largest mid by server and cuid. It has an entry for every server that was
// ever asked, and no more.
type stateFile struct {
	LargestMID map[string]uint32 `json:"largest_mid"`
}

// nextInState takes the next mid. known is false where that needs what the server holds: where the file has nothing of the
// key, and where the mids may have to begin again.
func nextInState(name, key string) (mid uint32, known bool, err error) {
	err = changeState(name, func(s *stateFile) bool {
		mid, known = s.LargestMID[key]
		known = known && mid < dots.MIDRollover-1
		if known {
			mid++
			s.LargestMID[key] = mid
		}
		return known
	})
	return mid, known, err
}

// takeInState takes the next mid in view of what the server holds.
func takeInState(name, key string, held []dots.Report) (mid uint32, err error) {
	var none error
	err = changeState(name, func(s *stateFile) bool {
		if mid, none = midAfter(s.LargestMID[key], held); none != nil {
			return false
		}
		s.LargestMID[key] = mid
		return true
	})
	return mid, errors.Join(none, err)
}

// noteInState raises the largest mid.
func noteInState(name, key string, mid uint32) error {
	return changeState(name, func(s *stateFile) bool {
		if old, known := s.LargestMID[key]; known && old >= mid {
			return false
		}
		s.LargestMID[key] = mid
		return true
	})
}

// changeState reads the file, lets change change it, and writes it back when that says so. A lock keeps others out
// meanwhile, and the file is replaced whole, so that it is never seen half written.
func changeState(name string, change func(*stateFile) bool) error {
	lock, err := os.OpenFile(name+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("locking the state file: %w", err)
	}
	defer lock.Close() // it frees the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking the state file: %w", err)
	}
	var s stateFile
	raw, err := readFile(name)
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the state file %s: %w", name, err)
	}
	if s.LargestMID == nil {
		s.LargestMID = make(map[string]uint32)
	}
	if !change(&s) {
		return nil
	}
	if raw, err = json.MarshalIndent(s, "", "  "); err != nil {
		return fmt.Errorf("encoding the state: %w", err)
	}
	return replaceFile(name, append(raw, '\n'))
}

// replaceFile puts a file, readable by its owner only, in the place of an older one.
func replaceFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".new-*") // its mode is 0600
	if err != nil {
		return fmt.Errorf("writing the state file: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // of no effect once it is renamed
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing the state file: %w", err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return fmt.Errorf("putting the state file in its place: %w", err)
	}
	return nil
}
