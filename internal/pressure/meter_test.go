package pressure

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestTheMeterReadsThisProcess(t *testing.T) {
	before := debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	m := newMeter()
	if got := m.read().Heap; got != 0 {
		t.Errorf("without a limit the share of it is %v", got)
	}

	held := make([]byte, 64<<20)
	debug.SetMemoryLimit(256 << 20)
	runtime.GC()
	if got := m.read().Heap; got < 0.25 || got > 0.9 {
		t.Errorf("64 MB of 256 MB are %v", got)
	}
	runtime.KeepAlive(held)

	for began := processTime(); processTime() < began+20*time.Millisecond; {
	}
	if r := m.read(); r.CPU <= 0 || r.Wait < 0 || r.Queue != 0 {
		t.Errorf("after 20 ms of work: %+v", r)
	}
}

func TestQuantile(t *testing.T) {
	bounds := []float64{math.Inf(-1), 0, 0.001, 0.01, 0.1, math.Inf(1)}
	cases := []struct {
		name   string
		counts []uint64
		nth    uint64
		want   time.Duration
	}{
		{"nobody", []uint64{0, 0, 0, 0, 0}, 0, 0},
		{"all at once", []uint64{0, 10, 0, 0, 0}, 9, 0},
		{"the ninth of ten", []uint64{0, 8, 1, 1, 0}, 9, time.Millisecond},
		{"the last", []uint64{0, 8, 1, 1, 0}, 10, 10 * time.Millisecond},
		{"without end", []uint64{0, 0, 0, 0, 3}, 3, 100 * time.Millisecond},
		{"below all bounds", []uint64{3, 0, 0, 0, 0}, 3, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := quantile(c.counts, bounds, c.nth); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
