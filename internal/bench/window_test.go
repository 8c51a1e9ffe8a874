package bench

import (
	"slices"
	"testing"
	"time"
)

// result is what one repetition gave.
type result struct {
	requests int
	took     time.Duration
	p50, p99 time.Duration
	server   time.Duration // processor time of the server under test
	load     time.Duration // of this process: load and upstream
	foreign  time.Duration // of all others
	// instructions of the server
	instructions instructions
}

// perSecond and perCore are requests per second of time, and per second of the server's processor time.
func (r result) perSecond() float64 { return float64(r.requests) / r.took.Seconds() }
func (r result) perCore() float64   { return float64(r.requests) / r.server.Seconds() }

// own and system are how many thousand instructions a request took, of the server and of the system for it.
func (r result) own() float64    { return r.instructions.own / float64(r.requests) / 1000 }
func (r result) system() float64 { return r.instructions.system / float64(r.requests) / 1000 }

const (
	// warmUp is how long a load runs before it is measured.
	warmUp = 700 * time.Millisecond
	// lookEvery is how often a load's progress is asked for, which also mends it.
	lookEvery = 100 * time.Millisecond
)

// windows measures a load that runs, several times in a row. progress is how many answers came so far, and how long those took that
// came since it was called last.
func windows(t *testing.T, p *process, progress func() (int, []time.Duration)) []result {
	t.Helper()
	pass := func(length time.Duration) (done int, took []time.Duration) {
		for end := time.Now().Add(length); time.Now().Before(end); {
			time.Sleep(min(lookEvery, time.Until(end)))
			n, more := progress()
			done, took = n, append(took, more...)
		}
		return done, took
	}
	pass(warmUp)
	var all []result
	for range repetitions {
		m := begin(t, p)
		before, _ := progress()
		done, took := pass(seconds(t))
		all = append(all, m.end(done-before, took))
	}
	return all
}

// measuring is a repetition that is under way.
type measuring struct {
	t              *testing.T
	p              *process
	count          *counting
	busy, own, cpu time.Duration
	begin          time.Time
}

// begin begins a repetition.
func begin(t *testing.T, p *process) measuring {
	t.Helper()
	count := countInstructions(t, p.cmd.Process.Pid)
	count.start()
	return measuring{t, p, count, machineBusy(t), ownCPU(t), p.cpu(), time.Now()}
}

// end is what it gave.
func (m measuring) end(requests int, took []time.Duration) result {
	m.t.Helper()
	m.count.pause()
	r := result{requests: requests, took: time.Since(m.begin), server: m.p.cpu() - m.cpu, load: ownCPU(m.t) - m.own}
	r.foreign = max(machineBusy(m.t)-m.busy-r.server-r.load, 0)
	r.instructions = m.count.stop()
	if requests == 0 {
		m.t.Fatalf("nothing came back; the server said: %s", m.p.said())
	}
	slices.Sort(took)
	r.p50, r.p99 = took[len(took)/2], took[len(took)*99/100]
	return r
}
