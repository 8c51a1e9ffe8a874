package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/store"
)

func TestCheckNamesTheMistake(t *testing.T) {
	for name, test := range map[string]struct {
		record store.Record
		want   string // empty: valid
	}{
		"valid":       {store.Record{Kind: "a-b", Key: "k", Value: []byte{}}, ""},
		"deletion":    {store.Record{Kind: "leg", Key: "k"}, ""},
		"kind":        {store.Record{Kind: "leg_x", Key: "k"}, `record 1: kind "leg_x"`},
		"forged kind": {store.Record{Kind: "leg\nx", Key: "k"}, `kind "leg\nx"`},
		"long kind":   {store.Record{Kind: store.Kind(strings.Repeat("k", 33)), Key: "k"}, "record 1: kind"},
		"no key":      {store.Record{Kind: "leg"}, "key of 0 bytes"},
		"long key":    {store.Record{Kind: "leg", Key: strings.Repeat("k", store.MaxKey+1)}, "key of 1025 bytes"},
		"big value":   {store.Record{Kind: "leg", Key: "k", Value: make([]byte, 1<<20+1)}, "value of 1048577 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			good := store.Record{Kind: "leg", Key: "good"}
			err := store.Check(store.Batch{Records: []store.Record{good, test.record}})
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got %v, want none", err)
			case test.want != "" && !errors.Is(err, store.ErrInvalid):
				t.Errorf("got %v, want ErrInvalid", err)
			case test.want != "" && !strings.Contains(err.Error(), test.want):
				t.Errorf("got %q, want it to contain %q", err, test.want)
			}
		})
	}
}

func TestCheckBoundsTheBatch(t *testing.T) {
	records := make([]store.Record, store.MaxBatch+1)
	for i := range records {
		records[i] = store.Record{Kind: "leg", Key: "k"}
	}
	if err := store.Check(store.Batch{Records: records[:store.MaxBatch]}); err != nil {
		t.Errorf("largest batch: %v", err)
	}
	if err := store.Check(store.Batch{Records: records}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("one more: got %v, want ErrInvalid", err)
	}
}
