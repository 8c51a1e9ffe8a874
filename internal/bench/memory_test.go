package bench

import (
	"testing"

	"github.com/dotsgate/dotsgate/internal/coap"
)

// measureMemory opens idle sessions, a thousand and then five thousand, and tells what each costs the gateway.
func measureMemory(t *testing.T) []memoryRow {
	t.Helper()
	g := startGateway(t, "")
	first := dialMany(t, g.over(coap.NetworkUDP), 1)
	first.each(1, refresh, coap.Created) // what is made once is not a session's
	before, heap, goroutines := g.memory(), g.gauge("go_memstats_heap_inuse_bytes"), g.gauge("go_goroutines")
	var rows []memoryRow
	open := 0
	for _, n := range []int{1000, 5000} {
		cpu := g.cpu()
		c := dialMany(t, g.over(coap.NetworkUDP), n-open)
		cpu = g.cpu() - cpu
		c.ping() // as heartbeats do before long: an idle session is one that has said something once
		resident := g.memory()
		rows = append(rows, memoryRow{
			sessions: n, resident: float64(resident-before) / float64(n),
			heap:          (g.gauge("go_memstats_heap_inuse_bytes") - heap) / float64(n),
			goroutines:    (g.gauge("go_goroutines") - goroutines) / float64(n),
			handshakes:    float64(n-open) / cpu.Seconds(),
			residentWhole: float64(resident),
		})
		open = n
	}
	return rows
}
