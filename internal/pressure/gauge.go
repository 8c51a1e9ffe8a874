package pressure

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"
)

// Defaults of Config.
const (
	DefaultInterval = 100 * time.Millisecond
	DefaultHold     = 2 * time.Second
)

// Config says what a gauge watches.
type Config struct {
	// Queues each say how full one queue is, 0 to 1. They are called from Run, at every reading, and must not block. Optional.
	Queues []func() float64
	// Interval is the time between two readings; zero means DefaultInterval.
	Interval time.Duration
	// Hold is how long the load must be well below a level before it is left; zero means DefaultHold.
	Hold time.Duration
	// Changed is called from Run when the level has changed. It must not block. Optional.
	Changed func(from, to Level, why Reading)
	// Process measures processors and memory; the gauge adds the queues. Optional; nil means this process.
	Process func() Reading
}

// Gauge says how loaded the process is. Level, Sheds and Stats are safe for concurrent use. A nil *Gauge is always calm.
type Gauge struct {
	cfg     Config
	level   atomic.Int32
	reading atomic.Pointer[Reading]
	shed    [levels]atomic.Uint64
}

// Stats are what a gauge has seen.
type Stats struct {
	Level   Level
	Reading Reading        // the last one
	Shed    [levels]uint64 // what was shed, by the level that sheds it
}

// New makes a gauge that is calm until it runs.
func New(cfg Config) *Gauge {
	cfg.Interval = cmp.Or(cfg.Interval, DefaultInterval)
	cfg.Hold = cmp.Or(cfg.Hold, DefaultHold)
	g := &Gauge{cfg: cfg}
	g.reading.Store(new(Reading))
	return g
}

// Run takes readings until ctx ends. Called once.
func (g *Gauge) Run(ctx context.Context) error {
	read := g.cfg.Process
	if read == nil {
		read = newMeter().read
	}
	tick := time.NewTicker(g.cfg.Interval)
	defer tick.Stop()
	var j judge
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		r := read()
		r.Queue = max(r.Queue, fullest(g.cfg.Queues))
		g.reading.Store(&r)
		before := j.level
		j = j.next(time.Now(), r, g.cfg.Hold)
		if j.level != before {
			g.level.Store(int32(j.level))
			if g.cfg.Changed != nil {
				g.cfg.Changed(before, j.level, r)
			}
		}
	}
}

// Level is the level in force: one atomic load.
func (g *Gauge) Level() Level {
	if g == nil {
		return Calm
	}
	return Level(g.level.Load())
}

// Sheds reports whether what that level names is shed now, and counts it if so: whoever asks is expected to obey. what is not Calm.
func (g *Gauge) Sheds(what Level) bool {
	if g.Level() < what {
		return false
	}
	if g != nil && what > Calm && what < levels {
		g.shed[what].Add(1)
	}
	return true
}

// Stats reads what there is.
func (g *Gauge) Stats() Stats {
	if g == nil {
		return Stats{}
	}
	out := Stats{Level: g.Level(), Reading: *g.reading.Load()}
	for i := range g.shed {
		out.Shed[i] = g.shed[i].Load()
	}
	return out
}
