package liveness

import "time"

// Next returns when Due is to be called: a heartbeat is to be sent then, or the state may change. The zero time means
// never, until one of the other methods is called; each of them may bring Next forward.
func (m *Monitor) Next() time.Time {
	if m.cfg.Interval == 0 || m.state == Lost {
		return time.Time{}
	}
	next := m.nextSend
	for _, t := range []time.Time{m.silentSince.Add(m.span()), m.waitingSince.Add(m.cfg.Interval), m.lastSent.Add(m.cfg.Interval)} {
		if t.After(m.lastDue) {
			next = earlier(next, t)
		}
	}
	return next
}

// Due returns what is to be done at now. It may be called at any time, also before Next; a caller that comes more than an
// interval after Next is taken to have stood still, and the time since the last Due does not count as silence.
func (m *Monitor) Due(now time.Time) Action {
	m.forgive(now)
	m.lastDue = now
	state, exhausted := m.verdict(now)
	m.state = state
	action := Action{State: state, Exhausted: exhausted, PeerHBStatus: m.peerHBStatus(now), Missed: m.missed(now)}
	// RFC 9132, Section 4.7: an interval of 0 stops the heartbeats.
	if m.cfg.Interval != 0 && state != Lost && !now.Before(m.nextSend) {
		action.SendHeartbeat = true
		m.nextSend = now.Add(m.wait()) // should the caller be unable to send, it is asked again then
	}
	return action
}

// forgive takes out of the count a time in which nobody looked: when the process, or the whole machine, stood still for
// longer than an interval, that nothing was heard meanwhile says nothing about the peer.
func (m *Monitor) forgive(now time.Time) {
	next := m.Next()
	if next.IsZero() || now.Sub(next) <= m.cfg.Interval {
		return
	}
	unseen := now.Sub(m.lastDue)
	for _, t := range []*time.Time{&m.silentSince, &m.waitingSince, &m.peerSince, &m.lastSent} {
		if !t.IsZero() {
			*t = earlier(now, t.Add(unseen))
		}
	}
}

// peerHBStatus says whether heartbeats of the peer are coming in.
func (m *Monitor) peerHBStatus(now time.Time) bool {
	// RFC 9132, Section 4.7: within the last 2 * heartbeat-interval. The session's beginning counts as a heartbeat,
	// since nothing can be missing yet.
	return m.cfg.Interval == 0 || now.Sub(m.peerSince) <= 2*m.cfg.Interval
}

// span is how long nothing at all must be heard before a session may be lost.
func (m *Monitor) span() time.Duration {
	if m.cfg.Reliable {
		return m.cfg.Interval
	}
	return m.cfg.Interval * time.Duration(m.cfg.MissingAllowed)
}

// missed counts the heartbeats whose answer is late: all that are unanswered, but for the last one as long as its
// interval is not over.
func (m *Monitor) missed(now time.Time) int {
	if m.cfg.Interval == 0 {
		return 0
	}
	if m.unanswered > 0 && now.Sub(m.lastSent) < m.cfg.Interval {
		return m.unanswered - 1
	}
	return m.unanswered
}

// verdict returns the state at now, and whether missing-hb-allowed is used up.
func (m *Monitor) verdict(now time.Time) (State, bool) {
	if m.cfg.Interval == 0 {
		return Alive, false
	}
	missed := m.missed(now)
	silent := now.Sub(m.silentSince) >= m.span()
	used := missed >= m.cfg.MissingAllowed
	if m.cfg.Reliable {
		// RFC 9132, Section 4.7: over TCP, each reply is waited for up to heartbeat-interval.
		used = m.unanswered > 0 && now.Sub(m.waitingSince) >= m.cfg.Interval
	}
	state := Alive
	switch {
	case m.lost(silent, used):
		state = Lost
	case missed > 0 || used:
		state = Suspect
	}
	return state, used || state == Lost
}

func (m *Monitor) lost(silent, used bool) bool {
	switch {
	case !silent:
		// RFC 9132, Section 4.7: a server that hears its client does not call it disconnected, whatever is not
		// answered. We hold a client to the same: loss of answers alone ends no session.
		return false
	case m.cfg.Role == Client && m.cfg.Mitigating:
		// RFC 9132, Section 4.7: under attack a client does not call the session terminated after the threshold.
		return false
	case m.cfg.Role == Server && !m.cfg.Reliable:
		// RFC 9132, Section 4.7: a server goes by what it hears, over the time that uses missing-hb-allowed up.
		return true
	}
	return used
}
