package coap

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestTimersFireInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		timers := NewTimers()
		runTimers(t, timers)
		start := time.Now()
		var fired []time.Duration
		var want []time.Duration
		var set []*timer
		for _, i := range rand.Perm(50) {
			x, timers := new(timer), timers.of(uint64(i)) // from any of the heaps they come in order
			x.fire = fireFunc(func() { fired = append(fired, time.Since(start)) })
			timers.set(x, start.Add(time.Duration(i)*time.Second))
			set = append(set, x)
			if i%5 == 0 {
				timers.stop(x)
				continue
			}
			want = append(want, time.Duration(i)*time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		slices.Sort(want)
		if !slices.Equal(fired, want) {
			t.Fatalf("fired %v\nwant %v", fired, want)
		}
		for i, x := range set {
			if x.index != 0 {
				t.Fatal("a fired timer is still in the heap")
			}
			timers.of(uint64(i)).stop(x)
		}
	})
}

func TestTimersMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := NewTimers()
		runTimers(t, all)
		timers := all.of(7)
		start := time.Now()
		var at []time.Duration
		x := new(timer)
		x.fire = fireFunc(func() {
			at = append(at, time.Since(start))
			if len(at) == 1 {
				timers.set(x, time.Now().Add(time.Second)) // arming itself again
			}
		})
		timers.set(x, start.Add(time.Hour))
		timers.set(x, start.Add(3*time.Second))
		timers.set(x, start.Add(5*time.Second))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if want := []time.Duration{5 * time.Second, 6 * time.Second}; !slices.Equal(at, want) {
			t.Fatalf("fired at %v, want %v", at, want)
		}
	})
}

func TestTimersLongAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := NewTimers()
		runTimers(t, all)
		timers := all.of(7)
		start := time.Now()
		var at time.Duration
		x := &timer{fire: fireFunc(func() { at = time.Since(start) })}
		timers.set(x, start.Add(25*time.Hour))
		time.Sleep(26 * time.Hour)
		synctest.Wait()
		if at != 25*time.Hour {
			t.Fatalf("fired at %v", at)
		}
	})
}
