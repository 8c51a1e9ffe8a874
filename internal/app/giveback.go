package app

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// giveBackEvery is how long nothing may have been collected before the process is taken for quiet.
	giveBackEvery = 10 * time.Second
	// giveBackFrom is the least that is worth a collection, in bytes.
	giveBackFrom = 16 << 20
)

// heap is what the process holds of memory at a moment.
type heap struct {
	cycles uint64 // collections so far
	held   uint64 // resident in bytes, garbage and reserve included
}

// giveBack collects what a busy time has left, once it is over, until ctx ends. A high GOGC saves work under load, and leaves
// a quiet process with several times what it needs: the handshakes of ten thousand clients, say, until the next attack.
func giveBack(ctx context.Context) error {
	t := time.NewTicker(giveBackEvery)
	defer t.Stop()
	var before heap  // at the last look
	var given uint64 // collections when memory was last given back
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		now := readHeap()
		if now.worthGiving(before, given) {
			giveAll()
			now = readHeap()
			given = now.cycles
		}
		before = now
	}
}

// giveAll collects twice: what pools hold (sync.Pool) outlives the first time, and each buffer of theirs keeps a page that has many a hole by
// then. After ten thousand handshakes that was a quarter of all that seemed to live.
func giveAll() {
	runtime.GC()
	debug.FreeOSMemory()
}

// worthGiving reports whether a busy time is over: something was collected since the last time, and nothing since before. How
// much there is to give cannot be told beforehand: what the last collection found alive was alive in the busy time.
func (h heap) worthGiving(before heap, given uint64) bool {
	return h.cycles == before.cycles && h.cycles != given && h.held >= giveBackFrom
}

// readHeap asks the runtime, which stops nobody for it.
func readHeap() heap {
	s := []metrics.Sample{
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(s)
	return heap{cycles: s[0].Value.Uint64(), held: s[1].Value.Uint64() + s[2].Value.Uint64() + s[3].Value.Uint64()}
}
