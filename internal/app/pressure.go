package app

import (
	"context"

	"github.com/dotsgate/dotsgate/internal/metrics"
	"github.com/dotsgate/dotsgate/internal/pressure"
)

// makePressure makes what says how loaded the process is. Its queue is the core's mailbox: everything that waits for a decision stands there.
func (a *App) makePressure(context.Context) error {
	a.pressure = pressure.New(pressure.Config{
		Queues: []func() float64{func() float64 { return a.gateway.Fill() }}, Changed: a.pressureChanged,
	})
	return nil
}

// pressureChanged tells the operator what is shed from now on, and why.
func (a *App) pressureChanged(from, to pressure.Level, why pressure.Reading) {
	log := a.log.With("sheds", to.String(), "before", from.String(),
		"queue", why.Queue, "cpu", why.CPU, "wait", why.Wait.String(), "heap", why.Heap)
	if to > from {
		log.Warn("the gateway is loaded and sheds more")
	} else {
		log.Info("the gateway is less loaded and sheds less")
	}
}

// pressureOf turns what the gauge has seen into what is shown.
func pressureOf(s pressure.Stats) metrics.Pressure {
	return metrics.Pressure{
		Level: int(s.Level), Strangers: s.Shed[pressure.ShedStrangers], Handshakes: s.Shed[pressure.ShedHandshakes],
		Reads: s.Shed[pressure.ShedReads], Orders: s.Shed[pressure.ShedRequests],
	}
}
