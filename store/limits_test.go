package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/store"
)

// TestLimitsAreWhatTheySay: each limit is the largest that passes.
func TestLimitsAreWhatTheySay(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit int
		of    func(n int) store.Record
	}{
		{"kind", store.MaxKind, func(n int) store.Record {
			return store.Record{Kind: store.Kind(strings.Repeat("a", n)), Key: "k"}
		}},
		{"key", store.MaxKey, func(n int) store.Record {
			return store.Record{Kind: "leg", Key: strings.Repeat("\x00", n)}
		}},
		{"value", store.MaxValue, func(n int) store.Record {
			return store.Record{Kind: "leg", Key: "k", Value: make([]byte, n)}
		}},
	} {
		for _, n := range []int{1, tt.limit - 1, tt.limit} {
			if err := store.Check(store.Batch{Records: []store.Record{tt.of(n)}}); err != nil {
				t.Errorf("%s of %d bytes: %v", tt.name, n, err)
			}
		}
		if err := store.Check(store.Batch{Records: []store.Record{tt.of(tt.limit + 1)}}); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s of %d bytes: got %v, want ErrInvalid", tt.name, tt.limit+1, err)
		}
	}
}

// TestKindsByteByByte: kinds become parts of names on the disk, so only a to z and the hyphen pass.
func TestKindsByteByByte(t *testing.T) {
	for b := range 256 {
		kind := store.Kind("a" + string([]byte{byte(b)}))
		want := b == '-' || b >= 'a' && b <= 'z'
		if got := store.Check(store.Batch{Records: []store.Record{{Kind: kind, Key: "k"}}}) == nil; got != want {
			t.Errorf("byte %#02x: valid %v, want %v", b, got, want)
		}
	}
}

// TestEmptyBatch: nothing to do is not a mistake, with or without the reserve.
func TestEmptyBatch(t *testing.T) {
	for _, b := range []store.Batch{{}, {Reserve: true}, {Records: []store.Record{}}} {
		if err := store.Check(b); err != nil {
			t.Errorf("%+v: %v", b, err)
		}
	}
}

// TestFirstMistakeIsNamed: by its place in the batch, and in a message that a large batch does not make long.
func TestFirstMistakeIsNamed(t *testing.T) {
	b := store.Batch{}
	for i := range 100 {
		b.Records = append(b.Records, store.Record{Kind: "leg", Key: fmt.Sprint(i)})
	}
	b.Records[41].Key = ""
	b.Records[73].Kind = store.Kind(strings.Repeat("\n", 1<<20))
	err := store.Check(b)
	if err == nil || !strings.Contains(err.Error(), "record 41: key of 0 bytes") || strings.Contains(err.Error(), "73") {
		t.Errorf("got %v, want record 41", err)
	}
	b.Records = b.Records[50:]
	if err = store.Check(b); err == nil || !strings.Contains(err.Error(), "record 23: kind") || len(err.Error()) > 300 {
		t.Errorf("got %.400v, want record 23 in a short message", err)
	}
}

// TestErrorsAreApart: who handles one must not catch another.
func TestErrorsAreApart(t *testing.T) {
	all := []error{
		store.ErrFull, store.ErrClosed, store.ErrCorrupt, store.ErrLocked, store.ErrVersion, store.ErrInvalid,
	}
	for i, a := range all {
		for j, b := range all {
			if got := errors.Is(fmt.Errorf("committing: %w", a), b); got != (i == j) {
				t.Errorf("%v is %v: %v", a, b, got)
			}
		}
	}
}

func put(key, value string) store.Batch {
	return store.Batch{Records: []store.Record{{Kind: "leg", Key: key, Value: []byte(value)}}}
}

// TestMemoryRefusesInOrder: a mistake of the caller is told first, then the end of the store, then that of the caller.
func TestMemoryRefusesInOrder(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	invalid := store.Batch{Records: make([]store.Record, 1)}
	open, closed := store.NewMemory(), store.NewMemory()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		store *store.Memory
		ctx   context.Context
		batch store.Batch
		want  error
	}{
		{"all well", open, context.Background(), put("a", "1"), nil},
		{"invalid", open, context.Background(), invalid, store.ErrInvalid},
		{"invalid and late", open, ended, invalid, store.ErrInvalid},
		{"invalid and closed", closed, context.Background(), invalid, store.ErrInvalid},
		{"closed", closed, context.Background(), put("b", "1"), store.ErrClosed},
		{"closed and late", closed, ended, put("b", "1"), store.ErrClosed},
		{"late", open, ended, put("b", "1"), context.Canceled},
		{"late, nothing to do", open, ended, store.Batch{}, context.Canceled},
	} {
		if err := tt.store.Commit(tt.ctx, tt.batch); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	if got := keys(t, open); got != "a" {
		t.Errorf("the store holds %q, want a alone", got)
	}
}

// keys returns the keys of a store in the order of Load.
func keys(t *testing.T, s store.Store) string {
	t.Helper()
	var all []string
	if err := s.Load(context.Background(), func(r store.Record) error {
		all = append(all, r.Key)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

// TestMemoryLoadEndsWithItsContext: a visitor that cancels is not called again.
func TestMemoryLoadEndsWithItsContext(t *testing.T) {
	s := store.NewMemory()
	for _, key := range []string{"a", "b", "c"} {
		if err := s.Commit(context.Background(), put(key, "1")); err != nil {
			t.Fatal(err)
		}
	}
	for _, last := range []string{"a", "c"} {
		ctx, cancel := context.WithCancel(context.Background())
		visited := ""
		err := s.Load(ctx, func(r store.Record) error {
			visited += r.Key
			if r.Key == last {
				cancel()
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) || !strings.HasSuffix(visited, last) {
			t.Errorf("cancelled at %s: visited %q, error %v", last, visited, err)
		}
	}
}

// TestMemoryReopensWhatWasClosed: a restart finds what was committed, and may go on.
func TestMemoryReopensWhatWasClosed(t *testing.T) {
	old := store.NewMemory()
	if err := errors.Join(old.Commit(context.Background(), put("a", "1")), old.Close()); err != nil {
		t.Fatal(err)
	}
	restarted := old.Reopen()
	if err := restarted.Commit(context.Background(), put("b", "1")); err != nil {
		t.Errorf("committing after a restart: %v", err)
	}
	if got := keys(t, restarted); got != "a b" {
		t.Errorf("found %q, want a and b", got)
	}
	if err := old.Commit(context.Background(), put("c", "1")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("the old store: got %v, want ErrClosed", err)
	}
}

// TestMemoryReserveIsNoOtherBatch: without a disk there is nothing to keep back, and nothing to lose.
func TestMemoryReserveIsNoOtherBatch(t *testing.T) {
	s := store.NewMemory()
	b := put("a", "1")
	b.Reserve = true
	if err := s.Commit(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, s); got != "a" {
		t.Errorf("holds %q, want a", got)
	}
}
