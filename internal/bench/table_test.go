package bench

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// row is one line of the table: the repetitions of a measurement.
type row struct {
	name    string
	results []result
}

// spread is the median of the repetitions, with the least and the greatest.
func spread(rs []result, of func(result) float64, format func(float64) string) string {
	vs := make([]float64, len(rs))
	for i, r := range rs {
		vs[i] = of(r)
	}
	slices.Sort(vs)
	return fmt.Sprintf("%s (%s-%s)", format(vs[len(vs)/2]), format(vs[0]), format(vs[len(vs)-1]))
}

func whole(v float64) string { return fmt.Sprintf("%.0f", v) }
func tenth(v float64) string { return fmt.Sprintf("%.1f", v) }

// write prints the rows of requests as a table.
func write(w io.Writer, rows []row) {
	var t bytes.Buffer
	fmt.Fprintln(&t, "what\trequests/s\trequests per core-second\tus of CPU\tthousand instructions\tof the system\tp50 ms\tp99 ms\tload cores\tforeign cores")
	for _, r := range rows {
		fmt.Fprintf(&t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.name,
			spread(r.results, result.perSecond, whole),
			spread(r.results, result.perCore, whole),
			spread(r.results, func(r result) float64 { return 1e6 / r.perCore() }, tenth),
			spread(r.results, result.own, tenth),
			spread(r.results, result.system, tenth),
			spread(r.results, func(r result) float64 { return ms(r.p50) }, tenth),
			spread(r.results, func(r result) float64 { return ms(r.p99) }, tenth),
			spread(r.results, func(r result) float64 { return r.load.Seconds() / r.took.Seconds() }, tenth),
			spread(r.results, func(r result) float64 { return r.foreign.Seconds() / r.took.Seconds() }, tenth))
	}
	align(w, t.Bytes())
}

// ratio is what is wanted of two rows' requests per core-second.
type ratio struct {
	of, to string
	wanted float64 // 0: nothing is wanted, it is told
}

// least is what is wanted, to print.
func (r ratio) least() string {
	if r.wanted == 0 {
		return "-"
	}
	return tenth(r.wanted)
}

// writeRatios prints what is wanted of the rows that there are.
func writeRatios(w io.Writer, rows []row) {
	medians := map[string]float64{}
	for _, r := range rows {
		medians[r.name] = r.median(result.perCore)
	}
	var t bytes.Buffer
	fmt.Fprintln(&t, "ratio of requests per core-second\tto\tis\twanted, at least")
	for _, r := range ratios() {
		of, to := medians[r.of], medians[r.to]
		if of > 0 && to > 0 {
			fmt.Fprintf(&t, "%s\t%s\t%.2f\t%s\n", r.of, r.to, of/to, r.least())
		}
	}
	align(w, t.Bytes())
}

// median is that of the repetitions.
func (r row) median(of func(result) float64) float64 {
	vs := make([]float64, len(r.results))
	for i, one := range r.results {
		vs[i] = of(one)
	}
	slices.Sort(vs)
	return vs[len(vs)/2]
}

// align writes a table whose columns are separated by tabs.
func align(w io.Writer, text []byte) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = t.Write(text) // what cannot be printed is lost, and nobody to tell
	_ = t.Flush()
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// memoryRow is one line of the table of idle sessions, in bytes a session.
type memoryRow struct {
	sessions          int
	atFirst, resident float64 // when all stood, and after a quiet while
	heap              float64
	goroutines        float64
	residentWhole     float64 // bytes of the process
	handshakes        float64 // a core-second of the gateway
	cores             float64 // that it used in the while
}

// writeMemory prints the rows of idle sessions as a table.
func writeMemory(w io.Writer, rows []memoryRow) {
	var t bytes.Buffer
	fmt.Fprintln(&t, "idle DTLS sessions\tresident KB each\tat first\theap KB each\tgoroutines each\tresident MB in all\thandshakes per core-second\tcores used")
	for _, r := range rows {
		fmt.Fprintf(&t, "%d\t%.1f\t%.1f\t%.1f\t%.2f\t%.0f\t%.0f\t%.2f\n", r.sessions,
			r.resident/1e3, r.atFirst/1e3, r.heap/1e3, r.goroutines, r.residentWhole/1e6, r.handshakes, r.cores)
	}
	fmt.Fprintf(&t, "\nwanted: at most 16 KB resident each with %d; at most 0.5 of a core with %d, which send heartbeats\n", manySessions, heldSessions)
	align(w, t.Bytes())
}
