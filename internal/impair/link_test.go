package impair

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// ear notes what an end hears, and when.
type ear struct {
	begun time.Time
	heard []string
	at    []time.Duration
	ended int
}

func listenTo(l *Link) *ear {
	e := &ear{begun: time.Now()}
	l.Receive(func(b []byte) {
		e.heard = append(e.heard, string(b))
		e.at = append(e.at, time.Since(e.begun))
	}, func(error) { e.ended++ })
	return e
}

// settle lets so much virtual time pass, and all that was due happen.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := NewPair(1, Conditions{Delay: 20 * time.Millisecond}, Conditions{Delay: 30 * time.Millisecond})
		atA, atB := listenTo(a), listenTo(b)
		buf := []byte("one")
		_ = a.WriteRecord(buf)
		copy(buf, "two")
		_ = a.WriteRecord(buf)
		_ = b.WriteRecord([]byte("back"))
		settle(time.Second)
		if !slices.Equal(atB.heard, []string{"one", "two"}) || atB.at[1] != 20*time.Millisecond {
			t.Errorf("b heard %v at %v", atB.heard, atB.at)
		}
		if !slices.Equal(atA.heard, []string{"back"}) || atA.at[0] != 30*time.Millisecond {
			t.Errorf("a heard %v at %v", atA.heard, atA.at)
		}
		if a.Reliable() || a.LocalAddr().String() != b.RemoteAddr().String() || a.LocalAddr().String() == a.RemoteAddr().String() {
			t.Errorf("it is %v, its peer %v", a.LocalAddr(), a.RemoteAddr())
		}
		if c := a.Out().Counts(); c.Delivered != 2 {
			t.Errorf("%+v", c)
		}
	})
}

// TestLinkNeverCallsBack: a session holds its lock while it writes, and takes it for what comes.
func TestLinkNeverCallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := NewPair(1, Conditions{}, Conditions{})
		heard := 0
		var session sync.Mutex
		b.Receive(func([]byte) {
			session.Lock() // for ever, were it called from inside
			defer session.Unlock()
			heard++
		}, nil)
		session.Lock()
		_ = a.WriteRecord([]byte("x"))
		session.Unlock()
		synctest.Wait()
		if heard != 1 {
			t.Errorf("heard %d", heard)
		}
	})
}

func TestLinkGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := NewPair(1, Conditions{Delay: time.Second}, Conditions{Delay: time.Second})
		atA, atB := listenTo(a), listenTo(b)
		_ = a.WriteRecord([]byte("last words"))
		_ = b.WriteRecord([]byte("too late"))
		_ = a.Close()
		_ = a.Close()
		_ = a.WriteRecord([]byte("from the grave"))
		settle(time.Minute)
		if !slices.Equal(atB.heard, []string{"last words"}) || atB.ended != 1 {
			t.Errorf("b heard %v, and %d ends", atB.heard, atB.ended)
		}
		if len(atA.heard) != 0 || atA.ended != 0 {
			t.Errorf("a heard %v after it had closed", atA.heard)
		}
		_ = b.Close()
		settle(time.Minute)
		if atA.ended != 0 {
			t.Error("a goodbye came to an end that was closed")
		}
	})
}

func TestLinkKilledOrDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := NewPair(1, Conditions{}, Conditions{})
		atB := listenTo(b)
		a.Kill()
		_ = b.WriteRecord([]byte("x"))
		_ = a.Close()
		settle(time.Minute)
		if atB.ended != 0 {
			t.Error("a killed end said goodbye")
		}
		a, b = NewPair(1, Conditions{}, Conditions{}) // nobody listens
		_ = a.WriteRecord([]byte("x"))
		_ = b.Close()
		synctest.Wait()
		if c := a.Out().Counts(); c.Delivered != 1 {
			t.Errorf("%+v", c)
		}
	})
}

// TestScheduleIsBounded: what finds no room is refused, and what is due goes in the order of its time.
func TestScheduleIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Schedule
		var done []int
		now := time.Now()
		for i := range mostUnderWay {
			if !s.Add(now.Add(time.Duration(i%3+1)*time.Second), func() { done = append(done, i%3) }) {
				t.Fatalf("%d were refused room", i)
			}
		}
		if s.Add(now, func() { t.Error("it was done") }) {
			t.Error("one too many found room")
		}
		settle(time.Minute)
		if len(done) != mostUnderWay || !slices.IsSorted(done) {
			t.Errorf("%d were done, in order: %v", len(done), slices.IsSorted(done))
		}
		s.Add(time.Now().Add(time.Second), func() { t.Error("done after the end") })
		s.Close()
		if s.Add(now, func() {}) {
			t.Error("it took more after its end")
		}
		settle(time.Minute)
	})
}
