package liveness

import "time"

// Memory is what a Monitor has seen, for one that goes on with its session elsewhere.
type Memory struct {
	NextSend, LastSent, LastDue          time.Time
	WaitingSince, SilentSince, PeerSince time.Time
	State                                State
	Unanswered                           int
}

// Memory returns what the monitor has seen.
func (m *Monitor) Memory() Memory {
	return Memory{
		NextSend: m.nextSend, LastSent: m.lastSent, LastDue: m.lastDue,
		WaitingSince: m.waitingSince, SilentSince: m.silentSince, PeerSince: m.peerSince, State: m.state, Unanswered: m.unanswered,
	}
}

// Resume returns a monitor that goes on with what another one has seen under the same parameters. The random function is as for
// New.
func Resume(seen Memory, cfg Config, random func() float64) *Monitor {
	return &Monitor{
		cfg: cfg.withDefaults(), random: random,
		nextSend: seen.NextSend, lastSent: seen.LastSent, lastDue: seen.LastDue,
		waitingSince: seen.WaitingSince, silentSince: seen.SilentSince, peerSince: seen.PeerSince, state: seen.State, unanswered: seen.Unanswered,
	}
}
