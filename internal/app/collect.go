package app

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// gcLeast is the percentage with a large heap, which is Go's own.
	gcLeast = 100
	// gcGarbage is how much garbage is let grow, in bytes, where that is a percentage between the two.
	gcGarbage = 64 << 20
	// gcEvery is how often the percentage is looked at. A thousand handshakes a second make ten megabytes of what lives.
	gcEvery = time.Second
)

// SetMemory names what was decided about memory. Where that has a limit, the percentage follows the heap while the gateway runs. Call it before
// Run.
func (a *App) SetMemory(m Memory) { a.memory = m }

// collect lets the percentage follow the heap until ctx ends.
func (a *App) collect(ctx context.Context) error {
	if a.memory.Limit == 0 {
		<-ctx.Done()
		return nil
	}
	return followHeap(ctx, liveHeap, func(percent int) { debug.SetGCPercent(percent) })
}

// percentOf is GOGC for a heap of so many bytes that live.
//
// What a high percentage saves is work for each byte of garbage, and that is little once a heap is large. What it costs is memory, also
// after the garbage is gone: what lives stays where it was made, scattered among the garbage of its time. With 400 ten thousand
// sessions took twice as much as with 100.
func percentOf(live uint64) int {
	return int(min(max(gcGarbage*100/max(live, 1), gcLeast), gcPercent))
}

// followHeap sets the percentage when it should be another one, by an eighth at least: setting it stops the program for a moment.
func followHeap(ctx context.Context, live func() uint64, set func(percent int)) error {
	t := time.NewTicker(gcEvery)
	defer t.Stop()
	now := gcPercent
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		want := percentOf(live())
		if want != now && (math.Abs(float64(want-now)) > float64(now)/8 || want == gcLeast || want == gcPercent) {
			set(want)
			now = want
		}
	}
}

// liveHeap is what the last collection has found alive, in bytes.
func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
