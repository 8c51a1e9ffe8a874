package gateway

import (
	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// consult lets a request wait for the AAA server's word on what policy would grant.
func (c *Core) consult(a *asking, g policy.Grant) {
	if c.tooManyAsk(a.ask.Client.Name) {
		c.deny(a, c.busy("too many requests wait for the AAA server"))
		return
	}
	c.consults++
	a.consult = c.consults
	c.out.Questions = append(c.out.Questions, Consult{Key: a.key(), Seq: a.consult, Domain: g.Domain, Request: g.Request})
	c.keepAsking(a)
}

// consulted takes the AAA server's answer in. One to a question that nobody waits for any more is ignored: it came too late, or the
// request was withdrawn, or is asked anew.
func (c *Core) consulted(ev Consulted) {
	if a := c.asks[ev.Key]; a != nil && a.consult == ev.Seq {
		c.ruled(a, ev.Ruling)
	}
}

// ruled hands a request to policy again, with what the AAA server said.
func (c *Core) ruled(a *asking, r policy.Ruling) {
	switch {
	case r.Failed:
		c.counts.AAAFailed++
	case r.Allow:
		c.counts.AAAAllowed++
	default:
		c.counts.AAADenied++
	}
	a.ruling = dots.Some(r)
	c.unpark(a)
}
