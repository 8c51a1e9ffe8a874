package downstream

import (
	"sync/atomic"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

const (
	// overflowFor is for how long a client keeps to the server it was sent to because there was no room: short, since there may be again.
	overflowFor = 10 * time.Minute
	// overflowStays is how long a session lasts that is there to be sent on only.
	overflowStays = time.Minute
)

// Overflow bounds the sessions of a listener: whoever comes when there are as many is sent to another server at its first request, in place of being refused
// at the door (RFC 9132, Section 4.6). A client that has an active mitigation is served all the same (RFC 8612, SIG-005), and what goes on
// from another process. The door must let in more than it allows, and bound those: see OverflowRoom. Made by NewOverflow; safe for concurrent use.
type Overflow struct {
	most   int64
	to     dots.Redirect
	served atomic.Int64
}

// NewOverflow returns a bound of most sessions, beyond which clients are sent to another server: its name and addresses, without TTLs.
func NewOverflow(most int, to dots.Redirect) *Overflow { return &Overflow{most: int64(most), to: to} }

// OverflowRoom is how many sessions more than most a door is to let in.
func OverflowRoom(most int) int { return 16 + most/16 }

// take counts a session that is to be served, if it may be.
func (o *Overflow) take(force bool) bool {
	if n := o.served.Add(1); n <= o.most || force {
		return true
	}
	o.served.Add(-1)
	return false
}

// uncount takes a session that has ended, or never began, out of its listener's count.
func (p *peer) uncount() {
	if p.counted {
		p.from.Overflow.served.Add(-1)
	}
}

// passes is for a session that is there to be sent on: we send its client away, and not before it is due back its silence says anything. Whoever comes to
// an anycast address is sent to this very node.
func (s *Server) passes(p *peer, entry string) {
	if entry == "" || p.from.Anycast {
		return
	}
	away := max(overflowFor+overflowStays, s.redirects.away(entry, s.cfg.Now()))
	s.presence.passed(entry, away+p.longest())
}

// settle decides whether a new session is served here or sent on, before its first request.
func (s *Server) settle(p *peer) {
	if p.from.Anycast {
		p.elsewhere = dots.Some(Redirection{To: s.unicast, TTL: redirectFor})
		return
	}
	o := p.from.Overflow
	if o == nil {
		return
	}
	entry, _ := s.cfg.Core.Identify(p.credential)
	if p.counted = o.take(p.resumed || s.activity.active(entry)); p.counted {
		return
	}
	p.elsewhere = dots.Some(Redirection{To: o.to, TTL: overflowFor})
	s.cfg.Logger.Info("session is sent on, there are too many", "session", p.sess.ID(), "client", entry, "to", o.to.Server)
}
