package downstream

import (
	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// getConfig tells the session's configuration, from here and never from an uplink (RFC 9132, Section 4.5.1).
func (c *call) getConfig() {
	var w *watcher
	if c.req.Observe == dots.Some[uint32](0) {
		w = c.watch(resource{config: c.peer}, func(w *watcher) {
			resp, err := c.config()
			c.notify(w, resp, false, err)
		})
	}
	resp, err := c.config()
	c.answerWatched(w, resp, false, err)
}

// config returns the answer to a GET of the configuration.
func (c *call) config() (wire.Response, error) {
	c.peer.mu.Lock()
	defer c.peer.mu.Unlock()
	cfg, err := c.peer.config.get(c.req.SID)
	if err != nil {
		return wire.Response{}, err
	}
	c.peer.refreshed()
	return wire.Response{Code: dots.CodeContent, Config: cfg, MaxAge: dots.Some(c.srv.cfg.SessionMaxAge)}, nil
}

// putConfig negotiates; what was accepted is in force at once.
func (c *call) putConfig() {
	code, err := c.peer.configure(c.req.SID, c.req.Config)
	if err != nil {
		c.refuse(err)
		return
	}
	c.respond(wire.Response{Code: code})
	c.srv.reconfigured(c.peer)
}

// deleteConfig goes back to the defaults. RFC 9132, Section 4.5.4: 2.02 in any case; the older dialect wants to know
// whether there was one.
func (c *call) deleteConfig() {
	changed := c.peer.unconfigure(c.req.SID)
	c.respond(wire.Response{Code: dots.CodeDeleted, Unknown: !changed})
	if changed {
		c.srv.reconfigured(c.peer)
	}
}

// reconfigured tells whoever observes a session's configuration that it is another one, and the core how long its client may be silent now.
func (s *Server) reconfigured(p *peer) {
	s.watchers.changed(resource{config: p})
	if entry := p.client(); entry != "" && !p.elsewhere.Set {
		s.presence.refit(entry, p.longest())
	}
}

// configure installs a configuration and puts it in force.
func (p *peer) configure(sid dots.Maybe[uint64], asked dots.SessionConfig) (dots.Code, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	code, err := p.config.put(sid, asked)
	if err == nil {
		p.refreshed()
		p.apply()
	}
	return code, err
}

// unconfigure goes back to the defaults and tells whether that changed anything.
func (p *peer) unconfigure(sid dots.Maybe[uint64]) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := p.config.remove(sid)
	if changed {
		p.apply()
	}
	return changed
}

// armed reports whether every mitigation of the session is to start on signal loss only.
func (p *peer) armed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.config.armed()
}
