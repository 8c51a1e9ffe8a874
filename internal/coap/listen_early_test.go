package coap

import (
	"context"
	"sync"
	"testing"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// TestEarlyRequests: what a client sends at once after its handshake is taken, all of it: nothing has to be sent again.
func TestEarlyRequests(t *testing.T) {
	const clients, workers, each = 20, 6, 5
	ca := testpki.New(t, "root")
	l := serve(t, ServerConfig{
		Network: NetworkUDP, Credentials: credentialsOf(t, ca, ca.Server()),
		Session:   SessionConfig{Handler: newShelf()},
		OnSession: func(*Session) error { return nil },
	})
	var counters Counters
	d := dialer(t, DialConfig{
		Network: NetworkUDP, Address: l.Addr().String(), Credentials: credentialsOf(t, ca, ca.Client("client")),
		Session: SessionConfig{Counters: &counters, Parameters: Parameters{RepeatInterval: 4 * patience}}, // not because a machine is slow
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			s, err := d.Dial(ctx)
			if err != nil {
				t.Errorf("Dial() = %v", err)
				return
			}
			var asking sync.WaitGroup
			for range workers {
				asking.Go(func() {
					for range each {
						req := get("nowhere")
						req.NonConfirmable = true
						if resp, err := s.Do(ctx, req); err != nil || resp.Code != NotFound {
							t.Errorf("Do() = %v, %v", resp, err)
						}
					}
				})
			}
			asking.Wait()
			_ = s.Close()
		})
	}
	all.Wait()
	if n := counters.Retransmissions.Load(); n != 0 {
		t.Errorf("%d of %d requests were sent again", n, clients*workers*each)
	}
}
