package resilience

import (
	"testing"
	"time"
)

// What an idle session may cost, and how long many are held.
const (
	idleBytes = 16 << 10 // resident, of the whole gateway
	idleTime  = 30 * time.Second
	idleBeat  = 30 * time.Second // between two heartbeats of a client, the usual interval
)

// idleSessions holds many sessions that do nothing but live.
func idleSessions(t *testing.T) {
	g := startGateway(t)
	clients := newFleet(t, g.address, g.keys)
	clients.establish(1, 50, 16) // what is made once is not a session's
	time.Sleep(time.Second)
	before := g.figures()
	n := counts.idle.get(t)
	begin := time.Now()
	all := clients.establish(2, n, 64)
	took, cpu := time.Since(begin), g.figures().cpu-before.cpu
	say("%d sessions established in %.0f s; the gateway used %.2f ms of processor for each", n, took.Seconds(), cpu.Seconds()*1e3/float64(n))

	watch, beats := g.watching(), beating(all, idleBeat)
	cpu, begin = g.figures().cpu, time.Now()
	time.Sleep(idleTime)
	cpu = g.figures().cpu - cpu
	share := cpu.Seconds() / time.Since(begin).Seconds()
	asked, seen := beats.end(), watch.end()
	lost := survivors(all)
	times := clients.forget()

	say("held for %v with a heartbeat each %v: %.2f of a core; %d heartbeats, %d answered at once, %s", idleTime, idleBeat, share, asked, len(times), quantiles(times))
	must(t, lost == 0, "%d of %d sessions lost", lost, n)
	each := func(of func(figures) float64) float64 { return (lowest(seen, of) - of(before)) / float64(n) }
	must(t, each(resident) <= idleBytes, "resident: %.1f KB for each session, %.0f MB in all (heap %.1f KB, stacks %.1f KB)",
		each(resident)/1e3, lowest(seen, resident)/1e6, each(heap)/1e3, each(stacks)/1e3)
	must(t, each(goroutines) < 0.01, "goroutines: %.2f for each session", each(goroutines))
}
