package lab

import (
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// ServeCoAP answers a request of a client. It does not block.
func (s *Server) ServeCoAP(ex *coap.Exchange) {
	now := time.Now()
	c := &call{s: s, ex: ex, now: now, entry: newEntry(now, ex)}
	s.mu.Lock()
	c.peer = s.peers[ex.Session()]
	s.mu.Unlock()
	if c.peer == nil {
		ex.Silence() // the session is over
		return
	}
	c.entry.Identity = c.peer.name
	c.profile = s.profile(ex.Request().Options.Path())
	if c.profile == nil {
		c.refuse(dots.Refuse(dots.CodeNotFound, "no such resource"))
		return
	}
	c.entry.Profile = c.profile.Name()
	req, err := c.profile.DecodeRequest(carry.Request(ex.Request()))
	if err != nil {
		c.refuse(err)
		return
	}
	c.req = req
	c.entry.decoded(req)
	c.serve()
}

func (s *Server) profile(path []string) wire.Profile {
	for _, p := range s.profiles {
		if p.Owns(path) {
			return p
		}
	}
	return nil
}

// call is one request and what is needed to answer it.
type call struct {
	s       *Server
	ex      *coap.Exchange
	now     time.Time
	peer    *peer
	profile wire.Profile
	req     wire.Request
	entry   Entry
}

func (c *call) owner() owner { return owner{identity: c.peer.identity, cuid: c.req.CUID} }

// serve answers a request that could be read.
func (c *call) serve() {
	c.s.mu.Lock()
	c.peer.dialect = c.profile
	if c.req.Op != wire.PutHeartbeat {
		c.s.asked++
		if c.s.asked <= c.s.cfg.Scenario.Drop || c.s.cfg.Scenario.silent(c.now.Sub(c.s.started)) {
			c.s.mu.Unlock()
			c.silence()
			return
		}
	} else if c.s.cfg.Scenario.silent(c.now.Sub(c.s.started)) {
		c.s.mu.Unlock()
		c.silence()
		return
	}
	resp := c.execute()
	version := c.s.version
	c.s.mu.Unlock()
	c.s.rouse()
	if c.req.Op == wire.GetMitigations && c.req.Observe == dots.Some[uint32](0) && resp.Code.Success() {
		c.watch(resp, version)
		return
	}
	c.respond(resp)
}

// execute does what is asked. The lock is held.
func (c *call) execute() wire.Response {
	b := c.s.book
	switch c.req.Op {
	case wire.PutMitigation:
		ask := c.req.Mitigation
		ask.OnSignalLoss = ask.OnSignalLoss || c.peer.config.armed()
		resp := b.put(c.now, request{by: c.owner(), ask: ask, efficacy: c.req.Efficacy, update: c.req.CUID == ""})
		c.s.changed(c.owner())
		return resp
	case wire.DeleteMitigation:
		b.withdraw(c.now, c.owner(), c.req.MID.Value)
		c.s.changed(c.owner())
		return wire.Response{Code: dots.CodeDeleted}
	case wire.GetMitigations:
		return answerList(b.reports(c.now, c.owner(), c.req.MID))
	case wire.PutConfig:
		return c.peer.config.put(c.req.SID.Value, c.req.Config)
	case wire.GetConfig:
		return c.peer.config.get(c.req.SID)
	case wire.DeleteConfig:
		return c.peer.config.remove(c.req.SID)
	case wire.PutHeartbeat:
		return wire.Response{Code: dots.CodeChanged}
	}
	return refuse(dots.CodeNotFound, "no such resource")
}

// answerList answers a GET. RFC 9132, Section 4.4.2: 4.04 where there is none.
func answerList(list []dots.Report) wire.Response {
	if len(list) == 0 {
		return refuse(dots.CodeNotFound, "no mitigation")
	}
	return wire.Response{Code: dots.CodeContent, Reports: list}
}

// silence ends a call without an answer.
func (c *call) silence() {
	c.ex.Silence()
	c.s.cfg.Record(c.entry)
}

// respond answers a call.
func (c *call) respond(resp wire.Response) {
	if resp.Code == dots.CodeSilent {
		c.silence()
		return
	}
	c.record(resp)
	c.ex.Respond(encode(c.profile, c.req, resp))
}

func (c *call) refuse(err error) {
	e := dots.AsError(err)
	resp := refuse(e.Code, e.Text)
	c.record(resp)
	c.ex.Respond(&coap.Message{Code: coap.Code(e.Code), Payload: wire.Diagnostic(e.Code, e.Text)})
}

func (c *call) record(resp wire.Response) {
	c.entry.answered(resp)
	c.s.cfg.Record(c.entry)
}

// watch answers a GET with Observe and registers the observer.
func (c *call) watch(resp wire.Response, version uint64) {
	c.record(resp)
	w := &watcher{by: c.owner(), req: c.req, profile: c.profile, s: c.s}
	obs := c.ex.Observe(encode(c.profile, c.req, resp), func() { c.s.unwatch(w) })
	if obs == nil {
		return
	}
	c.s.mu.Lock()
	w.obs = obs
	if !w.over {
		c.s.watchers[w] = true
	}
	if c.s.version != version { // a change in between was not told
		c.s.changed(w.by)
		c.s.rouse()
	}
	c.s.mu.Unlock()
}

// encode makes a message of an answer; one that cannot be said is 5.00.
func encode(p wire.Profile, req wire.Request, resp wire.Response) *coap.Message {
	r, err := p.EncodeResponse(req, resp)
	if err != nil {
		return &coap.Message{Code: coap.InternalServerError, Payload: []byte("cannot be said in this dialect")}
	}
	return carry.ResponseMessage(r)
}
