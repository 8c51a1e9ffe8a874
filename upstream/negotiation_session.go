package upstream

import (
	"context"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// longestWait is how long an answer about the session configuration is waited for: a CON with the default parameters is given up sooner,
// but one whose answer was promised by an empty acknowledgement never would be.
const longestWait = 90 * time.Second

// talk is how a session comes to its parameters: what is negotiated, and what of it was put in force. It is guarded by link.mu.
type talk struct {
	negotiation
	wishes     uint64            // which of the link's wishes is being made true
	watch      *coap.Observation // of our configuration at the server
	news       *coap.Message     // the newest notification of it, not taken yet
	newsOf     uint64            // the sid that it is of
	mitigating bool              // the mitigating set is in force
	applied    uint64            // which values are in force: one more than their holds; 0: none were put in force yet
}

// nextSID is the number of the next configuration (RFC 9132, Section 4.5.2: sids increase). The first of a process is the time, so that
// they also increase over our restarts, as far as the clock does; 31 bits fit every dialect.
func (l *link) nextSID() uint64 {
	if l.sid++; l.sid == 1 || l.sid >= 1<<31 {
		l.sid = max(uint64(l.cfg.Now().Unix())&(1<<31-1), 1)
	}
	return l.sid
}

// setSession changes what is wanted of the parameters of sessions, the present one's too.
func (l *link) setSession(wish dots.SessionConfig) {
	l.mu.Lock()
	if l.wish != wish {
		l.wish, l.refused = wish, false
		l.wishes++
	}
	l.mu.Unlock()
	l.rouse()
}

// confer begins the next request of the session configuration, if one is due. Requests for mitigations go first: none is made while a
// mitigation is active or anything of one waits for an answer, and none holds up what comes then. link.mu is held.
func (s *session) confer(ctx context.Context, now time.Time) {
	l := s.link
	if l.wishes != s.talk.wishes {
		s.talk.wishes = l.wishes
		s.talk.want(s.sayable(l.wish))
	}
	if m := s.talk.news; m != nil {
		s.talk.news = nil
		s.noted(now, m)
	}
	q, due := s.talk.next(now, l.plan.quiet(), l.nextSID)
	if due {
		s.tasks.Go(func() { s.question(ctx, q) })
	}
}

// sayable is what of a wish can be said in the uplink's dialect and means something over the session's transport.
func (s *session) sayable(wish dots.SessionConfig) dots.SessionConfig {
	wish = usedOver(s.conn.Reliable(), wish)
	if wish == (dots.SessionConfig{}) {
		return wish
	}
	out, err := s.link.profile.EncodeRequest(question{op: wire.PutConfig, sid: 1, config: wish}.request())
	if err == nil {
		var said wire.Request
		if said, err = s.link.profile.DecodeRequest(out); err == nil {
			return said.Config
		}
	}
	s.link.log.Warn("session parameters cannot be said to the uplink, the defaults hold", "err", err)
	return dots.SessionConfig{}
}

// question asks one question and takes the answer.
func (s *session) question(ctx context.Context, q question) {
	l := s.link
	waiting, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	m, err := s.put(waiting, q)
	var resp wire.Response
	if err == nil {
		l.cfg.Meter.Request(l.name, q.method(), dots.Code(m.Code))
		resp, err = s.decode(q.request(), m)
	} else if ctx.Err() == nil {
		l.cfg.Meter.Request(l.name, q.method(), dots.CodeSilent)
	}
	l.mu.Lock()
	now := l.cfg.Now()
	var e effect
	if err != nil {
		e = s.talk.unanswered(now, q)
	} else {
		e = s.talk.answered(now, q, resp)
	}
	if ctx.Err() == nil {
		s.say(e, resp.Code)
	}
	l.mu.Unlock()
	l.rouse()
}

// method is the CoAP method of a question.
func (q question) method() wire.Method {
	switch q.op {
	case wire.PutConfig:
		return wire.PUT
	case wire.DeleteConfig:
		return wire.DELETE
	}
	return wire.GET
}

// put sends a question and waits for its answer. RFC 9132, Section 4.5: what is said of the session in idle time is confirmable.
func (s *session) put(ctx context.Context, q question) (*coap.Message, error) {
	out, err := s.link.profile.EncodeRequest(q.request())
	if err != nil {
		return nil, err
	}
	m := carry.RequestMessage(out, carry.CON)
	if !q.observe {
		return s.conn.Do(ctx, m)
	}
	l := s.link
	l.mu.Lock()
	old := s.talk.watch
	s.talk.watch = nil
	l.mu.Unlock()
	s.cancel(ctx, old)
	first, o, err := s.observe(ctx, m, func(m *coap.Message) { s.configNotice(q.sid, m) })
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	s.talk.watch = o
	l.mu.Unlock()
	return first, nil
}

// configNotice keeps a notification of our configuration until the loop takes it; a newer one replaces it. It does not block.
func (s *session) configNotice(sid uint64, m *coap.Message) {
	s.link.mu.Lock()
	s.talk.news, s.talk.newsOf = m, sid
	s.link.mu.Unlock()
	s.link.rouse()
}

// noted takes a notification of our configuration. link.mu is held.
func (s *session) noted(now time.Time, m *coap.Message) {
	resp, err := s.decode(question{op: wire.GetConfig, sid: s.talk.newsOf, observe: true}.request(), m)
	if err != nil {
		s.link.log.Warn("notification of uplink cannot be read", "err", err)
		return
	}
	s.say(s.talk.noticed(now, s.talk.newsOf, resp), resp.Code)
}

// say tells the operator what became of the session's parameters; that they are refused once, until that changes. link.mu is held.
func (s *session) say(e effect, code dots.Code) {
	l := s.link
	interval, missing := l.cfg.heartbeats(s.talk.given.Idle)
	log := l.log.With("session", s.conn.ID(), "heartbeat_interval", interval, "missing_hb_allowed", missing)
	switch e {
	case effectInstalled:
		l.refused = false
		log.Info("session parameters negotiated", "sid", s.talk.sid)
	case effectChanged:
		log.Info("uplink changed the session parameters", "sid", s.talk.sid)
	case effectWithdrawn:
		log.Info("session parameters are back at the defaults")
	case effectForgotten:
		log.Warn("uplink has forgotten the session parameters, the defaults hold until they are negotiated anew")
	case effectRefused, effectUnanswered:
		if !l.refused {
			l.refused = true
			log.Warn("uplink does not negotiate the session parameters, what was in force holds", "code", code)
		}
	}
}

// apply puts the set in force that the activity asks for (RFC 9132, Section 4.5: agents switch between the sets by themselves as
// mitigation begins and ends). link.mu is held.
func (s *session) apply(now time.Time) {
	t, mitigating := &s.talk, s.link.plan.active > 0
	if t.applied == t.holds+1 && t.mitigating == mitigating {
		return // this is looked at each time that the loop looks
	}
	t.applied, t.mitigating = t.holds+1, mitigating
	set := t.given.Idle
	if mitigating {
		set = t.given.Mitigating
	}
	s.conn.SetParameters(carry.Transmission(s.conn.Parameters(), set))
	interval, missing := s.link.cfg.heartbeats(set)
	s.pulse.put(now, interval, missing, mitigating)
}
