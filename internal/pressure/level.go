package pressure

import (
	"math"
	"slices"
	"time"
)

// Level says what is shed. Each level sheds what the levels below it shed too. Never shed, at any level: heartbeats, refreshes of mitigations,
// withdrawals, and notifications of mitigations in force.
type Level int32

// The levels, in the order in which things are given up.
const (
	Calm           Level = iota // nothing is shed
	ShedStrangers               // what comes from addresses that have proven nothing, but for a first hello
	ShedHandshakes              // new handshakes, over UDP and TCP
	ShedReads                   // GET requests: 5.03 with Max-Age
	ShedRequests                // requests for new mitigations: 5.03 with Max-Age
	levels
)

// String is the level's name in logs.
func (l Level) String() string {
	names := [levels]string{"calm", "strangers", "handshakes", "reads", "requests"}
	if l < 0 || l >= levels {
		return "unknown"
	}
	return names[l]
}

// Reading is what was measured at one moment.
type Reading struct {
	// Queue is how full the fullest queue is, 0 to 1.
	Queue float64
	// CPU is the share of the processors that the program may use, and has used, since the reading before: 0 to 1.
	CPU float64
	// Wait is how long nine of ten goroutines at most have waited for a processor since the reading before.
	Wait time.Duration
	// Heap is what lives in memory against GOMEMLIMIT, 0 to 1; 0 without a limit.
	Heap float64
}

// limits are the readings from which on one level is called for.
type limits struct {
	queue float64
	heap  float64
	cpu   float64 // a level needs both: a program that is busy and yet prompt has done nothing wrong
	wait  time.Duration
}

// ladder returns the limits of ShedStrangers and on. By the processors alone no request is ever refused: answering costs less of them
// than the refusal's repetitions would.
func ladder() []limits {
	never := math.Inf(1)
	return []limits{
		{queue: 0.50, heap: 0.75, cpu: 0.90, wait: 10 * time.Millisecond},
		{queue: 0.70, heap: 0.85, cpu: 0.90, wait: 50 * time.Millisecond},
		{queue: 0.80, heap: 0.90, cpu: 0.95, wait: 200 * time.Millisecond},
		{queue: 0.90, heap: 0.95, cpu: never, wait: math.MaxInt64},
	}
}

// relief is what a reading must fall to, as a share of a level's limits, before the level is left.
const relief = 0.85

// calledFor is the highest level whose limits, taken times scale, the reading reaches.
func (r Reading) calledFor(scale float64) Level {
	out := Calm
	for i, at := range ladder() {
		busy := r.CPU >= at.cpu*scale && float64(r.Wait) >= float64(at.wait)*scale
		if r.Queue >= at.queue*scale || r.Heap >= at.heap*scale || busy {
			out = Level(i + 1)
		}
	}
	return out
}

// steady is for how many readings in a row the load must be there: one alone may have met a burst that is gone already.
const steady = 3

// judge is the decision's memory. Its zero value is calm.
type judge struct {
	level Level
	last  [steady - 1]Level // what the readings before called for
	since time.Time         // when the reading began to call for less; zero: it does not
}

// next takes a reading into account. A level is reached when as many readings as are steady have called for it, and left one step at a time,
// each after the readings have been well below it for the whole hold: so neither a burst nor a load around a limit makes it flap.
func (j judge) next(now time.Time, r Reading, hold time.Duration) judge {
	called := r.calledFor(1)
	up := min(called, slices.Min(j.last[:]))
	copy(j.last[:], j.last[1:])
	j.last[len(j.last)-1] = called
	if up > j.level {
		j.level, j.since = up, time.Time{}
		return j
	}
	switch {
	case r.calledFor(relief) >= j.level:
		j.since = time.Time{}
	case j.since.IsZero():
		j.since = now
	case now.Sub(j.since) >= hold:
		j.level, j.since = j.level-1, now
	}
	return j
}

// fullest is the largest of the shares.
func fullest(queues []func() float64) (most float64) {
	for _, q := range queues {
		most = max(most, q())
	}
	return most
}
