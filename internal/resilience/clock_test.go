package resilience

import (
	"testing"
	"time"
	"unsafe"

	"github.com/dotsgate/dotsgate/dots"
)

// jumped is a moment as a clock gives it whose wall part was set forth or back while its monotonic part goes on: what becomes of time.Now when
// somebody sets the system's clock. No arithmetic of package time makes one, and the time of a synctest bubble has no monotonic part.
func jumped(start, t time.Time, by time.Duration) time.Time {
	const year1885, nanoseconds, monotonic = 2682288000, 30, 1 << 63 // seconds before 1970; bits; bit
	wall := t.Add(by)
	made := struct { // as package time has it
		wall uint64
		ext  int64 // monotonic
		loc  *time.Location
	}{
		wall: monotonic | uint64(wall.Unix()+year1885)<<nanoseconds | uint64(wall.Nanosecond()),
		ext:  int64(t.Sub(start)) + 1,
	}
	return *(*time.Time)(unsafe.Pointer(&made))
}

func TestJumped(t *testing.T) {
	start := time.Now().Round(0)
	for _, by := range jumps() {
		one, other := jumped(start, start, 0), jumped(start, start.Add(time.Minute), by)
		if other.Sub(one) != time.Minute || other.Round(0).Sub(start) != time.Minute+by || !one.Round(0).Equal(start) {
			t.Errorf("%v forth: %v after %v", by, other, one)
		}
	}
}

// jumps are how far the clock is set.
func jumps() []time.Duration {
	const tenYears = 10 * 365 * 24 * time.Hour
	return []time.Duration{time.Hour, -time.Hour, tenYears, -tenYears}
}

// lifetime is that of the mitigations here.
const lifetime = 30 * time.Minute

// jump sets the clock while a mitigation stands and another waits for the loss of its client, again and again by so much; restarted: the gateway is
// started anew after the first, too. It tells how long the first then lasts.
func jump(w *world, by time.Duration, restarted bool) (stands time.Duration, triggered int) {
	c := w.join(0)
	w.wait(time.Minute)
	short := func(r *dots.Request) { r.Lifetime = dots.Some(dots.Lifetime(lifetime / time.Second)) }
	asked := time.Now()
	c.within(10*time.Second, c.put(1, 1, short))
	c.within(10*time.Second, c.put(2, 2, armed, forever))
	w.wait(time.Minute)
	w.setClock(by)
	if restarted {
		w.crashGateway()
		w.startGateway()
		c.connect()
	}
	w.wait(time.Minute)
	w.setClock(2 * by)
	w.wait(time.Minute)
	w.setClock(0)
	for time.Since(asked) < lifetime+10*time.Minute {
		w.wait(5 * time.Second)
		n := 0
		for e := range w.effects(c) {
			switch {
			case e.mid == 1:
				n++
			case !e.since.IsZero():
				triggered++
			}
		}
		if n == 1 {
			stands = time.Since(asked)
		}
	}
	return stands, triggered
}

// setClock sets the gateway's wall clock, so far from the right time.
func (w *world) setClock(skew time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.skew = skew
}

// right reports whether a mitigation has ended when it had to, as often as it is looked at; the gateway may keep it a little longer than its client
// asked, since its lifetime begins with the answer.
func right(stands time.Duration, triggered int) bool {
	return stands >= lifetime-10*time.Second && stands <= lifetime+time.Minute && triggered == 0
}

// clockSettings say whether the gateway is started anew meanwhile.
func clockSettings() map[string]bool {
	return map[string]bool{"and the gateway runs on": false, "and the gateway is killed and started": true}
}

func TestClockJumps(t *testing.T) {
	for what, restarted := range clockSettings() {
		for _, by := range jumps() {
			inWorld(t, 1, func(w *world) {
				if stands, triggered := jump(w, by, restarted); !right(stands, triggered) {
					t.Errorf("clock set by %v, %s: stood for %v, %d triggered", by, what, stands, triggered)
				}
			})
		}
	}
}

// clockRow is the same, with its figures.
func clockRow(t *testing.T) {
	for what, restarted := range clockSettings() {
		for _, by := range jumps() {
			inWorld(t, 1, func(w *world) {
				stands, triggered := jump(w, by, restarted)
				must(t, right(stands, triggered), "wall clock set by %.0f h, twice as much, and back, %s: a mitigation for %v stood %v; triggered: %d",
					by.Hours(), what, lifetime, stands.Round(time.Second), triggered)
			})
		}
	}
}
