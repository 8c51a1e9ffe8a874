package gateway

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// Explain says what would become of a request that came now, and why; it changes nothing. Client and Request are the asker's, and OwnCUID and Efficacy and
// Update as far as known; what the core holds of the client and the mid it adds itself. A mid of 0 stands for a new one above all of the client's.
func (c *Core) Explain(a policy.Ask) policy.Explanation { return c.explain(a, nil) }

// explain explains with names that the core does not know.
func (c *Core) explain(a policy.Ask, names map[string]policy.Resolution) policy.Explanation {
	if a.Request.MID == 0 {
		a.Request.MID = c.newMIDOf(a.Client)
	}
	what := asking{ask: &dots.Ask{Client: a.Client, Request: a.Request, Efficacy: a.Efficacy, Update: a.Update, OwnCUID: a.OwnCUID}, ruling: a.Ruling}
	m := c.mits[what.key()]
	e := c.policy.Explain(informed{view{c}, names}, view{c}, c.askOf(&what, m))
	if !c.isFree(m, *what.ask) {
		e.Steps = append(c.explainRates(a.Client), e.Steps...)
	}
	return e
}

// newMIDOf is a mid above all of a client's.
func (c *Core) newMIDOf(cl dots.Client) uint32 {
	next := uint32(1)
	for mid := range c.byClient[cl] {
		next = max(next, mid+1)
	}
	return next
}

// explainRates says what a client has left of its rates.
func (c *Core) explainRates(cl dots.Client) []policy.Step {
	var p pace
	if known := c.paces[cl.Name]; known != nil {
		p = *known
	}
	rates := c.policy.Rates(cl.Name)
	var steps []policy.Step
	add := func(subject string, wait time.Duration, n int) {
		s := policy.Step{Rule: "rate", Subject: subject, Result: policy.ResultOK, Detail: fmt.Sprintf("%d may come", n)}
		if wait > 0 {
			s.Result, s.Detail = policy.ResultRefused, fmt.Sprintf("%d may come, the next in %ds", n, secondsUntil(c.now.Add(wait), c.now))
		}
		steps = append(steps, s)
	}
	if n := rates.RequestsPerMinute; n > 0 {
		add("new requests per minute", p.requests.wait(c.now, n, time.Minute), n)
	}
	if n := rates.NewCUIDsPerHour; n > 0 && c.isNewCUID(cl) {
		add("new cuids per hour", p.cuids.wait(c.now, n, time.Hour), n)
	}
	return steps
}

// informed is a view with more names resolved than the core knows.
type informed struct {
	view
	names map[string]policy.Resolution
}

func (v informed) Resolved(n string) (policy.Resolution, bool) {
	if r, ok := v.view.Resolved(n); ok {
		return r, true
	}
	r, ok := v.names[n]
	return r, ok
}

// Explain is Core.Explain, with names resolved for it that the core does not know. It blocks until they are, at most until ctx ends.
func (g *Gateway) Explain(ctx context.Context, a policy.Ask) (policy.Explanation, error) {
	names := map[string]policy.Resolution{}
	for {
		var e policy.Explanation
		if err := g.Look(ctx, func(c *Core) { e = c.explain(a, names) }); err != nil {
			return policy.Explanation{}, err
		}
		missing := slices.DeleteFunc(slices.Clone(e.Verdict.Questions), func(n string) bool { _, ok := names[n]; return ok })
		if len(missing) == 0 {
			return e, nil
		}
		for _, n := range missing {
			names[n] = g.resolution(ctx, n)
		}
	}
}

// resolution resolves a name outside of the core.
func (g *Gateway) resolution(ctx context.Context, name string) policy.Resolution {
	if g.cfg.Resolver == nil {
		return policy.Resolution{Failed: true}
	}
	addrs, _, err := g.cfg.Resolver.Resolve(ctx, name)
	return policy.Resolution{Addresses: addrs, Failed: err != nil}
}
