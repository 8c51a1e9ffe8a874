package pressure

import (
	"testing"
	"time"
)

func TestWhatAReadingCallsFor(t *testing.T) {
	cases := []struct {
		name string
		r    Reading
		want Level
	}{
		{"nothing", Reading{}, Calm},
		{"half a queue", Reading{Queue: 0.5}, ShedStrangers},
		{"just below", Reading{Queue: 0.499}, Calm},
		{"a queue filling", Reading{Queue: 0.7}, ShedHandshakes},
		{"a queue filling more", Reading{Queue: 0.8}, ShedReads},
		{"a queue almost full", Reading{Queue: 0.9}, ShedRequests},
		{"a full queue", Reading{Queue: 1}, ShedRequests},
		{"memory", Reading{Heap: 0.75}, ShedStrangers},
		{"more memory", Reading{Heap: 0.85}, ShedHandshakes},
		{"much memory", Reading{Heap: 0.92}, ShedReads},
		{"no memory left", Reading{Heap: 1.2}, ShedRequests},
		{"busy and prompt", Reading{CPU: 1}, Calm},
		{"idle and late: not our doing", Reading{CPU: 0.5, Wait: time.Second}, Calm},
		{"busy and a little late", Reading{CPU: 0.9, Wait: 10 * time.Millisecond}, ShedStrangers},
		{"busy and late", Reading{CPU: 0.97, Wait: 60 * time.Millisecond}, ShedHandshakes},
		{"busy and very late", Reading{CPU: 0.97, Wait: 300 * time.Millisecond}, ShedReads},
		{"no request is refused for want of processors", Reading{CPU: 1.5, Wait: time.Hour}, ShedReads},
		{"the worst of all counts", Reading{Queue: 0.5, Heap: 0.91, CPU: 1, Wait: 60 * time.Millisecond}, ShedReads},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := c.r.calledFor(1); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestTheLadderRises(t *testing.T) {
	steps := ladder()
	if len(steps) != int(levels)-1 {
		t.Fatalf("%d steps for %d levels", len(steps), levels-1)
	}
	for i := range steps[1:] {
		a, b := steps[i], steps[i+1]
		if b.queue <= a.queue || b.heap <= a.heap || b.wait <= a.wait || b.cpu < a.cpu {
			t.Errorf("step %d is not below step %d: %+v, %+v", i, i+1, a, b)
		}
		if b.queue*relief >= 1 || b.heap*relief >= 1 {
			t.Errorf("step %d could never be left", i+1)
		}
	}
}

// A level is reached when the load is steady, held, and left one step at a time.
func TestLevelsAreHeld(t *testing.T) {
	const hold = 2 * time.Second
	cases := []struct {
		name   string
		queues []float64 // one reading a second
		want   []Level
	}{
		{"a burst is no load", []float64{0, 0.95, 0.95, 0, 0.95, 0.95, 0}, []Level{0, 0, 0, 0, 0, 0, 0}},
		{"the least of what was steady", []float64{0.95, 0.5, 0.75, 0.72, 0.95}, []Level{0, 0, 1, 1, 2}},
		{"up once it is steady, down by steps", []float64{1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, []Level{0, 0, 4, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0}},
		{"around a limit it does not flap", []float64{0.5, 0.5, 0.5, 0.49, 0.5, 0.45, 0.5, 0.49, 0.44}, []Level{0, 0, 1, 1, 1, 1, 1, 1, 1}},
		{"a little below for long is not well below", []float64{0.7, 0.7, 0.7, 0.6, 0.6, 0.6, 0.6}, []Level{0, 0, 2, 2, 2, 2, 2}},
		{"well below for long", []float64{0.7, 0.7, 0.7, 0.59, 0.59, 0.59, 0.59, 0.59, 0.59, 0.59}, []Level{0, 0, 2, 2, 2, 1, 1, 1, 1, 1}},
		{"a relapse begins the hold anew", []float64{0.7, 0.7, 0.7, 0.1, 0.1, 0.6, 0.1, 0.1, 0.1}, []Level{0, 0, 2, 2, 2, 2, 2, 2, 1}},
		{"up again on the way down", []float64{1, 1, 1, 0, 0, 0, 1, 1, 1, 0}, []Level{0, 0, 4, 4, 4, 3, 3, 3, 4, 4}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var j judge
			now := time.Unix(0, 0)
			for i, q := range c.queues {
				if j = j.next(now, Reading{Queue: q}, hold); j.level != c.want[i] {
					t.Fatalf("reading %d (%v): level %v, want %v", i, q, j.level, c.want[i])
				}
				now = now.Add(time.Second)
			}
		})
	}
}

func TestLevelsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for l := Calm; l < levels; l++ {
		if name := l.String(); name == "" || name == "unknown" || seen[name] {
			t.Errorf("level %d is called %q", l, name)
		} else {
			seen[name] = true
		}
	}
	if Level(-1).String() != "unknown" || levels.String() != "unknown" {
		t.Error("a level that does not exist has a name")
	}
}
