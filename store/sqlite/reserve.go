package sqlite

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/dotsgate/dotsgate/store"
)

// reserve is a file that only takes up space; removing it lets the withdrawals go on when the disk is full.
type reserve struct {
	path string
	size int64 // 0 or less: nothing is kept back
	held bool
}

func newReserve(cfg Config) reserve {
	size := cfg.Reserve
	if size == 0 {
		size = DefaultReserve
	}
	return reserve{path: cfg.Path + ".reserve", size: size, held: size < 0}
}

// hold makes sure that the file is there in its full size. Its error is store.ErrFull when there is no space for it.
func (r *reserve) hold() error {
	if r.held {
		return nil
	}
	if info, err := os.Stat(r.path); err == nil && info.Mode().IsRegular() && info.Size() == r.size {
		r.held = true
		return nil
	}
	if err := r.fill(); err != nil {
		_ = os.Remove(r.path) // a part of a reserve helps nobody
		return fmt.Errorf("keeping space back for withdrawals: %w", noSpace(err))
	}
	r.held = true
	return nil
}

// fill writes random bytes, which no file system can compress or leave out.
func (r *reserve) fill() error {
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.Reader, r.size)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (r *reserve) release() error {
	if r.size < 0 {
		return nil
	}
	if err := os.Remove(r.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("releasing the space for withdrawals: %w", err)
	}
	r.held = false
	return nil
}

func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}
