package app

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestWorthGiving(t *testing.T) {
	const mb = 1 << 20
	for name, tt := range map[string]struct {
		now, before heap
		given       uint64
		want        bool
	}{
		"a busy time is over":           {heap{5, 200 * mb}, heap{cycles: 5}, 3, true},
		"something is collected anyhow": {heap{6, 200 * mb}, heap{cycles: 5}, 3, false},
		"given since":                   {heap{5, 200 * mb}, heap{cycles: 5}, 5, false},
		"a small process":               {heap{5, 15 * mb}, heap{cycles: 5}, 3, false},
	} {
		if got := tt.now.worthGiving(tt.before, tt.given); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// TestGiveBack: what a busy time has left is gone after two looks.
func TestGiveBack(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // nothing else collects
	runtime.GC()                                     // the busy time
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

// TestGiveAll: what a pool holds is given back at once, too, and not the next time.
func TestGiveAll(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // nothing else collects
	var pool sync.Pool
	runtime.GC()
	pool.Put(new([64 << 20]byte))
	full := readHeap()
	giveAll()
	if left := readHeap(); left.held+32<<20 > full.held {
		t.Errorf("%d bytes were held, and %d are still", full.held, left.held)
	}
	runtime.KeepAlive(&pool)
}
