package pressure

import (
	"math"
	"runtime"
	"runtime/metrics"
	"time"

	"golang.org/x/sys/unix"
)

// What is read of the runtime, in this order. The runtime's own numbers of processor time are renewed only when it collects garbage, so
// those come from the system.
const (
	readLatencies = iota
	readLive
	readStacks
	readLimit
)

// meter measures this process, from one reading to the next. Not safe for concurrent use.
type meter struct {
	samples []metrics.Sample
	at      time.Time
	cpu     time.Duration
	waits   []uint64 // how many goroutines had waited so long, at the reading before
	fresh   []uint64 // how many have since
}

func newMeter() *meter {
	m := &meter{samples: []metrics.Sample{
		readLatencies: {Name: "/sched/latencies:seconds"},
		readLive:      {Name: "/gc/heap/live:bytes"},
		readStacks:    {Name: "/memory/classes/heap/stacks:bytes"},
		readLimit:     {Name: "/gc/gomemlimit:bytes"},
	}}
	m.read()
	return m
}

// read returns what happened since the call before; the queue is not its business.
func (m *meter) read() Reading {
	metrics.Read(m.samples)
	now, cpu := time.Now(), processTime()
	r := Reading{Heap: m.heap(), Wait: m.wait(0.9)}
	if passed := now.Sub(m.at); passed > 0 && !m.at.IsZero() {
		r.CPU = float64(cpu-m.cpu) / (float64(passed) * float64(runtime.GOMAXPROCS(0)))
	}
	m.at, m.cpu = now, cpu
	return r
}

// heap is what lives against the limit. Garbage is not counted: how much of it lies about is the collector's decision.
func (m *meter) heap() float64 {
	limit := m.samples[readLimit].Value.Uint64()
	if limit == 0 || limit >= math.MaxInt64 {
		return 0
	}
	return float64(m.samples[readLive].Value.Uint64()+m.samples[readStacks].Value.Uint64()) / float64(limit)
}

// wait is the time that the given share of goroutines have waited at most since the call before.
func (m *meter) wait(share float64) time.Duration {
	h := m.samples[readLatencies].Value.Float64Histogram()
	if len(m.waits) != len(h.Counts) {
		m.waits, m.fresh = make([]uint64, len(h.Counts)), make([]uint64, len(h.Counts))
	}
	var total uint64
	for i, n := range h.Counts {
		m.fresh[i] = n - m.waits[i]
		total += m.fresh[i]
	}
	copy(m.waits, h.Counts)
	return quantile(m.fresh, h.Buckets, uint64(float64(total)*share))
}

// quantile is the lower bound, in seconds, of the bucket in which the nth of the counted falls.
func quantile(counts []uint64, bounds []float64, nth uint64) time.Duration {
	var seen uint64
	for i, n := range counts {
		if seen += n; n > 0 && seen >= nth {
			return time.Duration(max(0, bounds[i]) * float64(time.Second))
		}
	}
	return 0
}

// processTime is the processor time that the process has used, in user and system.
func processTime() time.Duration {
	var use unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &use) != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
