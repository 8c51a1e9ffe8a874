package policy

import (
	"slices"
	"strconv"

	"github.com/dotsgate/dotsgate/dots"
)

// Admit decides on a mitigation request, by the table of a PUT's answers: authorisation, cuid, known mid, target, its uplinks, own requests,
// quota, other clients' requests, the AAA server; the first that fails is told. A View that is Links, too, lets it refuse what only
// uplinks that drain could be asked for.
func (p *Policy) Admit(v View, a Ask) Verdict {
	links, _ := v.(Links)
	return p.admit(v, links, a, nil)
}

func (p *Policy) admit(v View, links Links, a Ask, t *trace) Verdict {
	c, err := p.asker(v, a, t)
	if err != nil {
		return Verdict{Deny: err}
	}
	same := a.Held.Set && unchanged(a.Held.Value, a.Request)
	if same && t == nil && a.Granted.lasts() {
		return Verdict{Grant: a.Granted.prolonged(a, c.limits)}
	}
	l := strict
	if same {
		l = known
	}
	x, err := c.domain.expand(v, a.Request.Target, l, t)
	if err != nil {
		t.refused("target", err)
		return Verdict{Deny: err}
	}
	g := p.grant(a, c, x)
	g.Refresh = same
	t.granted(c, a, g)
	if err = p.checkUplinks(c.domain, g.Outside, t); err != nil {
		return Verdict{Deny: err}
	}
	if !same {
		if err = c.judge(v, a, &g, t); err == nil {
			err = p.checkDrained(links, g)
		}
		if err != nil {
			t.refused("request", err)
			return Verdict{Deny: err, Grant: Grant{Informs: g.Informs}}
		}
	}
	return c.domain.consulted(a, x.missing, g, t)
}

// asker returns who asks, if it may ask so under its cuid and mid.
func (p *Policy) asker(v View, a Ask, t *trace) (client, *dots.Error) {
	c, err := p.entitled(a.Client.Name)
	t.step("client", result(err), func() (string, string) { return a.Client.Name, c.say() })
	if err == nil {
		err = p.checkCUID(v, a, c.limits)
		t.step("cuid", result(err), func() (string, string) { return a.Client.CUID, p.sayCUID(a) })
	}
	if err == nil {
		err = checkKnown(a)
		t.step("mid", result(err), func() (string, string) { return strconv.FormatUint(uint64(a.Request.MID), 10), sayMID(a) })
	}
	return c, err
}

// consulted makes the last of a request of which all else is allowed: names to ask for, or the AAA server's word. A refresh of the same parameters
// is nothing new, so that what is under attack does not hang on the AAA server; neither is an efficacy update.
func (d *domain) consulted(a Ask, missing []string, g Grant, t *trace) Verdict {
	switch {
	case len(missing) > 0:
		return Verdict{Questions: missing}
	case !d.consult || g.Refresh:
		return Verdict{Grant: g}
	case !a.Ruling.Set:
		t.step("aaa", ResultNote, func() (string, string) { return "", "the AAA server would be asked" })
		return Verdict{Consult: true, Grant: g}
	}
	err := d.ruled(a.Ruling.Value)
	t.step("aaa", result(err), func() (string, string) { return "", a.Ruling.Value.Reason })
	if err != nil {
		return Verdict{Deny: err}
	}
	return Verdict{Grant: g}
}

// ruled turns an AAA server's answer into ours. Its reason is not for the client.
func (d *domain) ruled(r Ruling) *dots.Error {
	switch {
	case r.Failed:
		return unavailable("no answer", d.limits.retryAfter)
	case !r.Allow:
		return dots.Refuse(dots.CodeUnauthorized, "not authorised")
	}
	return nil
}

// entitled returns a client that may ask for mitigations.
//
// RFC 9132, Section 4.4.1: a client that is not authorised to use the service is answered 4.01.
func (p *Policy) entitled(name string) (client, *dots.Error) {
	c, ok := p.clients[name]
	if !ok || c.guest {
		return c, dots.Refuse(dots.CodeUnauthorized, "not authorised to ask for mitigation")
	}
	return c, nil
}

// checkCUID refuses a cuid that is another client's, and one too many. Certificates are public, so anybody can compute the cuid that
// one gives: it is the credential's, and whoever else came with it first keeps nobody out. Those behind a trusted gateway have cuids of
// their own under each cdid, which collide with nobody else's.
//
// RFC 9132, Section 4.4.1.1: a cuid that another client uses is answered 4.09 with cause 3 and nothing else.
func (p *Policy) checkCUID(v View, a Ask, l limits) *dots.Error {
	reserved := p.byCUID[a.Client.CUID]
	if a.Client.CDID != "" {
		reserved, a.OwnCUID = "", ""
	}
	mine := reserved == a.Client.Name || a.OwnCUID != "" && a.OwnCUID == a.Client.CUID && !a.CUIDProven
	switch {
	case reserved != "" && reserved != a.Client.Name:
		return cuidTaken()
	case a.CUIDOwner == a.Client.Name:
		return nil
	case a.CUIDOwner != "" && !mine:
		return cuidTaken()
	case v.CUIDs(a.Client.Name) >= l.maxCUIDs:
		return unavailable("too many cuids", l.retryAfter)
	}
	return nil
}

// cuidTaken is the answer to a cuid that is another client's, wherever that was found.
func cuidTaken() *dots.Error {
	return &dots.Error{
		Code: dots.CodeConflict, Text: "cuid is in use",
		Conflict: dots.Some(dots.Conflict{Cause: dots.CauseCUIDCollision}),
	}
}

// checkKnown applies the rules for a known mid, and for an efficacy update of an unknown one.
//
// RFC 9132, Section 4.4.1: a refresh repeats every parameter but lifetime, else 4.00.
// RFC 9132, Section 4.4.3: an efficacy update that matches no request is not answered.
func checkKnown(a Ask) *dots.Error {
	life := a.Request.Lifetime
	switch {
	case a.Efficacy && !a.Held.Set:
		return &dots.Error{Code: dots.CodeSilent}
	case life.Set && !life.Value.Valid():
		return dots.Refuse(dots.CodeBadRequest, "lifetime out of range")
	case !a.Held.Set || a.Update && !a.Efficacy:
		return nil
	case !unchanged(a.Held.Value, a.Request):
		return dots.Refuse(dots.CodeBadRequest, "mid is known with other parameters: use a higher mid")
	}
	return nil
}

// unchanged reports whether two requests differ in lifetime, attack-status and attributes that a reader may ignore at most.
func unchanged(held, asked dots.Request) bool {
	return held.MID == asked.MID && held.OnSignalLoss == asked.OnSignalLoss && held.Target.Equal(asked.Target) &&
		slices.Equal(held.ACLs, asked.ACLs) && slices.Equal(held.Source.Prefixes, asked.Source.Prefixes) &&
		slices.Equal(held.Source.Ports, asked.Source.Ports) && slices.Equal(held.Source.ICMPTypes, asked.Source.ICMPTypes)
}

// grant makes the Grant of an expanded request, but for what concerns other requests.
func (p *Policy) grant(a Ask, c client, x expansion) Grant {
	g := Grant{
		Domain: c.domain.name, Client: a.Client, Request: a.Request, Expanded: x.exp,
		Outside: c.domain.outside(x),
	}
	g.Request.Target = x.target
	g.Request.Lifetime = c.limits.lifetime(a)
	g.Request.Optional = nil
	for _, o := range a.Request.Optional {
		if c.domain.nat == nil && p.relayed(c.domain.route, o.Key) {
			g.Request.Optional = append(g.Request.Optional, o)
		} else {
			g.DroppedOptional++
		}
	}
	g.Watch = slices.Clone(x.exp.Names)
	return g
}

// lifetime is what is granted of the lifetime that is asked for: absent only where an efficacy update tells none.
func (l limits) lifetime(a Ask) dots.Maybe[dots.Lifetime] {
	life := a.Request.Lifetime
	if !life.Set && a.Efficacy {
		return life
	}
	return dots.Some(l.grant(life.Or(dots.DefaultLifetime)))
}

// lasts reports whether a grant holds for as long as the policy does. Names may lead elsewhere by now, and what an alias stood for
// may be of a policy before this one.
func (g *Grant) lasts() bool {
	return g != nil && len(g.Expanded.Names) == 0 && len(g.Expanded.Aliases) == 0
}

// prolonged is a grant that lasts for a refresh of its request.
func (g *Grant) prolonged(a Ask, l limits) Grant {
	again := *g
	again.Refresh, again.Request.Lifetime = true, l.lifetime(a)
	again.Supersedes, again.Deactivates, again.Informs = nil, nil, nil
	return again
}

// relayed reports whether any uplink of a route takes an optional attribute.
func (p *Policy) relayed(r route, key uint64) bool {
	return slices.ContainsFunc(r.all(p), func(u string) bool { return p.uplinks[u].relays(key) })
}

// outside returns what uplinks are asked for an expanded target.
func (d *domain) outside(x expansion) Footprint {
	if d.nat == nil {
		return Footprint{Target: x.target, Expanded: x.exp}
	}
	return d.nat.footprint(x.target, x.exp)
}

// checkUplinks refuses a target of which a part may be asked of no uplink of the domain, whatever their state.
//
// RFC 9284, Section 5: what another provider assigned is not asked of this one.
func (p *Policy) checkUplinks(d *domain, outside Footprint, t *trace) *dots.Error {
	portions := p.portions(outside)
	if len(portions) == 0 {
		err := dots.Refuse(dots.CodeBadRequest, "target has too many parts: ask for less at a time")
		t.refused("uplinks", err)
		return err
	}
	for _, one := range portions {
		r := router{policy: p, route: d.route}
		mine := func(name string) bool { return p.may(name, one.owner) }
		if !slices.ContainsFunc(d.route.mitigators, mine) && !slices.ContainsFunc(r.beyond(one.owner), mine) {
			t.step("uplinks", ResultRefused, func() (string, string) { return one.say(), sayForeign(one.owner) })
			return dots.Refuse(dots.CodeBadRequest, "no uplink for this target")
		}
	}
	return nil
}

// checkDrained refuses a new request of which a part has only uplinks that take nothing new now. Those that are down are another matter: what is
// accepted then is asked for when one is back.
func (p *Policy) checkDrained(links Links, g Grant) *dots.Error {
	if links == nil {
		return nil
	}
	d := p.domains[g.Domain]
	r := router{policy: p, links: links, course: Course{Grant: g}, route: d.route}
	for _, one := range p.portions(g.Outside) {
		if len(r.destinations(one.owner)) == 0 {
			return unavailable("mitigation not available now", d.limits.retryAfter)
		}
	}
	return nil
}
