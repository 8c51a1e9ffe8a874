package storetest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/dotsgate/dotsgate/store"
)

func TestFaultyPassesThrough(t *testing.T) {
	Run(t, Harness{
		Open: func(t *testing.T) store.Store {
			s := NewFaulty(store.NewMemory())
			t.Cleanup(func() { _ = s.Close() })
			return s
		},
		Reopen: func(_ *testing.T, s store.Store) store.Store {
			old := s.(*Faulty).inner.(*store.Memory)
			_ = old.Close()
			return NewFaulty(old.Reopen())
		},
	})
}

func TestFaultyFailsTheNthCommit(t *testing.T) {
	ctx := context.Background()
	boom, late, down := errors.New("boom"), errors.New("late"), errors.New("down")
	f := NewFaulty(store.NewMemory())
	put := func(key string) error {
		return f.Commit(ctx, store.Batch{Records: []store.Record{rec("leg", key, "1")}})
	}
	f.FailCommit(2, boom)
	f.FailAfterCommit(3, late)
	for i, wanted := range []error{nil, boom, late, nil} {
		if err := put(string(rune('a' + i))); !errors.Is(err, wanted) {
			t.Errorf("commit %d: got %v, want %v", i+1, err, wanted)
		}
	}
	want(t, f, rec("leg", "a", "1"), rec("leg", "c", "1"), rec("leg", "d", "1"))
	f.FailAll(down)
	for range 2 {
		if err := put("e"); !errors.Is(err, down) {
			t.Errorf("while down: got %v, want %v", err, down)
		}
	}
	f.FailAll(nil)
	if err := put("e"); err != nil {
		t.Errorf("after healing: %v", err)
	}
	if got := f.Commits(); got != 7 {
		t.Errorf("commits: got %d, want 7", got)
	}
}

func TestFaultyBlocksTheNthCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFaulty(store.NewMemory())
		reached, release := f.BlockCommit(1)
		done := make(chan error, 1)
		go func() {
			done <- f.Commit(context.Background(), store.Batch{Records: []store.Record{rec("leg", "a", "1")}})
		}()
		<-reached
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("commit returned %v while blocked", err)
		default:
		}
		want(t, f) // not visible while it is not durable
		release()
		release()
		if err := <-done; err != nil {
			t.Fatalf("commit: %v", err)
		}
		want(t, f, rec("leg", "a", "1"))
	})
}

func TestFaultyBlockedCommitHeedsItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFaulty(store.NewMemory())
		reached, _ := f.BlockCommit(1)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- f.Commit(ctx, store.Batch{Records: []store.Record{rec("leg", "a", "1")}}) }()
		<-reached
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want context.Canceled", err)
		}
		want(t, f)
	})
}
