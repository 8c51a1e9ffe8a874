package bench

import (
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

const (
	// heldSessions are those that are held with heartbeats.
	heldSessions = 50000
	// beatEvery is the interval of each session's heartbeats, the usual one.
	beatEvery = 30 * time.Second
	// quietTime is how long the gateway is left alone, so that it gives back what it does not need.
	quietTime = 25 * time.Second
)

// measureMemory opens many idle sessions, each of which has asked for one thing, and tells what they cost the gateway; then many more, with
// heartbeats.
func measureMemory(t *testing.T) []memoryRow {
	t.Helper()
	g := startGateway(t, "")
	c := newCrowd(t, g.over(coap.NetworkUDP))
	c.dial(100)
	c.once(0, 1, heartbeat, coap.Changed) // what is made once is not a session's
	before, heap, goroutines := g.memory(), g.gauge("go_memstats_heap_inuse_bytes"), g.gauge("go_goroutines")
	var rows []memoryRow
	for _, n := range []int{manySessions, heldSessions} {
		from, cpu := len(c.members), g.cpu()
		c.dial(n - from)
		r := memoryRow{sessions: n, handshakes: float64(n-from) / (g.cpu() - cpu).Seconds()}
		c.once(from, 1, heartbeat, coap.Changed)
		r.atFirst = float64(g.memory()-before) / float64(n)
		begin, cpu := time.Now(), g.cpu()
		if n == heldSessions {
			c.beat(quietTime)
		} else {
			time.Sleep(quietTime)
		}
		r.cores = (g.cpu() - cpu).Seconds() / time.Since(begin).Seconds()
		resident := g.memory()
		r.residentWhole, r.resident = float64(resident), float64(resident-before)/float64(n)
		r.heap = (g.gauge("go_memstats_heap_inuse_bytes") - heap) / float64(n)
		r.goroutines = (g.gauge("go_goroutines") - goroutines) / float64(n)
		rows = append(rows, r)
	}
	return rows
}

// heartbeat is a client's (RFC 9132, Section 4.7).
func heartbeat(int, int) *coap.Message {
	m := encode(wire.Request{Op: wire.PutHeartbeat, PeerHB: true})
	m.NonConfirmable = true
	return m
}

// beat lets every client send heartbeats for a while, evenly spread, and waits for the answers.
func (c *crowd) beat(length time.Duration) {
	c.t.Helper()
	c.prepare(0, 1, heartbeat, []coap.Code{coap.Changed})
	for _, l := range c.lanes {
		l.work.Lock()
		l.load.running, l.load.paced, l.load.once = true, true, true
		l.work.Unlock()
	}
	defer c.end()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	sent, looked := 0, time.Now()
	for begin := looked; time.Since(begin) < length; <-tick.C {
		due := int(int64(time.Since(begin)) * int64(len(c.members)) / int64(beatEvery))
		for ; sent < due; sent++ {
			c.lanes[sent%len(c.lanes)].ask()
		}
		if time.Since(looked) > lookEvery {
			looked = time.Now()
			if _, _, err := c.progress(); err != nil {
				c.t.Fatalf("%.500s; the server said: %s", err, c.said())
			}
		}
	}
}
