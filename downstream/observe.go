package downstream

import "github.com/dotsgate/dotsgate/wire"

// watch registers the caller as an observer of a resource whose state ask asks for. It returns nil when the client
// entry has as many observers as it may.
func (c *call) watch(of resource, ask func(*watcher)) *watcher {
	w := &watcher{of: of, filter: c.req.Filter, peer: c.peer, entry: c.entry}
	w.ask = func() {
		// What is told goes to whom the credential belongs to now; a session that is another's has been evicted.
		if entry, _ := c.srv.identify(c.peer); entry != w.entry {
			return
		}
		if r, ok := c.srv.sendsOn(c.peer, w.entry); ok {
			// RFC 9132, Section 4.6: a redirect may come in a notification, too; it ends the observation (RFC 7641, Section 4.2).
			c.srv.watchers.notify(w, c.encode(r.refusal()), false)
			return
		}
		ask(w)
	}
	if !c.srv.watchers.add(w) {
		return nil
	}
	return w
}

// answerWatched gives the first answer of an observation, or the only one where w is nil.
func (c *call) answerWatched(w *watcher, resp wire.Response, active bool, err error) {
	table := c.srv.watchers
	switch {
	case err != nil:
		// RFC 7641, Section 4.1: an error registers nobody.
		if w != nil {
			table.remove(w)
		}
		c.refuse(err)
	case w == nil:
		c.respond(resp)
	default:
		m := c.encode(resp)
		obs := c.ex.Observe(m, func() { table.remove(w) })
		if obs == nil {
			table.remove(w)
		} else {
			table.started(w, obs, active)
		}
		c.answered(m, resp.Diagnostic)
	}
}

// notify gives a further answer of an observation. A refusal of class 4 is told and ends it (RFC 7641, Section 4.2):
// the resource is gone. What fails on our side is not the observer's concern: it is asked for again.
func (c *call) notify(w *watcher, resp wire.Response, active bool, err error) {
	if err != nil {
		resp = c.srv.refusal(err)
		if resp.Code.Class() != 4 {
			c.srv.watchers.failed(w)
			return
		}
	}
	c.srv.watchers.notify(w, c.encode(resp), active)
}
