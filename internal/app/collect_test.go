package app

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestPercentOf(t *testing.T) {
	const mb = 1 << 20
	for live, want := range map[uint64]int{
		0: 400, mb: 400, 16 * mb: 400, 20 * mb: 320, 32 * mb: 200, 64 * mb: 100, 65 * mb: 100, 10000 * mb: 100, math.MaxUint64: 100,
	} {
		if got := percentOf(live); got != want {
			t.Errorf("%d MB live: %d, want %d", live/mb, got, want)
		}
	}
}

// TestFollowHeap: the percentage goes down as the heap grows and comes back, in steps that are worth it.
func TestFollowHeap(t *testing.T) {
	const mb = 1 << 20
	synctest.Test(t, func(t *testing.T) {
		heaps := []uint64{mb, 20 * mb, 21 * mb, 32 * mb, 60 * mb, 64 * mb, 200 * mb, 63 * mb, 16 * mb, 2 * mb}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(len(heaps))*gcEvery+gcEvery/2)
		defer cancel()
		var got []int
		looked := 0
		err := followHeap(ctx, func() uint64 { looked++; return heaps[looked-1] }, func(percent int) { got = append(got, percent) })
		if want := []int{320, 200, 106, 100, 400}; err != nil || looked != len(heaps) || !slices.Equal(got, want) {
			t.Errorf("set %v after %d looks, %v; want %v", got, looked, err, want)
		}
	})
}

// TestCollectLeavesAlone: what the operator has set is not changed.
func TestCollectLeavesAlone(t *testing.T) {
	before := debug.SetGCPercent(77)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*gcEvery)
		defer cancel()
		var a App
		a.SetMemory(Memory{Why: "GOGC is set"})
		if err := a.collect(ctx); err != nil {
			t.Fatal(err)
		}
	})
	if got := debug.SetGCPercent(before); got != 77 {
		t.Errorf("GOGC is %d", got)
	}
}

// TestLiveHeap: the runtime tells what a collection has found.
func TestLiveHeap(t *testing.T) {
	kept := make([]byte, 32<<20)
	runtime.GC()
	if got := liveHeap(); got < 32<<20 {
		t.Errorf("%d bytes live", got)
	}
	runtime.KeepAlive(kept)
}
