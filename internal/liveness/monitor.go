package liveness

import "time"

// Monitor watches one session. It is not safe for concurrent use: the session's owner alone calls it. All times it is
// given come from one clock that does not go back. Make one with New.
type Monitor struct {
	cfg    Config
	random func() float64

	nextSend     time.Time // when the next heartbeat is to go out
	lastSent     time.Time // zero: none yet
	lastDue      time.Time
	state        State     // as the last Due has told it
	unanswered   int       // heartbeats sent since the last answer
	waitingSince time.Time // when the first of the unanswered was sent
	silentSince  time.Time // since when nothing at all was heard
	peerSince    time.Time // when a heartbeat of the peer last came
}

// New returns the monitor of a session established at now. The random function returns numbers in [0, 1) that spread the
// heartbeats of many sessions; nil means that they are not spread.
//
// A server sends its first heartbeat at once, since it is the server that starts the exchange after authentication; a
// client sends its first after one interval.
func New(now time.Time, cfg Config, random func() float64) *Monitor {
	m := &Monitor{
		cfg: cfg.withDefaults(), random: random,
		nextSend: now, lastDue: now, silentSince: now, peerSince: now,
	}
	if cfg.Role == Client {
		m.nextSend = now.Add(m.wait())
	}
	return m
}

func (c Config) withDefaults() Config {
	if c.MissingAllowed <= 0 {
		c.MissingAllowed = DefaultMissingAllowed
	}
	c.Interval = max(c.Interval, 0)
	return c
}

// Heard tells that something authentic came from the peer, whatever it was: a request, a response, a reset.
func (m *Monitor) Heard(now time.Time) {
	if m.state == Lost {
		// The peer is back: find out at once whether it hears us.
		m.state, m.nextSend, m.lastDue, m.unanswered = Alive, now, now, 0
	}
	m.silentSince = now
}

// HeartbeatSent tells that a heartbeat of ours went out.
func (m *Monitor) HeartbeatSent(now time.Time) {
	if m.unanswered == 0 {
		m.waitingSince = now
	}
	m.unanswered++
	m.lastSent = now
	m.nextSend = now.Add(m.wait())
}

// HeartbeatAnswered tells that a heartbeat of ours was answered with 2.04.
func (m *Monitor) HeartbeatAnswered(now time.Time) {
	m.Heard(now)
	m.unanswered = 0
}

// PeerHeartbeat tells that a heartbeat of the peer came, with the peer-hb-status that it carried.
func (m *Monitor) PeerHeartbeat(now time.Time, peerHBStatus bool) {
	m.Heard(now)
	m.peerSince = now
	if peerHBStatus || m.cfg.Interval == 0 {
		return
	}
	// RFC 9132, Section 4.7: a peer that says it does not receive our heartbeats makes us change the strategy: send
	// right after one of its own came, when the translators on the way are open.
	soonest := now
	if !m.lastSent.IsZero() {
		soonest = later(now, m.lastSent.Add(min(m.cfg.Interval, minSpacing)))
	}
	m.nextSend = earlier(m.nextSend, soonest)
}

// SetConfig puts other parameters in force. Under new numbers a silence counts from now on, since one that was none under a long interval
// would be one under a short one; but heartbeats that were missed stay missed, each as one interval of silence, so that a peer that is
// gone is not taken for a living one each time the parameters change. A change of Mitigating alone keeps what was counted.
func (m *Monitor) SetConfig(now time.Time, cfg Config) {
	old, missed, anew := m.cfg, m.missed(now), m.state == Lost
	if anew {
		m.state, m.nextSend, m.lastDue = Suspect, now, now // judge anew, at once
	}
	m.cfg = cfg.withDefaults()
	if m.cfg.Interval == old.Interval && m.cfg.MissingAllowed == old.MissingAllowed && m.cfg.Reliable == old.Reliable {
		return
	}
	if old.Interval == 0 || now.Sub(m.peerSince) <= 2*old.Interval {
		m.peerSince = now
	}
	if anew || old.Interval == 0 {
		missed, m.unanswered = 0, 0
	}
	counted := now.Add(-time.Duration(missed) * m.cfg.Interval)
	m.silentSince, m.waitingSince, m.lastDue = later(m.silentSince, counted), later(m.waitingSince, counted), now
	switch {
	case !m.lastSent.IsZero():
		m.nextSend = later(now, m.lastSent.Add(m.wait()))
	case old.Interval == 0:
		m.nextSend = now.Add(m.wait())
	default: // the first is not put off for ever
		m.nextSend = earlier(m.nextSend, now.Add(m.wait()))
	}
}

// wait returns the time until the next heartbeat: the interval, or up to a twentieth less. It is never more, since the
// interval was chosen to keep translators open.
func (m *Monitor) wait() time.Duration {
	interval := m.cfg.Interval
	if m.random == nil {
		return interval
	}
	spread := interval - time.Duration(m.random()*float64(interval/20))
	if interval >= minSpacing {
		spread = max(spread, minSpacing)
	}
	return spread
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
