package app

import (
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/metrics"
	"github.com/dotsgate/dotsgate/internal/throttle"
)

// doorsOf adds up how the bounds on new handshakes stand, over all listeners of a transport.
func (a *App) doorsOf(f *metrics.Front) {
	for i, s := range a.servers {
		at := metrics.DTLS
		if a.cfg.Listeners[i].Transport == config.TransportTLS {
			at = metrics.TLS
		}
		addDoor(&f.Doors[at], s.DoorStatus())
	}
}

func addDoor(d *metrics.Door, s coap.DoorStatus) {
	d.Handshakes += s.Handshakes
	addTable(&d.Starts, s.Starts)
	addTable(&d.Holders, s.Holders)
}

func addTable(t *metrics.Table, s throttle.Stats) {
	t.Fill += s.Fill
	t.Size += s.Size
	t.Lost += s.Evictions + s.Overflows
}
