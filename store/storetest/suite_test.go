package storetest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/store"
)

// brokenVariable names the fault that TestSuiteOnABrokenStore is to run the suite on.
const brokenVariable = "STORETEST_BROKEN"

// broken is a store with one fault.
type broken struct {
	*store.Memory
	fault string
}

// Load implements store.Store, nearly.
func (b *broken) Load(ctx context.Context, visit func(store.Record) error) error {
	switch b.fault {
	case "shows the last first":
		records, err := b.all(ctx)
		slices.Reverse(records)
		for _, r := range records {
			err = errors.Join(err, visit(r))
		}
		return err
	case "goes on after the visitor's error":
		var first error
		err := b.Memory.Load(ctx, func(r store.Record) error {
			if e := visit(r); first == nil {
				first = e
			}
			return nil
		})
		return errors.Join(first, err)
	case "does not tell the visitor's error":
		return b.Memory.Load(ctx, func(r store.Record) error { _ = visit(r); return nil })
	case "does not heed the context":
		ctx = context.WithoutCancel(ctx)
	case "shows empty values as deletions":
		return b.Memory.Load(ctx, func(r store.Record) error {
			if len(r.Value) == 0 {
				r.Value = nil
			}
			return visit(r)
		})
	}
	return b.Memory.Load(ctx, visit)
}

func (b *broken) all(ctx context.Context) (records []store.Record, err error) {
	err = b.Memory.Load(ctx, func(r store.Record) error { records = append(records, r); return nil })
	return records, err
}

// Commit implements store.Store, nearly.
func (b *broken) Commit(ctx context.Context, batch store.Batch) error {
	switch b.fault {
	case "does not heed the context":
		ctx = context.WithoutCancel(ctx)
	case "keeps what is deleted":
		batch.Records = slices.DeleteFunc(slices.Clone(batch.Records), func(r store.Record) bool { return r.Value == nil })
	case "the first record wins":
		batch.Records = slices.Clone(batch.Records)
		slices.Reverse(batch.Records)
	case "keeps the half of what is not valid":
		for _, r := range batch.Records {
			if err := b.Memory.Commit(ctx, store.Batch{Records: []store.Record{r}}); err != nil {
				return err
			}
		}
		return b.Memory.Commit(ctx, store.Batch{})
	case "takes what is not valid":
		if err := b.Memory.Commit(ctx, batch); !errors.Is(err, store.ErrInvalid) {
			return err
		}
		return nil
	case "knows no reserve":
		if batch.Reserve {
			return store.ErrFull
		}
	case "writes into the caller's records":
		err := b.Memory.Commit(ctx, batch)
		for i := range batch.Records {
			batch.Records[i].Key = "?"
		}
		return err
	case "loses every batch after the fiftieth record":
		if records, err := b.all(ctx); err != nil || len(records) >= 50 {
			return err
		}
	}
	return b.Memory.Commit(ctx, batch)
}

// Close implements store.Store, nearly.
func (b *broken) Close() error {
	if b.fault == "works on when it is closed" {
		return nil
	}
	return b.Memory.Close()
}

// TestSuiteOnABrokenStore runs the suite in a process that TestSuiteFindsFaults has started.
func TestSuiteOnABrokenStore(t *testing.T) {
	fault := os.Getenv(brokenVariable)
	if fault == "" {
		t.Skip("run by TestSuiteFindsFaults only")
	}
	Run(t, Harness{
		Open: func(*testing.T) store.Store { return &broken{Memory: store.NewMemory(), fault: fault} },
		Reopen: func(_ *testing.T, s store.Store) store.Store {
			if fault == "forgets at a restart" {
				return &broken{Memory: store.NewMemory(), fault: fault}
			}
			return &broken{Memory: s.(*broken).Reopen(), fault: fault}
		},
	})
}

// TestSuiteFindsFaults shows that each promise of a store is held by a test of the suite: a store that breaks it fails there.
func TestSuiteFindsFaults(t *testing.T) {
	for fault, subtest := range map[string]string{
		"shows the last first":                        "order",
		"goes on after the visitor's error":           "visitor's_error",
		"does not tell the visitor's error":           "visitor's_error",
		"does not heed the context":                   "cancelled_context",
		"shows empty values as deletions":             "empty_value_lives",
		"keeps what is deleted":                       "replace_and_delete",
		"the first record wins":                       "later_record_wins",
		"keeps the half of what is not valid":         "invalid_is_all_out",
		"takes what is not valid":                     "limits",
		"knows no reserve":                            "reserve_batch",
		"loses every batch after the fiftieth record": "random_against_model",
		"writes into the caller's records":            "caller_keeps_slices",
		"works on when it is closed":                  "closed",
		"forgets at a restart":                        "survives_reopening",
		"none":                                        "",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v",
				"-test.run=^TestSuiteOnABrokenStore$/"+only(subtest))
			cmd.Env = append(os.Environ(), brokenVariable+"="+fault)
			out, err := cmd.CombinedOutput()
			if subtest == "" {
				if err != nil {
					t.Errorf("a store without a fault: %v\n%s", err, out)
				}
				return
			}
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestSuiteOnABrokenStore/"+subtest+" ") {
				t.Errorf("the suite's %s does not find it: %v\n%s", subtest, err, out)
			}
		})
	}
}

// only is a pattern for one subtest, or for all.
func only(subtest string) string {
	if subtest == "" {
		return ""
	}
	return "^" + subtest + "$"
}

// TestModel holds the suite's own model to the plain rules: the last record of an identity stands, nil takes it away.
func TestModel(t *testing.T) {
	model := map[string]store.Record{}
	Apply(model, store.Batch{Records: []store.Record{rec("leg", "b", "1"), rec("cuid", "z", ""), rec("leg", "a", "1")}})
	Apply(model, store.Batch{Records: []store.Record{rec("leg", "b", "2"), del("leg", "a"), del("leg", "never")}})
	got := Sorted(model)
	if len(got) != 2 || got[0].Kind != "cuid" || got[1].Key != "b" || string(got[1].Value) != "2" {
		t.Errorf("got %v, want cuid z and leg b with 2", got)
	}
	// A kind that begins as another one is apart from it, and a key may look like a kind.
	Apply(model, store.Batch{Records: []store.Record{rec("leg-x", "a", "3"), rec("leg", "-xa", "4")}})
	if got := Sorted(model); len(got) != 4 || got[3].Kind != "leg-x" {
		t.Errorf("got %v, want leg-x last of 4", got)
	}
}
