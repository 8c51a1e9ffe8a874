package downstream

import (
	"math"
	"time"
)

// refreshGrace is how much later than Max-Age a refresh may still come: for so long a client may go on sending it
// (RFC 7252, Section 4.8.2: MAX_TRANSMIT_WAIT).
const refreshGrace = 93 * time.Second

// infiniteAge is a Max-Age that is never over (RFC 9132, Section 4.5.3).
const infiniteAge = math.MaxUint32

// refreshed notes that the client was told its configuration. The lock is held.
func (p *peer) refreshed() {
	p.fresh = p.srv.cfg.Now()
	if p.srv.cfg.EndUnrefreshed {
		p.schedule()
	}
}

// staleAt is when the session is ended because its client does not refresh what it has negotiated, or because it was there to be sent on only; zero: never.
// The lock is held.
//
// RFC 9132, Section 4.5.3: a client refreshes before Max-Age is over; a server may end the session of one that does not, but not while an attack is going
// on, in which clients do not refresh. After it they have all the time again.
func (p *peer) staleAt() time.Time {
	cfg := p.srv.cfg
	if p.elsewhere.Set && !p.from.Anycast {
		return p.since.Add(overflowStays)
	}
	if !cfg.EndUnrefreshed || p.mitigating || !p.config.sid.Set || cfg.SessionMaxAge == infiniteAge {
		return time.Time{}
	}
	return p.fresh.Add(time.Duration(cfg.SessionMaxAge)*time.Second + refreshGrace)
}

// stale ends such a session. That loses nobody at once.
func (s *Server) stale(p *peer) {
	if !p.elsewhere.Set {
		s.cfg.Logger.Info("client does not refresh its session configuration, closing its session", "session", p.sess.ID(), "client", p.client())
	}
	if err := p.sess.Close(); err != nil {
		s.cfg.Logger.Debug("closing a session failed", "session", p.sess.ID(), "error", err)
	}
	s.detach(p, Closed)
}

// span is how long the client may be silent before it is lost, by what is in force.
func (p *peer) span() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.config.spanOf(p.set())
}

// longest is how long it may be whichever set is in force.
func (p *peer) longest() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.config.spanOf(p.config.current.Idle), p.config.spanOf(p.config.current.Mitigating))
}
