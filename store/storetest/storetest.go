// Package storetest holds the conformance suite that every store passes, and a store that fails on command.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/store"
)

// Harness says how the suite gets at the stores under test. Both fields are required.
type Harness struct {
	// Open returns a new, empty store. The harness closes what it opened at the end of the test.
	Open func(t *testing.T) store.Store

	// Reopen closes s and returns a store on the same data, as a restart of the program does.
	Reopen func(t *testing.T, s store.Store) store.Store
}

// Run runs the suite: each promise of store.Store is one subtest.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Harness){
		"empty":                testEmpty,
		"order":                testOrder,
		"replace and delete":   testReplaceDelete,
		"later record wins":    testLaterWins,
		"empty value lives":    testEmptyValue,
		"any bytes in a key":   testBytes,
		"limits":               testLimits,
		"invalid is all out":   testInvalidAtomic,
		"survives reopening":   testReopen,
		"reserve batch":        testReserve,
		"large batch":          testLargeBatch,
		"caller keeps slices":  testOwnership,
		"visitor's error":      testVisitorError,
		"commit while loading": testCommitWhileLoading,
		"cancelled context":    testCancelled,
		"closed":               testClosed,
		"concurrent use":       testConcurrent,
		"random against model": testModel,
	} {
		t.Run(name, func(t *testing.T) { test(t, h) })
	}
}

// All returns the live records of s in the order of Load; it ends the test when Load fails.
func All(t testing.TB, s store.Store) []store.Record {
	t.Helper()
	var records []store.Record
	err := s.Load(context.Background(), func(r store.Record) error {
		records = append(records, r)
		return nil
	})
	if err != nil {
		t.Fatalf("loading: %v", err)
	}
	return records
}

func commit(t testing.TB, s store.Store, records ...store.Record) {
	t.Helper()
	if err := s.Commit(context.Background(), store.Batch{Records: records}); err != nil {
		t.Fatalf("committing %d records: %v", len(records), err)
	}
}

func want(t testing.TB, s store.Store, records ...store.Record) {
	t.Helper()
	got := All(t, s)
	same := slices.EqualFunc(records, got, func(a, b store.Record) bool {
		return a.Kind == b.Kind && a.Key == b.Key && bytes.Equal(a.Value, b.Value) && b.Value != nil
	})
	if !same { // the comparison for people is slow on large values
		t.Fatalf("records differ (-want +got):\n%s", cmp.Diff(records, got))
	}
}

func rec(kind, key, value string) store.Record {
	return store.Record{Kind: store.Kind(kind), Key: key, Value: []byte(value)}
}

func del(kind, key string) store.Record {
	return store.Record{Kind: store.Kind(kind), Key: key}
}

func testEmpty(t *testing.T, h Harness) {
	s := h.Open(t)
	want(t, s)
	commit(t, s)
	want(t, s)
}

func testOrder(t *testing.T, h Harness) {
	s := h.Open(t)
	commit(t, s, rec("leg", "b", "1"), rec("mids", "a", "2"), rec("leg", "a", "3"))
	commit(t, s, rec("leg", "ab", "4"), rec("cuid", "z", "5"), rec("leg", "B", "6"), rec("leg-x", "a", "7"))
	want(t, s, rec("cuid", "z", "5"), rec("leg", "B", "6"), rec("leg", "a", "3"), rec("leg", "ab", "4"),
		rec("leg", "b", "1"), rec("leg-x", "a", "7"), rec("mids", "a", "2"))
}

func testReplaceDelete(t *testing.T, h Harness) {
	s := h.Open(t)
	commit(t, s, rec("leg", "a", "1"), rec("leg", "b", "1"), rec("mids", "a", "1"))
	commit(t, s, rec("leg", "a", "2"), del("leg", "b"), del("leg", "never there"))
	want(t, s, rec("leg", "a", "2"), rec("mids", "a", "1"))
}

func testLaterWins(t *testing.T, h Harness) {
	s := h.Open(t)
	commit(t, s, rec("leg", "a", "1"), rec("leg", "a", "2"),
		rec("leg", "b", "1"), del("leg", "b"),
		del("leg", "c"), rec("leg", "c", "3"))
	want(t, s, rec("leg", "a", "2"), rec("leg", "c", "3"))
}

func testEmptyValue(t *testing.T, h Harness) {
	s := h.Open(t)
	commit(t, s, rec("leg", "a", ""))
	s = h.Reopen(t, s)
	got := All(t, s)
	if len(got) != 1 || got[0].Value == nil || len(got[0].Value) != 0 {
		t.Fatalf("got %#v, want one record with an empty value that is not nil", got)
	}
}

func testBytes(t *testing.T, h Harness) {
	s := h.Open(t)
	value := make([]byte, 256)
	for i := range value {
		value[i] = byte(i)
	}
	keys := []string{"\x00", "\x00\x00", "'; drop table records; --", "\xff\xfe", "\u00e9"}
	for _, key := range keys {
		commit(t, s, store.Record{Kind: "leg", Key: key, Value: value})
	}
	s = h.Reopen(t, s)
	var wanted []store.Record
	for _, key := range []string{keys[0], keys[1], keys[2], keys[4], keys[3]} {
		wanted = append(wanted, store.Record{Kind: "leg", Key: key, Value: value})
	}
	want(t, s, wanted...)
}

func testLimits(t *testing.T, h Harness) {
	s := h.Open(t)
	longKind := store.Kind(strings.Repeat("k", store.MaxKind))
	longKey := strings.Repeat("k", store.MaxKey)
	big := make([]byte, store.MaxValue)
	commit(t, s, store.Record{Kind: longKind, Key: longKey, Value: big})
	for name, r := range map[string]store.Record{
		"no kind":        rec("", "a", "1"),
		"upper case":     rec("Leg", "a", "1"),
		"digit":          rec("leg2", "a", "1"),
		"long kind":      rec(string(longKind)+"k", "a", "1"),
		"no key":         rec("leg", "", "1"),
		"long key":       rec("leg", longKey+"k", "1"),
		"big value":      {Kind: "leg", Key: "a", Value: append(big, 0)},
		"delete, no key": del("leg", ""),
	} {
		err := s.Commit(context.Background(), store.Batch{Records: []store.Record{r}})
		if !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	err := s.Commit(context.Background(), store.Batch{Records: make([]store.Record, store.MaxBatch+1)})
	if !errors.Is(err, store.ErrInvalid) {
		t.Errorf("too many records: got %v, want ErrInvalid", err)
	}
	want(t, s, store.Record{Kind: longKind, Key: longKey, Value: big})
}

func testInvalidAtomic(t *testing.T, h Harness) {
	s := h.Open(t)
	commit(t, s, rec("leg", "a", "1"))
	err := s.Commit(context.Background(), store.Batch{Records: []store.Record{
		rec("leg", "a", "2"), rec("leg", "b", "2"), del("leg", "a"), rec("", "c", "2"),
	}})
	if !errors.Is(err, store.ErrInvalid) {
		t.Fatalf("got %v, want ErrInvalid", err)
	}
	want(t, s, rec("leg", "a", "1"))
}

func testReopen(t *testing.T, h Harness) {
	s := h.Open(t)
	commit(t, s, rec("leg", "a", "1"), rec("leg", "b", "1"))
	s = h.Reopen(t, s)
	want(t, s, rec("leg", "a", "1"), rec("leg", "b", "1"))
	commit(t, s, del("leg", "a"), rec("mids", "m", "2"))
	s = h.Reopen(t, s)
	want(t, s, rec("leg", "b", "1"), rec("mids", "m", "2"))
}

func testReserve(t *testing.T, h Harness) {
	s := h.Open(t)
	commit(t, s, rec("leg", "a", "1"), rec("leg", "b", "1"))
	b := store.Batch{Reserve: true, Records: []store.Record{del("leg", "a"), rec("meta", "m", "1")}}
	if err := s.Commit(context.Background(), b); err != nil {
		t.Fatalf("committing a withdrawal: %v", err)
	}
	s = h.Reopen(t, s)
	want(t, s, rec("leg", "b", "1"), rec("meta", "m", "1"))
}

func testLargeBatch(t *testing.T, h Harness) {
	s := h.Open(t)
	records := make([]store.Record, 1000)
	for i := range records {
		records[i] = rec("mitigation", fmt.Sprintf("client-%04d", i), strings.Repeat("x", i))
	}
	commit(t, s, records...)
	s = h.Reopen(t, s)
	want(t, s, records...)
	for i := range records {
		records[i].Value = nil
	}
	commit(t, s, records...)
	s = h.Reopen(t, s)
	want(t, s)
}
