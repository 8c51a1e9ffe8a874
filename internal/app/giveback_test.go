package app

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

func TestWorthGiving(t *testing.T) {
	const mb = 1 << 20
	for name, tt := range map[string]struct {
		now, before heap
		rest        uint64
		want        bool
	}{
		"quiet, and much garbage":          {heap{5, 50 * mb, 200 * mb}, heap{cycles: 5}, 0, true},
		"something is collected anyhow":    {heap{6, 50 * mb, 200 * mb}, heap{cycles: 5}, 0, false},
		"little garbage":                   {heap{5, 50 * mb, 74 * mb}, heap{cycles: 5}, 0, false},
		"a small process":                  {heap{5, 1 * mb, 17 * mb}, heap{cycles: 5}, 0, false},
		"a small process with much":        {heap{5, 1 * mb, 18 * mb}, heap{cycles: 5}, 0, true},
		"what was left over the last time": {heap{5, 50 * mb, 200 * mb}, heap{cycles: 5}, 190 * mb, false},
		"more than the last time":          {heap{5, 50 * mb, 300 * mb}, heap{cycles: 5}, 190 * mb, true},
	} {
		if got := tt.now.worthGiving(tt.before, tt.rest); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// TestGiveBack: what a busy time has left is gone after two looks.
func TestGiveBack(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // nothing else collects
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- giveBack(ctx) }()
		synctest.Wait()
		garbage := make([]byte, 64<<20)
		for i := 0; i < len(garbage); i += 4096 {
			garbage[i] = 1
		}
		runtime.KeepAlive(garbage)
		full := readHeap()
		time.Sleep(3 * giveBackEvery)
		synctest.Wait()
		if left := readHeap(); left.held+32<<20 > full.held {
			t.Errorf("%d bytes were held, and %d are still", full.held, left.held)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
