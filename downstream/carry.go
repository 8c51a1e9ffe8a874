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
}

// Carry returns what is to be carried over of a session; false when it is not attached. Call it when Run has returned.
func (s *Server) Carry(sess *coap.Session) (Carried, bool) {
	p := s.peer(sess)
	if p == nil {
		return Carried{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Carried{Profile: p.dialect.Name(), Since: p.since, SID: p.config.sid, Seen: p.monitor.Memory()}
	if c.SID.Set {
		c.Config = *p.config.current
	}
	return c, true
}

// Resume is Attach for a session that another process has begun. What was negotiated with its client stays in force, whatever is
// offered to others now; a profile that is not spoken any more at its listener is left.
func (s *Server) Resume(sess *coap.Session, from Listener, c Carried) error {
	return s.attach(sess, from, func(p *peer) { p.resume(c) })
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
