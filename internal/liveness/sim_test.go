package liveness

import (
	"testing"
	"time"
)

func start() time.Time { return time.Unix(1_000_000, 0) }

// at returns the time so many seconds after the start.
func at(seconds float64) time.Time {
	return start().Add(time.Duration(seconds * float64(time.Second)))
}

// network is what becomes of the traffic from a given second on.
type network struct {
	from     float64
	answered bool // our heartbeats are answered
	heard    bool // something else of the peer comes in, right before each of our heartbeats
	peer     bool // heartbeats of the peer come in
}

// sim drives a monitor in virtual time: it goes from Next to Next, as the owner of a session does.
type sim struct {
	t       *testing.T
	m       *Monitor
	phases  []network
	sent    []float64 // the seconds at which heartbeats went out
	changes []change
	last    Action
}

// change is a new verdict and the second it came at.
type change struct {
	At        float64
	State     State
	Exhausted bool
}

func newSim(t *testing.T, cfg Config, phases ...network) *sim {
	return &sim{t: t, m: New(start(), cfg, nil), phases: phases}
}

func (s *sim) network(now float64) network {
	var n network
	for _, phase := range s.phases {
		if phase.from <= now {
			n = phase
		}
	}
	return n
}

// runUntil calls Due at each Next up to the given second.
func (s *sim) runUntil(end float64) {
	s.t.Helper()
	for range 10_000 {
		next := s.m.Next()
		if next.IsZero() || next.After(at(end)) {
			return
		}
		s.step(next)
	}
	s.t.Fatal("Next does not get on")
}

func (s *sim) step(now time.Time) {
	seconds := now.Sub(start()).Seconds()
	n := s.network(seconds)
	if n.heard {
		s.m.Heard(now)
	}
	if n.peer {
		s.m.PeerHeartbeat(now, true)
	}
	action := s.m.Due(now)
	if action.State != s.last.State || action.Exhausted != s.last.Exhausted {
		s.changes = append(s.changes, change{seconds, action.State, action.Exhausted})
	}
	s.last = action
	if !action.SendHeartbeat {
		return
	}
	s.sent = append(s.sent, seconds)
	s.m.HeartbeatSent(now)
	if n.answered {
		s.m.HeartbeatAnswered(now)
	}
}
