package app

import (
	"context"
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

// heap is what the process holds of memory at a moment, in bytes.
type heap struct {
	cycles uint64 // collections so far
	live   uint64 // found by the last collection
	held   uint64 // resident, garbage and reserve included
}

// giveBack collects what a busy time has left, once it is over, until ctx ends. A high GOGC saves work under load, and leaves
// a quiet process with several times what it needs: the handshakes of ten thousand clients, say, until the next attack.
func giveBack(ctx context.Context) error {
	t := time.NewTicker(giveBackEvery)
	defer t.Stop()
	var before heap // at the last look
	var rest uint64 // held after the last time: what cannot be given back is not tried again
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		now := readHeap()
		if now.worthGiving(before, rest) {
			debug.FreeOSMemory()
			now = readHeap()
			rest = now.held
		}
		before = now
	}
}

// worthGiving reports whether nothing was collected since before, and much of what is held is neither alive nor what the last
// time had to leave.
func (h heap) worthGiving(before heap, rest uint64) bool {
	needed := max(h.live, rest)
	return h.cycles == before.cycles && h.held > needed+max(needed/2, giveBackFrom)
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
	return heap{
		cycles: s[0].Value.Uint64(), live: s[1].Value.Uint64(),
		held: s[2].Value.Uint64() + s[3].Value.Uint64() + s[4].Value.Uint64(),
	}
}
