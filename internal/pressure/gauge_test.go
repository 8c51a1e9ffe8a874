package pressure

import (
	"context"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAGaugeInItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fill, heap atomic.Int64 // percent
		var told []Level
		g := New(Config{
			Queues:   []func() float64{func() float64 { return 0 }, func() float64 { return float64(fill.Load()) / 100 }},
			Interval: time.Second, Hold: 3 * time.Second,
			Changed: func(_, to Level, _ Reading) { told = append(told, to) },
			Process: func() Reading { return Reading{Heap: float64(heap.Load()) / 100} },
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- g.Run(ctx) }()

		after := func(d time.Duration, want Level) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got := g.Level(); got != want {
				t.Errorf("level %v, want %v", got, want)
			}
		}
		after(time.Second, Calm)
		fill.Store(72)
		after(2999*time.Millisecond, Calm)
		after(time.Millisecond, ShedHandshakes)
		heap.Store(96)
		after(2*time.Second, ShedHandshakes)
		after(time.Second, ShedRequests)
		fill.Store(0)
		heap.Store(0)
		after(3*time.Second, ShedRequests)
		after(time.Second, ShedReads)
		after(9*time.Second, Calm)

		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the gauge ended with %v", err)
		}
		if want := []Level{ShedHandshakes, ShedRequests, ShedReads, ShedHandshakes, ShedStrangers, Calm}; !reflect.DeepEqual(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}

func TestSheddingIsCounted(t *testing.T) {
	g := New(Config{})
	if g.Sheds(ShedStrangers) {
		t.Error("a calm gauge sheds")
	}
	g.level.Store(int32(ShedHandshakes))
	for what, want := range map[Level]bool{ShedStrangers: true, ShedHandshakes: true, ShedReads: false, ShedRequests: false} {
		if got := g.Sheds(what); got != want {
			t.Errorf("sheds %v: %v", what, got)
		}
	}
	g.Sheds(ShedHandshakes)
	if got, want := g.Stats(), (Stats{Level: ShedHandshakes, Shed: [levels]uint64{0, 1, 2, 0, 0}}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestNoGaugeIsCalm(t *testing.T) {
	var g *Gauge
	if g.Level() != Calm || g.Sheds(ShedRequests) || g.Sheds(ShedStrangers) || g.Stats() != (Stats{}) {
		t.Error("a gauge that is not there sheds")
	}
}
