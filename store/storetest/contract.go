package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/store"
)

func testOwnership(t *testing.T, h Harness) {
	s := h.Open(t)
	records := []store.Record{rec("leg", "a", "mine")}
	commit(t, s, records...)
	if diff := cmp.Diff([]store.Record{rec("leg", "a", "mine")}, records); diff != "" {
		t.Errorf("the store changed the caller's records (-given +now):\n%s", diff)
	}
	copy(records[0].Value, "ruin")
	want(t, s, rec("leg", "a", "mine"))
	copy(All(t, s)[0].Value, "ruin")
	want(t, s, rec("leg", "a", "mine"))
}

func testVisitorError(t *testing.T, h Harness) {
	s := h.Open(t)
	commit(t, s, rec("leg", "a", "1"), rec("leg", "b", "1"))
	stop := errors.New("stop")
	visits := 0
	err := s.Load(context.Background(), func(store.Record) error {
		visits++
		return stop
	})
	if !errors.Is(err, stop) || visits != 1 {
		t.Fatalf("got %v after %d visits, want the visitor's error after 1", err, visits)
	}
	want(t, s, rec("leg", "a", "1"), rec("leg", "b", "1"))
}

func testCommitWhileLoading(t *testing.T, h Harness) {
	s := h.Open(t)
	var records, upper []store.Record
	for i := range 600 {
		records = append(records, rec("leg", fmt.Sprintf("%03d", i), "1"))
		upper = append(upper, rec("leg", fmt.Sprintf("%03d", i), "2"))
	}
	commit(t, s, records...)
	visits := 0
	err := s.Load(context.Background(), func(r store.Record) error {
		visits++
		return s.Commit(context.Background(), store.Batch{Records: []store.Record{rec("leg", r.Key, "2")}})
	})
	if err != nil || visits != len(records) {
		t.Fatalf("got %v after %d visits, want none after %d", err, visits, len(records))
	}
	want(t, s, upper...)
}

func testCancelled(t *testing.T, h Harness) {
	s := h.Open(t)
	commit(t, s, rec("leg", "a", "1"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := s.Commit(ctx, store.Batch{Records: []store.Record{rec("leg", "a", "2")}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("commit: got %v, want context.Canceled", err)
	}
	err = s.Load(ctx, func(store.Record) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("load: got %v, want context.Canceled", err)
	}
	want(t, s, rec("leg", "a", "1"))
}

func testClosed(t *testing.T, h Harness) {
	s := h.Open(t)
	if err := s.Close(); err != nil {
		t.Fatalf("closing: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if err := s.Commit(context.Background(), store.Batch{}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("commit: got %v, want ErrClosed", err)
	}
	err := s.Load(context.Background(), func(store.Record) error { return nil })
	if !errors.Is(err, store.ErrClosed) {
		t.Errorf("load: got %v, want ErrClosed", err)
	}
}

// testConcurrent has writers that each change their own pair of records together: no reader may see half a batch
// after its commit, and none of the writes may be lost.
func testConcurrent(t *testing.T, h Harness) {
	const writers, rounds = 8, 20
	s := h.Open(t)
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		wg.Go(func() {
			for i := range rounds {
				value := fmt.Sprint(i)
				b := store.Batch{Records: []store.Record{
					rec("leg", fmt.Sprint(w), value), rec("mids", fmt.Sprint(w), value),
				}}
				if err := s.Commit(context.Background(), b); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Go(func() {
		for range rounds {
			All(t, s)
		}
	})
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Errorf("committing: %v", err)
	}
	got := All(t, h.Reopen(t, s))
	if len(got) != 2*writers {
		t.Fatalf("got %d records, want %d", len(got), 2*writers)
	}
	for _, r := range got {
		if string(r.Value) != fmt.Sprint(rounds-1) {
			t.Errorf("%s %s: got %s, want the last value", r.Kind, r.Key, r.Value)
		}
	}
}

// testModel compares the store with a map over random batches and restarts.
func testModel(t *testing.T, h Harness) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := h.Open(t)
	model := map[string]store.Record{}
	for range 60 {
		b := RandomBatch(rng, 40)
		if err := s.Commit(context.Background(), b); err != nil {
			t.Fatalf("committing: %v", err)
		}
		Apply(model, b)
		if rng.IntN(10) == 0 {
			s = h.Reopen(t, s)
		}
		want(t, s, Sorted(model)...)
	}
}

// RandomBatch returns a batch of 1 to 8 changes, a third of them deletions, over a space of the given number of keys.
func RandomBatch(rng *rand.Rand, keys int) store.Batch {
	kinds := []string{"cuid", "leg", "mids"}
	var b store.Batch
	for range 1 + rng.IntN(8) {
		r := rec(kinds[rng.IntN(len(kinds))], fmt.Sprintf("key-%d", rng.IntN(keys)), "")
		if rng.IntN(3) == 0 {
			r.Value = nil
		} else {
			r.Value = fmt.Appendf(r.Value, "%d-%s", rng.Uint64(), strings.Repeat("v", rng.IntN(200)))
		}
		b.Records = append(b.Records, r)
	}
	return b
}

// Apply changes the model as a commit of b changes a store.
func Apply(model map[string]store.Record, b store.Batch) {
	for _, r := range b.Records {
		id := string(r.Kind) + "\x00" + r.Key
		if r.Value == nil {
			delete(model, id)
		} else {
			model[id] = r
		}
	}
}

// Sorted returns the records of a model in the order of Load.
func Sorted(model map[string]store.Record) []store.Record {
	records := make([]store.Record, 0, len(model))
	for _, id := range slices.Sorted(maps.Keys(model)) {
		records = append(records, model[id])
	}
	return records
}
