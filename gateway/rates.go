package gateway

import (
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// pace is what a client entry has left of its rates. It is not kept over a restart. There are as many as configured clients that came.
type pace struct{ requests, cuids bucket }

// bucket is a token bucket, full at first: of n events that may come in a period, as many may come at once. It holds nothing but the time at
// which it is full again.
type bucket struct{ full time.Time }

// wait is how long it takes until there is a token; 0: there is one. n is above 0.
func (b bucket) wait(now time.Time, n int, period time.Duration) time.Duration {
	if !b.full.After(now) {
		return 0
	}
	each := period / time.Duration(n)
	return max(b.full.Sub(now)-each*time.Duration(n-1), 0)
}

// take takes a token.
func (b *bucket) take(now time.Time, n int, period time.Duration) {
	if b.full.Before(now) {
		b.full = now
	}
	b.full = b.full.Add(period / time.Duration(n))
}

// tooFast refuses a new request of a client that brings them too fast, or one under a new cuid that it may not have yet, and counts it
// otherwise. What is refused later counts, too. A refresh of what is live never does, and a withdrawal does not come here: under attack they matter.
func (c *Core) tooFast(m *mitigation, ask dots.Ask) *dots.Error {
	if c.isFree(m, ask) {
		return nil
	}
	rates := c.policy.Rates(ask.Client.Name)
	p := c.paceOf(ask.Client.Name)
	if rates.NewCUIDsPerHour > 0 && c.isNewCUID(ask.Client) {
		if w := p.cuids.wait(c.now, rates.NewCUIDsPerHour, time.Hour); w > 0 {
			return c.slower("too many new cuids", w)
		}
	}
	if n := rates.RequestsPerMinute; n > 0 {
		if w := p.requests.wait(c.now, n, time.Minute); w > 0 {
			return c.slower("too many new requests", w)
		}
		p.requests.take(c.now, n, time.Minute)
	}
	return nil
}

// isFree reports whether a request is none of those that are counted. m is what stands under its mid.
func (c *Core) isFree(m *mitigation, ask dots.Ask) bool {
	return ask.Efficacy || m != nil && m.phase == live && sameRequest(m.asked, ask.Request)
}

// takeCUID counts a cuid that a client gets; it is refused if others came in the way since its request came.
func (c *Core) takeCUID(cl dots.Client) *dots.Error {
	n := c.policy.Rates(cl.Name).NewCUIDsPerHour
	if n == 0 || !c.isNewCUID(cl) {
		return nil
	}
	p := c.paceOf(cl.Name)
	if w := p.cuids.wait(c.now, n, time.Hour); w > 0 {
		return c.slower("too many new cuids", w)
	}
	p.cuids.take(c.now, n, time.Hour)
	return nil
}

// isNewCUID reports whether a client entry does not have a cuid yet.
func (c *Core) isNewCUID(cl dots.Client) bool {
	b := c.cuids[nameOf(cl)]
	return b == nil || b.owner != cl.Name
}

func (c *Core) paceOf(client string) *pace {
	p := c.paces[client]
	if p == nil {
		p = &pace{}
		c.paces[client] = p
	}
	return p
}

// slower is the refusal of what comes too fast; Max-Age says when there is room, in whole seconds, rounded up.
//
// RFC 9132, Section 4.4.1.3: 5.03 with Max-Age tells when to try again.
func (c *Core) slower(text string, wait time.Duration) *dots.Error {
	c.counts.TooFast++
	return &dots.Error{Code: dots.CodeUnavailable, Text: text, MaxAge: time.Duration(secondsUntil(c.now.Add(wait), c.now)) * time.Second}
}
