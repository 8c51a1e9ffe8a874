package store_test

import (
	"context"
	"testing"

	"github.com/dotsgate/dotsgate/store"
	"github.com/dotsgate/dotsgate/store/storetest"
)

func TestMemoryConforms(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Open: func(t *testing.T) store.Store {
			s := store.NewMemory()
			t.Cleanup(func() { _ = s.Close() })
			return s
		},
		Reopen: func(_ *testing.T, s store.Store) store.Store {
			old := s.(*store.Memory)
			_ = old.Close()
			return old.Reopen()
		},
	})
}

func TestMemoryReopenIsACopy(t *testing.T) {
	old := store.NewMemory()
	put := func(s store.Store, key string) {
		t.Helper()
		b := store.Batch{Records: []store.Record{{Kind: "leg", Key: key, Value: []byte("1")}}}
		if err := s.Commit(context.Background(), b); err != nil {
			t.Fatalf("committing: %v", err)
		}
	}
	put(old, "a")
	restarted := old.Reopen()
	put(old, "b")
	put(restarted, "c")
	put(restarted, "d")
	if got := len(storetest.All(t, old)); got != 2 {
		t.Errorf("old store: got %d records, want 2", got)
	}
	if got := len(storetest.All(t, restarted)); got != 3 {
		t.Errorf("restarted store: got %d records, want 3", got)
	}
}
