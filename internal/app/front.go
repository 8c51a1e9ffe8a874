package app

import (
	"net"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/front"
	"github.com/dotsgate/dotsgate/internal/metrics"
)

// frontConfig says how the front of a listener works.
func (a *App) frontConfig(l config.Listener) coap.FrontConfig {
	f := coap.FrontConfig{
		Secret: a.cookieSecret, Counters: &a.front,
		Alarm: func(err error) {
			a.log.Error("the DTLS library is not as expected", "listener", l.Address, "error", err.Error())
		},
	}
	f.RecordPath = recordPath(l.RecordPath)
	return f
}

// fronted is a listener that may have a front: *coap.Server.
type fronted interface {
	FrontStatus() (coap.FrontStatus, bool)
	Addr() net.Addr
}

// tellSteering says where a flood of hellos would be in the way of established traffic: at the start it harms nobody.
func (a *App) tellSteering(l fronted) {
	if st, ok := l.FrontStatus(); ok && st.Unsteered != nil {
		a.log.Warn("new hellos share a queue with established traffic", "address", l.Addr().String(), "error", st.Unsteered.Error())
	}
}

// recordPath is who protects the records of DTLS sessions.
func recordPath(name string) front.RecordPath {
	if name == config.RecordPathPion {
		return front.Pion
	}
	return front.Own
}

// sourceLimits are what one source may ask of a listener.
func sourceLimits(l config.Listener) coap.SourceLimits {
	return coap.SourceLimits{Rate: float64(l.Source.Rate), Burst: l.Source.Burst, Handshakes: l.Source.Handshakes}
}

// frontOf turns what the fronts have seen into what is shown.
func (a *App) frontOf() metrics.Front {
	c := &a.front
	f := metrics.Front{
		Hellos: c.Hellos.Load(), Challenged: c.Verified.Load(), Proven: c.Proven.Load(), Strangers: c.Strangers.Load(),
		Refused: c.Refused.Load(), Shed: c.Shed.Load(), Replaced: c.Replaced.Load(), Overfed: c.Overfed.Load(),
		HandOver: c.HandOver.Load(), Moves: c.Moves.Load(), Withheld: c.Unconfirmed.Load(), TakenOver: c.TakenOver.Load(), Resumed: c.Resumed.Load(),
		Malformed: c.Malformed.Load() + c.Dropped.Malformed.Load(), Plain: c.Dropped.Plain.Load(),
		Replayed: c.Dropped.Replayed.Load(), Forged: c.Dropped.Forged.Load(),
	}
	a.doorsOf(&f)
	for _, s := range a.servers {
		status, ok := s.FrontStatus()
		f.Gated = f.Gated || ok && status.Gated
		for _, q := range status.Sockets {
			f.Received += q.Received
			f.Sent += q.Sent
			f.LostIn += q.Lost + q.Cut
			f.LostOut += q.Dropped + q.Failed
		}
	}
	return f
}
