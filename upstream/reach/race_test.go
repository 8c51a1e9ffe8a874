package reach

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/upstream"
)

// Two Dials at one time do not end each other: a request that a redirect sends elsewhere goes there while a session is made for the rest.
func TestDialsAtOneTime(t *testing.T) {
	for name, better := range map[string]bool{"to be improved": true, "as it is": false} {
		t.Run(name, func(t *testing.T) {
			visit(t, nil, func(s *site, r *Reach) {
				s.answers[udp6], s.answers["192.0.2.9:4646 over UDP"] = answer{after: time.Second}, answer{after: time.Second}
				first := make(chan error, 1)
				go func() {
					_, err := r.Dial(s.t.Context(), upstream.Destination{Better: func(*coap.Session) {}})
					first <- err
				}()
				time.Sleep(500 * time.Millisecond)
				to := upstream.Destination{Alternate: dots.Redirect{Server: "other.example", Records: []string{"192.0.2.9"}}}
				if better {
					to.Better = func(*coap.Session) {}
				}
				if _, err := r.Dial(s.t.Context(), to); err != nil {
					t.Errorf("the second Dial: %v", err)
				}
				if err := <-first; err != nil {
					t.Errorf("the first Dial: %v", err)
				}
			})
		})
	}
}

// What goes on after a Dial that TCP won is not ended by a Dial for one request alone.
func TestAnErrandLeavesWhatGoesOn(t *testing.T) {
	visit(t, nil, func(s *site, r *Reach) {
		s.answers[udp4], s.answers[tcp6] = answer{after: 5 * time.Second}, answer{}
		better := make(chan *coap.Session, 4)
		if _, err := r.Dial(s.t.Context(), upstream.Destination{Better: func(c *coap.Session) { better <- c }}); err != nil {
			t.Fatal(err)
		}
		s.set(func() { s.answers["192.0.2.9:4646 over UDP"] = answer{} })
		to := upstream.Destination{Alternate: dots.Redirect{Server: "other.example", Records: []string{"192.0.2.9"}}}
		if _, err := r.Dial(s.t.Context(), to); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if len(better) != 1 {
			t.Errorf("%d better sessions came", len(better))
		}
	})
}

// Two ways over UDP that lead there at one moment: one session is returned, the other one closed, and none is called better.
func TestNothingIsBetterThanUDP(t *testing.T) {
	for range 20 { // whose result comes first is by chance
		visit(t, nil, func(s *site, r *Reach) {
			s.answers[udp6], s.answers[udp4] = answer{after: 300 * time.Millisecond}, answer{after: 50 * time.Millisecond}
			got, err := r.Dial(s.t.Context(), upstream.Destination{Better: func(*coap.Session) { t.Error("a better one came") }})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			for _, other := range s.made {
				if other != got && other.Err() == nil {
					t.Errorf("%s is still open", wayOf(other))
				}
			}
		})
	}
}
