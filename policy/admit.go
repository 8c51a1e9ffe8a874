package policy

import (
	"slices"

	"github.com/dotsgate/dotsgate/dots"
)

// Admit decides on a mitigation request, by the table of a PUT's answers: authorisation, cuid, known mid, target, own requests,
// quota, other clients' requests; the first that fails is told.
func (p *Policy) Admit(v View, a Ask) Verdict {
	d, err := p.entitled(a.Client.Name)
	if err == nil {
		err = p.checkCUID(v, a, d.limits)
	}
	if err == nil {
		err = checkKnown(a)
	}
	if err != nil {
		return Verdict{Deny: err}
	}
	same := a.Held.Set && unchanged(a.Held.Value, a.Request)
	l := strict
	if same {
		l = known
	}
	x, err := d.expand(v, a.Request.Target, l)
	if err != nil {
		return Verdict{Deny: err}
	}
	g := p.grant(a, x)
	g.Refresh = same
	if !same {
		if err := d.judge(v, a, &g); err != nil {
			return Verdict{Deny: err, Grant: Grant{Informs: g.Informs}}
		}
	}
	if len(x.missing) > 0 {
		return Verdict{Questions: x.missing}
	}
	if d.consult && !same {
		return d.ruled(a.Ruling, g)
	}
	return Verdict{Grant: g}
}

// ruled lets the AAA server have the last word.
func (d *domain) ruled(ruling dots.Maybe[Ruling], g Grant) Verdict {
	switch r := ruling.Value; {
	case !ruling.Set:
		return Verdict{Consult: true, Grant: g}
	case r.Failed:
		return Verdict{Deny: unavailable("no answer", d.limits.retryAfter)}
	case !r.Allow:
		return Verdict{Deny: dots.Refuse(dots.CodeUnauthorized, "not authorised")}
	}
	return Verdict{Grant: g}
}

// entitled returns the domain of a client that may ask for mitigations.
//
// RFC 9132, Section 4.4.1: a client that is not authorised to use the service is answered 4.01.
func (p *Policy) entitled(client string) (*domain, *dots.Error) {
	c, ok := p.clients[client]
	if !ok || c.guest {
		return nil, dots.Refuse(dots.CodeUnauthorized, "not authorised to ask for mitigation")
	}
	return c.domain, nil
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
func (p *Policy) grant(a Ask, x expansion) Grant {
	g := Grant{
		Domain: x.domain.name, Client: a.Client, Request: a.Request, Uplink: x.domain.uplink,
		Expanded: x.exp,
	}
	g.Request.Target = x.target
	if life := a.Request.Lifetime; life.Set || !a.Efficacy {
		g.Request.Lifetime = dots.Some(x.domain.limits.grant(life.Or(dots.DefaultLifetime)))
	}
	g.Request.Optional = nil
	for _, o := range a.Request.Optional {
		if p.uplinks[g.Uplink].relays(o.Key) {
			g.Request.Optional = append(g.Request.Optional, o)
		} else {
			g.DroppedOptional++
		}
	}
	g.Watch = slices.Clone(x.exp.Names)
	g.Outside = Footprint{Target: g.Request.Target, Expanded: g.Expanded}
	return g
}
