package impair

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// What is due at once is done by many schedules at a time. Where timers do that, the race detector of Go 1.26 ends the program
// (golang/go#78156).
func TestSchedulesAtATime(t *testing.T) {
	const schedules, each = 8, 2000
	synctest.Test(t, func(t *testing.T) {
		var done atomic.Int64
		var all sync.WaitGroup
		for range schedules {
			all.Go(func() {
				var s Schedule
				did := make(chan struct{})
				for range each {
					s.Add(time.Now(), func() { did <- struct{}{} })
					<-did
					done.Add(1)
				}
			})
		}
		all.Wait()
		begun := time.Now()
		synctest.Wait()
		if n := done.Load(); n != schedules*each || !time.Now().Equal(begun) {
			t.Errorf("%d of %d done, %v later", n, schedules*each, time.Since(begun))
		}
	})
}
