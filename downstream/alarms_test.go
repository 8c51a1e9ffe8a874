package downstream

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestAlarmsRingInOrderAndOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAlarms(time.Now)
		start := time.Now()
		type rung struct {
			name string
			at   time.Duration
		}
		var got []rung
		named := func(name string) *alarm {
			return &alarm{ring: func(_ context.Context, now time.Time) { got = append(got, rung{name, now.Sub(start)}) }}
		}
		early, late, moved, dropped := named("early"), named("late"), named("moved"), named("dropped")
		a.set(late, start.Add(9*time.Second))
		a.set(dropped, start.Add(5*time.Second))
		a.set(moved, start.Add(20*time.Second))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { a.run(ctx); close(done) }()
		synctest.Wait()
		a.set(early, start.Add(2*time.Second)) // earlier than what run waits for
		a.set(moved, start.Add(4*time.Second))
		a.drop(dropped)
		a.drop(dropped)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		cancel()
		<-done
		want := []rung{{"early", 2 * time.Second}, {"moved", 4 * time.Second}, {"late", 9 * time.Second}}
		if !slices.Equal(got, want) {
			t.Errorf("rang %v; want %v", got, want)
		}
		if len(a.heap) != 0 || early.place != 0 {
			t.Errorf("heap holds %d alarms; want none", len(a.heap))
		}
	})
}

// An alarm that sets itself again goes on, and the end of the context ends even a storm of due alarms.
func TestAlarmsEndWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAlarms(time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		rings := 0
		x := &alarm{}
		x.ring = func(context.Context, time.Time) {
			if rings++; rings == 1000 {
				cancel()
			}
			a.set(x, time.Now()) // due again at once
		}
		a.set(x, time.Now())
		a.run(ctx)
		if rings != 1000 {
			t.Errorf("rang %d times; want 1000", rings)
		}
	})
}
