package resilience

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sourceNetwork is the network of the sources that make handshakes; sourceTime is how long they do.
const (
	sourceNetwork = 64
	sourceTime    = 20 * time.Second
)

// handshakesAtOnce: real sources with good credentials make handshakes at once, again and again from the same address and
// port, each as if the one before had never been (RFC 6347, Section 4.2.8). Every third asks for something, and the others
// go when the handshake is done.
func handshakesAtOnce(t *testing.T) {
	g := startGateway(t)
	clients, crowd := newFleet(g), newFleet(g)
	all := clients.establish(1, counts.sessions.get(t), 32)
	calm := calmly(g, clients, all)
	sources := counts.sources.get(t)

	watch, beats := g.watching(), beating(all, time.Second)
	end := time.Now().Add(sourceTime)
	var done, failed atomic.Int64
	var each sync.WaitGroup
	for n := range sources {
		each.Go(func() {
			m := crowd.join(at(sourceNetwork, n))
			for round := n; time.Now().Before(end); round++ {
				if m.shake(sourceTime) != nil {
					failed.Add(1)
					continue
				}
				done.Add(1)
				if round%3 == 0 {
					m.beat()
				}
			}
		})
	}
	each.Wait()
	asked, during := beats.end(), watch.end()
	lost := survivors(all)
	times := clients.forget()

	say("%d sources: %d handshakes finished, %d did not", sources, done.Load(), failed.Load())
	say("%d established: %d heartbeats, %d answered at once, %s", len(all), asked, len(times), quantiles(times))
	must(t, done.Load() > 0, "%.0f handshakes a second", float64(done.Load())/sourceTime.Seconds())
	must(t, lost == 0, "%d of %d established sessions lost", lost, len(all))
	open := func(f figures) float64 { return f.metrics[`dotsgate_sessions{side="downstream",transport="dtls"}`] }
	after := settled(g, func(f figures) bool { return int(open(f)) <= len(all)+sources })
	must(t, int(open(after)) <= len(all)+sources, "sessions: %.0f afterwards (%.0f at most)", open(after), highest(during, open))
	say("heap held: %.1f MB, before %.1f MB; resident %.0f MB at most, before %.0f MB; goroutines %.0f at most, before %.0f",
		lowest(during, heap)/1e6, calm.heap/1e6, highest(during, resident)/1e6, calm.resident/1e6, highest(during, goroutines), calm.goroutines)
}

// settled looks at the gateway until it is as it should be, for a while at most.
func settled(g *gateway, good func(figures) bool) figures {
	f := g.figures()
	for range 100 {
		if good(f) {
			break
		}
		time.Sleep(100 * time.Millisecond)
		f = g.figures()
	}
	return f
}
