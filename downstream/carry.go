package downstream

import (
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/liveness"
	"github.com/dotsgate/dotsgate/wire"
)

// Carried is what the Server knows of a session and another process needs to go on with it, beside the session itself. Who it is
// of is asked anew there, and so is what its client observes.
type Carried struct {
	Profile string // of the newest request
	Since   time.Time
	SID     dots.Maybe[uint64] // of the negotiated configuration; absent: there is none
	Config  dots.SessionConfig // what was negotiated, where SID is present
	Seen    liveness.Memory
	// Away is for how much longer its client was told to be elsewhere; Spared for how long at least, with or without sessions, it is not lost.
	Away, Spared time.Duration
}

// Carry returns what is to be carried over of a session; false when it is not attached. Call it when Run has returned.
func (s *Server) Carry(sess *coap.Session) (Carried, bool) {
	p := s.peer(sess)
	if p == nil {
		return Carried{}, false
	}
	entry := p.client()
	away, spared := s.redirects.away(entry, s.cfg.Now()), s.presence.spared(entry)
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Carried{Profile: p.dialect.Name(), Since: p.since, SID: p.config.sid, Seen: p.monitor.Memory(), Away: away, Spared: spared}
	if c.SID.Set {
		c.Config = *p.config.current
	}
	return c, true
}

// Resume is Attach for a session that another process has begun. What was negotiated with its client stays in force, whatever is
// offered to others now; a profile that is not spoken any more at its listener is left.
func (s *Server) Resume(sess *coap.Session, from Listener, c Carried) error {
	if err := s.attach(sess, from, func(p *peer) { p.resume(c) }); err != nil {
		return err
	}
	if p := s.peer(sess); p != nil && p.client() != "" {
		s.pardon(p, c)
	}
	return nil
}

// pardon takes over how long a client is not lost whatever becomes of its session.
func (s *Server) pardon(p *peer, c Carried) {
	entry := p.client()
	if c.Spared > 0 {
		s.presence.passed(entry, c.Spared)
	}
	if c.Away > 0 {
		s.redirects.sent(entry, s.cfg.Now(), c.Away)
		s.presence.refit(entry, c.Away+p.longest())
	}
}

// resume makes a new peer what it was in another process.
func (p *peer) resume(c Carried) {
	p.resumed = true
	p.since, p.dialect = c.Since, named(p.profiles, c.Profile)
	if c.SID.Set {
		p.config.sid, p.config.current = c.SID, &c.Config
	}
	p.monitor = liveness.Resume(c.Seen, p.liveness(), p.srv.cfg.Random)
}

// named is the profile of this name; the first where there is none.
func named(profiles []wire.Profile, name string) wire.Profile {
	for _, p := range profiles {
		if p.Name() == name {
			return p
		}
	}
	return profiles[0]
}
