package downstream

import (
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// shedAge is when a GET that was refused under pressure may be tried again.
const shedAge = 5 * time.Second

// ServeCoAP answers a request of an attached session, now or when the core has decided. It does not block and never
// ends the session.
func (s *Server) ServeCoAP(ex *coap.Exchange) {
	m := ex.Request()
	p := s.peer(ex.Session())
	if p == nil { // it ended while its last request was under way, or nobody attached it
		ex.Respond(plain(dots.CodeUnavailable, "session is not served"))
		return
	}
	c := s.call()
	c.srv, c.ex, c.peer, c.method = s, ex, p, wire.Method(m.Code)
	if !c.repeated() && !c.novel(m) {
		return
	}
	if c.redirected() || c.shed() {
		return
	}
	c.dispatch()
}

// repeated reports whether the request is a repetition of one that is known, byte for byte, in a dialect that its sender speaks, and who asks may ask.
func (c *call) repeated() bool {
	if c.method != wire.PUT {
		return false
	}
	known := c.srv.repeats.find(c.ex.Raw())
	if known == nil || c.peer.profile(known.path) != known.profile {
		return false
	}
	entry, ok := c.srv.identify(c.peer)
	if ok {
		c.profile, c.entry, c.known, c.req = known.profile, entry, known, &known.meant
	}
	return ok
}

// novel reads the request; false: it is answered.
func (c *call) novel(m *coap.Message) bool {
	r, fault := fromCoAP(m)
	c.profile = c.peer.profile(r.Path)
	if c.profile == nil {
		answer := plain(dots.CodeNotFound, "no such resource")
		c.ex.Respond(answer)
		c.answered(answer, "")
		return false
	}
	if err := c.read(r, fault); err != nil {
		c.refuse(err)
		return false
	}
	return true
}

// read finds out who asks and for what; fault is what is wrong with the options.
func (c *call) read(r wire.CoAPRequest, fault error) (err error) {
	entry, known := c.srv.identify(c.peer)
	if !known {
		// RFC 9132, Section 4.4.1.3: 4.01 for a client that may not use the service, whatever it asks.
		return dots.Refuse(dots.CodeUnauthorized, "unknown client")
	}
	c.entry = entry
	if fault != nil {
		return fault
	}
	if !hopLimitValid(r.HopLimit) {
		return dots.Refuse(dots.CodeBadRequest, "Hop-Limit out of range")
	}
	if c.own, err = c.profile.DecodeRequest(r); err == nil && c.method == wire.PUT {
		c.known = c.srv.repeats.keep(c.ex.Raw(), r.Path, c.profile, &c.own)
	}
	return err
}

// shed refuses what is given up first under pressure: GETs, whose answer can wait while attacks are fought. One that was answered
// by another process is none: to refuse it would end an observation.
func (c *call) shed() bool {
	if c.req.Op != wire.GetMitigations && c.req.Op != wire.GetConfig || c.ex.Replayed() || !c.srv.cfg.Shed() {
		return false
	}
	// RFC 9132, Section 4.4.1.3: 5.03 with Max-Age, which says when to try again.
	c.refuse(&dots.Error{Code: dots.CodeUnavailable, Text: "busy", MaxAge: shedAge})
	return true
}

// dispatch answers a request that could be read.
func (c *call) dispatch() {
	switch c.req.Op {
	case wire.PutMitigation:
		c.putMitigation()
	case wire.GetMitigations:
		c.getMitigations()
	case wire.DeleteMitigation:
		c.deleteMitigation()
	case wire.PutConfig:
		c.putConfig()
	case wire.GetConfig:
		c.getConfig()
	case wire.DeleteConfig:
		c.deleteConfig()
	case wire.PutHeartbeat:
		c.putHeartbeat()
	default: // RFC 9066: a PUT of a redirection is of call home, which is another service
		c.refuse(dots.Refuse(dots.CodeNotFound, "no such resource"))
	}
}
