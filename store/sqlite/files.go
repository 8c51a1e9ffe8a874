package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/dotsgate/dotsgate/store"
)

// ownerOnly is the mode of every file of the store: it tells who asked for what protection.
const ownerOnly = 0o600

// lockFile takes the lock that keeps a second process away; closing the file, or the end of the process, gives it back.
// The file itself stays, since removing it would let two processes lock two files of one name.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, ownerOnly)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(f, 20))
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: process %s holds %s", store.ErrLocked, strings.TrimSpace(string(holder)), path)
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	// Who holds the lock is a help for people only: a full disk, say, must not stop us here.
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	return f, nil
}

// prepareFile creates the database file when there is none, and takes it away from group and others.
func prepareFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, ownerOnly)
	if err != nil {
		return err
	}
	err = restrict(f)
	return errors.Join(err, f.Close())
}

func restrict(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is not a regular file", store.ErrVersion, f.Name())
	}
	if info.Mode().Perm() != ownerOnly {
		if err := f.Chmod(ownerOnly); err != nil {
			return err
		}
	}
	// A new file survives a power cut only when its directory is on the disk too.
	return syncDirectory(filepath.Dir(f.Name()))
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
