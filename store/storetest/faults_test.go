package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/dotsgate/dotsgate/store"
)

func one(key string) store.Batch {
	return store.Batch{Records: []store.Record{rec("leg", key, "1")}}
}

// outcomes commits one record after the other and returns what was said of each.
func outcomes(f *Faulty, n int) []error {
	var errs []error
	for i := range n {
		errs = append(errs, f.Commit(context.Background(), one(fmt.Sprint(i))))
	}
	return errs
}

func sameErrors(t *testing.T, got []error, want ...error) {
	t.Helper()
	for i := range want {
		if got[i] != want[i] { //nolint:errorlint // the very error that was asked for, not one around it
			t.Errorf("commit %d: got %v, want %v", i+1, got[i], want[i])
		}
	}
}

// TestFaultsCountFromNow: a plan is about commits to come, whatever has been.
func TestFaultsCountFromNow(t *testing.T) {
	boom := errors.New("boom")
	f := NewFaulty(store.NewMemory())
	sameErrors(t, outcomes(f, 3), nil, nil, nil)
	f.FailCommit(2, boom)
	sameErrors(t, outcomes(f, 3), nil, boom, nil)
	f.FailCommit(1, boom)
	sameErrors(t, outcomes(f, 2), boom, nil)
	if got := f.Commits(); got != 8 {
		t.Errorf("%d commits, want 8", got)
	}
}

// TestFaultIsUsedOnce, and a second plan for the same commit takes the place of the first.
func TestFaultIsUsedOnce(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	f := NewFaulty(store.NewMemory())
	f.FailCommit(1, first)
	f.FailCommit(1, second)
	sameErrors(t, outcomes(f, 2), second, nil)
}

// TestSingleFaultsGoBeforeFailAll, so that one commit can pass while the disk is down.
func TestSingleFaultsGoBeforeFailAll(t *testing.T) {
	down, late := errors.New("down"), errors.New("late")
	f := NewFaulty(store.NewMemory())
	f.FailAll(down)
	f.FailAfterCommit(2, late)
	f.FailCommit(3, nil)
	sameErrors(t, outcomes(f, 4), down, late, nil, down)
	want(t, f, rec("leg", "1", "1"), rec("leg", "2", "1"))
}

// TestInnerErrorGoesFirst: a batch that is not valid is kept by nobody, so it cannot fail after it was kept.
func TestInnerErrorGoesFirst(t *testing.T) {
	f := NewFaulty(store.NewMemory())
	f.FailAfterCommit(1, errors.New("late"))
	if err := f.Commit(context.Background(), store.Batch{Records: make([]store.Record, 1)}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(context.Background(), one("a")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
}

// TestBlockedCommitHoldsNobodyElse: the commits beside it and the readers go on.
func TestBlockedCommitHoldsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFaulty(store.NewMemory())
		reached, release := f.BlockCommit(1)
		blocked := make(chan error, 1)
		go func() { blocked <- f.Commit(context.Background(), one("slow")) }()
		<-reached
		if err := f.Commit(context.Background(), one("quick")); err != nil {
			t.Errorf("beside the blocked one: %v", err)
		}
		want(t, f, rec("leg", "quick", "1"))
		release()
		if err := <-blocked; err != nil {
			t.Errorf("the blocked one: %v", err)
		}
		want(t, f, rec("leg", "quick", "1"), rec("leg", "slow", "1"))
	})
}

// TestReleaseMayComeFirst: a test need not know which of the two is quicker.
func TestReleaseMayComeFirst(t *testing.T) {
	f := NewFaulty(store.NewMemory())
	reached, release := f.BlockCommit(1)
	select {
	case <-reached:
		t.Fatal("reached before any commit")
	default:
	}
	release()
	if err := f.Commit(context.Background(), one("a")); err != nil {
		t.Fatal(err)
	}
	<-reached
	want(t, f, rec("leg", "a", "1"))
}

// TestTwoBlocksAreReleasedApart, in the other order.
func TestTwoBlocksAreReleasedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFaulty(store.NewMemory())
		firstReached, releaseFirst := f.BlockCommit(1)
		secondReached, releaseSecond := f.BlockCommit(2)
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- f.Commit(context.Background(), one("1")) }()
		<-firstReached
		go func() { second <- f.Commit(context.Background(), one("2")) }()
		<-secondReached
		releaseSecond()
		if err := <-second; err != nil {
			t.Errorf("the second: %v", err)
		}
		want(t, f, rec("leg", "2", "1"))
		releaseFirst()
		if err := <-first; err != nil {
			t.Errorf("the first: %v", err)
		}
		want(t, f, rec("leg", "1", "1"), rec("leg", "2", "1"))
	})
}

// TestFaultsUnderConcurrentUse: of many commits at once exactly the planned number fails.
func TestFaultsUnderConcurrentUse(t *testing.T) {
	const commits, faults = 200, 30
	boom := errors.New("boom")
	f := NewFaulty(store.NewMemory())
	for i := range faults {
		f.FailCommit(3*i+1, boom)
	}
	var wg sync.WaitGroup
	errs := make(chan error, commits)
	for i := range commits {
		wg.Go(func() { errs <- f.Commit(context.Background(), one(fmt.Sprint(i))) })
	}
	wg.Wait()
	close(errs)
	failed := 0
	for err := range errs {
		if err != nil {
			failed++
		}
	}
	if kept := len(All(t, f)); failed != faults || kept != commits-faults || f.Commits() != commits {
		t.Errorf("%d failed, %d kept, %d begun; want %d, %d, %d", failed, kept, f.Commits(), faults, commits-faults, commits)
	}
}
