package coap

import (
	"testing"
	"testing/synctest"
	"time"
)

// sizeOfNext is how many bytes a retrieval has on the wire; it is sent.
func (r *rig) sizeOfNext(req *Message) int {
	r.begin(LeastUrgent, req).Abandon()
	return len(r.one())
}

// RFC 7252, Section 4.7 and RFC 9132, Section 4.4: to a peer of which nothing is heard retrievals go at the probing rate; mitigation requests
// go as if there were none; one datagram of the peer ends it.
func TestProbingRate(t *testing.T) {
	for _, rate := range []int{0, 20} { // 0: the default, 5
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, false, SessionConfig{Parameters: Parameters{ProbingRate: rate}})
			r.measured(40 * time.Millisecond)
			time.Sleep(time.Second)
			req := get("mitigate", "cuid=0123456789abcdef")
			size := r.sizeOfNext(req)
			list := r.begin(LeastUrgent, req)
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			bytes, most := r.paths(r.link.take())["mitigate"]*size, min(max(rate, 5)*600, 200*size)
			// At first, while it is not known to be silent, it was sent at 0, 3, 6 and 9 s.
			if spare := 5 * size; bytes < most-spare || bytes > most+spare {
				t.Errorf("%d bytes of retrievals in 10 min, want about %d", bytes, most)
			}
			put := r.begin(MostUrgent, put(nil, "new"))
			time.Sleep(10*time.Minute + time.Millisecond)
			synctest.Wait()
			if n := r.paths(r.link.take()); n["new"] != 201 {
				t.Errorf("a mitigation request was sent %d times, want 201", n["new"])
			}
			pace := r.Pace()
			if !pace.silent || pace.Wait(MostUrgent) != 0 {
				t.Errorf("silent %v, a mitigation request waits %v", pace.silent, pace.Wait(MostUrgent))
			}
			r.Input(udp(non, Changed, 77, "?", "")) // anything
			if pace := r.Pace(); pace.silent || pace.probing != 0 {
				t.Errorf("a retrieval waits %v although the peer is there", pace.probing)
			}
			list.Abandon()
			put.Abandon()
		})
	}
}

// A peer that was asked nothing is not silent, however long it says nothing. Of several retrievals that are begun at once one goes, to a silent one.
func TestWhoIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{})
		time.Sleep(time.Hour)
		if pace := r.Pace(); pace.silent {
			t.Error("silent although nothing was asked")
		}
		r.begin(LeastUrgent, get("a")).Abandon()
		time.Sleep(12*time.Second - 1)
		if pace := r.Pace(); pace.silent {
			t.Error("silent before 12 s")
		}
		time.Sleep(10 * time.Minute)
		pace := r.Pace()
		if !pace.silent || pace.Wait(LeastUrgent) != 0 {
			t.Fatalf("after minutes: %+v", pace)
		}
		pace.Take(LeastUrgent)
		if pace.Wait(LeastUrgent) == 0 || pace.Wait(MostUrgent) != 0 {
			t.Errorf("after one: %+v", pace)
		}
	})
}

// Heartbeats are counted, and what they may run ahead is bounded.
func TestHeartbeatsProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{})
		for range 100 {
			req := put(make([]byte, 80), "hb")
			req.NonConfirmable = true
			p, err := r.Begin(req, func(*Message, error) {})
			if err != nil {
				t.Fatal(err)
			}
			p.Abandon()
			time.Sleep(15 * time.Second)
		}
		if got := len(r.link.take()); got != 100 {
			t.Fatalf("%d heartbeats were sent", got)
		}
		pace := r.Pace()
		if wait := pace.Wait(LeastUrgent); wait == 0 || wait > probeDebt/5*time.Second {
			t.Errorf("a retrieval waits %v", wait)
		}
	})
}
