package downstream

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
)

// Clients that come, ask, watch, and go, all at a time, while the core reports changes: nothing is left over.
func TestManyClientsAtOnce(t *testing.T) {
	inRig(t, func(c *Config) { c.MaxObserversPerClient = 8 }, func(r *rig) {
		r.core.report(status(dots.StatusMitigated))
		var running sync.WaitGroup
		clients := make([]*client, 24)
		for i := range clients {
			clients[i] = r.join(clientConfig{name: []string{"a.example", "b.example"}[i%2], tcp: i%3 == 0, handler: answerChanged})
		}
		for i, c := range clients {
			running.Go(func() {
				for n := range 10 {
					mid := fmt.Sprintf("%s/mid=%d", pathAll, n)
					c.ask(request(putCode, mid, bodyPut))
					c.ask(with(request(getCode, mid, ""), coap.Observe))
					c.ask(with(request(getCode, pathConfig, ""), coap.Observe))
					c.ask(request(putCode, fmt.Sprintf("%s/sid=%d", pathConfig, n), putIdle("a11821a11824183c")))
					r.srv.Changed(dots.MitigationKey{Client: dots.Client{Name: "a", CUID: "c1"}, MID: uint32(n)})
					r.srv.Sessions()
					time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				}
				if i%2 == 0 {
					_ = c.Close()
				} else {
					_ = c.served.Close()
				}
			})
		}
		running.Wait()
		r.wait(5 * time.Second)
		synctest.Wait()
		if n := len(r.srv.Sessions()); n != 0 {
			t.Errorf("%d sessions left", n)
		}
		if r.meter.observers != 0 || r.meter.up != len(clients) || r.meter.down != len(clients) {
			t.Errorf("%d observers, %d up, %d down", r.meter.observers, r.meter.up, r.meter.down)
		}
		if len(r.srv.watchers.of) != 0 || len(r.srv.watchers.entries) != 0 || len(r.srv.presence.of) != 0 || len(r.srv.activity.peers) != 0 {
			t.Errorf("tables hold %v, %v, %v", r.srv.watchers.of, r.srv.watchers.entries, r.srv.presence.of)
		}
		if r.core.calls() < 24*20 {
			t.Errorf("the core was asked %d times only", r.core.calls())
		}
	})
}
