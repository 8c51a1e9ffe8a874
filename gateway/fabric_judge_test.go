package gateway

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// wishKept is how long something may still be asked for after nobody wants it any more: a leg is not shrunk at once, and while others come to it its
// time begins anew. wishMoment is how long that is where nobody comes.
const (
	wishKept   = 30 * time.Second
	wishMoment = 5 * time.Second
)

// lately reports whether a wish was there a moment ago.
func (f *fabric) lately(w wish) bool { return !w.until.Before(f.now.Add(wishKept - wishMoment)) }

// mayAsk is the oracle of ownership.
func mayAsk(domain int, t dots.Target) bool {
	for _, p := range t.Prefixes {
		if !slices.ContainsFunc(blocksCached[2*domain:2*domain+2], func(b netip.Prefix) bool {
			return p.Bits() >= b.Bits() && b.Contains(p.Addr())
		}) {
			return false
		}
	}
	for _, s := range slices.Concat(t.FQDNs, t.URIs) {
		if !known(s) || !strings.HasSuffix(host(s), ".d"+strconv.Itoa(domain)+".example") {
			return false
		}
	}
	for _, a := range t.Aliases {
		if a != "web"+strconv.Itoa(domain) {
			return false
		}
	}
	return !t.Empty()
}

// known reports whether a name or URI is one of those that lead inside.
func known(s string) bool {
	h := host(s)
	return len(h) == len("n0.d0.example") && h[0] == 'n' && h[1] >= '0' && h[1] <= '3' && (strings.HasSuffix(h, ".d0.example") || strings.HasSuffix(h, ".d1.example"))
}

// host is a name, or that of a URI.
func host(s string) string {
	return strings.TrimSuffix(strings.TrimPrefix(s, "https://"), "/")
}

// single makes prefixes of addresses.
func single(list []netip.Addr) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range list {
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return out
}

// softOf is where names lead.
func softOf(texts []string) area {
	var a area
	for _, t := range texts {
		soft, _ := areaOf(single(leads(host(t))))
		a = a.or(soft)
	}
	return a
}

// meant is what a client's request covers, with its alias.
func meant(t dots.Target) extent {
	for _, a := range t.Aliases {
		t.Prefixes = append(slices.Clone(t.Prefixes), webPrefix(int(a[len(a)-1]-'0')))
	}
	t.Aliases = nil
	e, _ := extentOf(t)
	return e
}

// wish notes what is wanted now.
func (f *fabric) wish() {
	for k, m := range f.core.mits {
		if m.phase != live {
			continue
		}
		w := f.wishes[k]
		if w.fired && !m.fired {
			f.past(k, w)
		}
		if !w.target.Equal(m.asked.Target) {
			if !mayAsk(domainOf(k.Client.Name), m.asked.Target) {
				f.counts.escapes++
				f.fail("%v is held, which nobody may ask for: %s", k, told(m.asked))
			}
			f.past(k, w)
			w = wish{extent: meant(m.asked.Target), target: m.asked.Target}
			w.soft = softOf(w.texts)
		}
		w.mid, w.until, w.armed, w.fired = k.MID, f.now.Add(wishKept), m.asked.OnSignalLoss, m.fired
		f.wishes[k] = w
	}
}

// past keeps what a wish was, for as long as it may still be asked for.
func (f *fabric) past(k dots.MitigationKey, w wish) {
	if !w.until.Before(f.now) {
		k.MID = 1<<31 + f.olds // a key that no request has
		f.olds++
		f.wishes[k] = w
	}
}

// judge looks at a leg that is wanted.
func (f *fabric) judge(l dots.Leg) {
	f.t.Helper()
	f.judgeCDID(l)
	if l.Withdraw || f.judged[l.Key] {
		return
	}
	f.judged[l.Key] = true
	e, ok := extentOf(l.Request.Target)
	if !ok || slices.ContainsFunc(e.texts, func(s string) bool { return !known(s) }) {
		f.counts.escapes++
		f.fail("%v is asked for what no domain owns: %s", l.Key, told(l.Request))
	}
	if l.HopLimit == 0 || l.Request.Lifetime.Value == 0 {
		f.fail("%v has hop limit %d, lifetime %v", l.Key, l.HopLimit, l.Request.Lifetime)
	}
	scope := f.scopes[l.Key.CUID]
	var wanted area
	var texts []string
	for k, w := range f.wishes {
		if w.until.Before(f.now) || w.armed != l.Request.OnSignalLoss && !w.fired || !f.speaksFor(scope, k.Client) {
			continue
		}
		wanted = wanted.or(w.area)
		if f.strategy == policy.StrategyPartition { // a name of two providers goes as its addresses
			wanted = wanted.or(w.soft)
		}
		texts = append(texts, w.texts...)
	}
	if beyond := e.area.minus(wanted); !beyond.empty() {
		f.fail("%v covers %x, which nobody asked for: %s", l.Key, beyond, told(l.Request))
	}
	for _, s := range e.texts {
		if !slices.Contains(texts, s) {
			f.fail("%v covers %s, which nobody asked for", l.Key, s)
		}
	}
}

// judgeCDID is the oracle of what is told of whose behalf a leg is asked on: of one client alone, and what that one says of itself
// only if it is trusted to.
//
// RFC 9132, Section 4.4.1.2: a cdid that comes from a client is ignored; that of a trusted gateway goes on as it is.
func (f *fabric) judgeCDID(l dots.Leg) {
	f.t.Helper()
	for at, cuid := range f.core.own {
		if was, ok := f.scopes[cuid]; ok && was != at.Scope {
			f.fail("one cuid for %q and %q", was, at.Scope)
		}
		f.scopes[cuid] = at.Scope
	}
	scope, ok := f.scopes[l.Key.CUID]
	if !ok {
		f.fail("%v goes under a cuid that is not known", l.Key)
	}
	want, words := "", strings.Split(scope, ":") // client, its name, its cuid, and its cdid where it has one
	switch {
	case f.mode != policy.CUIDPerClient:
	case len(words) == 4 && gatewayOf(words[1]):
		want = words[3]
	case f.inserts:
		want = "own-" + words[1]
	}
	if l.CDID == want {
		return
	}
	if l.CDID != "" {
		f.counts.passed++
	}
	f.fail("%v of %q has cdid %q, want %q", l.Key, scope, l.CDID, want)
}

// speaksFor reports whether a cuid of a scope may carry a client's requests.
func (f *fabric) speaksFor(scope string, c dots.Client) bool {
	switch f.mode {
	case policy.CUIDPerClient:
		if c.CDID != "" {
			return scope == "client:"+c.Name+":"+c.CUID+":"+c.CDID
		}
		return scope == "client:"+c.Name+":"+c.CUID
	case policy.CUIDPerDomain:
		return scope == "domain:dom"+strconv.Itoa(domainOf(c.Name))
	}
	return scope == ""
}

// replied looks at an answer.
func (f *fabric) replied(r Reply) {
	f.t.Helper()
	q := &f.requests[r.Ticket]
	f.say("   reply to %s %d: %s", q.key.Client.CUID, q.key.MID, replyText(r))
	switch {
	case q.answered:
		f.fail("answered again: %+v", q)
	case q.withdraw && r.Err != nil:
		f.fail("a withdrawal was refused: %v", r.Err)
	}
	q.answered = true
	if q.withdraw || r.Err != nil {
		return
	}
	if !q.allowed || q.thief {
		f.counts.wronged(q)
		f.fail("accepted, but not allowed: %+v", q)
	}
	f.counts.granted++
	if r.Ticket < f.dropped[q.key] {
		return // its client has withdrawn it meanwhile
	}
	c := &claim{extent: meant(q.target), target: q.target, armed: q.armed}
	c.soft = softOf(c.texts)
	if life := r.Answer.Lifetime; life != dots.Indefinite {
		c.expires = f.now.Add(time.Duration(life) * time.Second)
	}
	if old := f.claims[q.key]; old != nil && old.area == c.area && old.armed == c.armed && old.service == c.service && slices.Equal(old.texts, c.texts) {
		c.stood, c.doubt = old.stood, old.doubt
	}
	f.claims[q.key] = c
}

// look tests what must hold at all times.
func (f *fabric) look() {
	f.t.Helper()
	f.wish()
	for k, c := range f.claims {
		if m := f.core.mits[k]; m == nil || m.phase != live {
			f.over(k, c)
		}
	}
	if !f.stirred { // nothing that stands, or is asked to, changed since
		return
	}
	f.stirred = false
	for k, c := range f.claims {
		switch m := f.core.mits[k]; {
		case c.armed && !m.fired, !m.asked.Target.Equal(c.target): // or asked for otherwise meanwhile, and not answered yet
			c.stood = false
		case c.stood:
			gap := f.gap(k, c, stands)
			if c.stood = gap == ""; !c.stood && !f.superseded(k, c) { // if what is to take its place is refused, it takes a while until it stands again
				f.fail("%v is without cover: %s", k, gap)
			}
		default:
			c.stood = f.gap(k, c, confirmed) == ""
		}
	}
}

// over looks why a mitigation that was accepted is not there any more.
func (f *fabric) over(k dots.MitigationKey, c *claim) {
	f.t.Helper()
	delete(f.claims, k)
	switch {
	case c.doubt, !c.expires.IsZero() && !c.expires.After(f.now.Add(3*time.Second)):
		return
	}
	if !f.superseded(k, c) {
		f.fail("%v was accepted and is lost: %+v", k, c)
	}
}

// superseded reports whether the client itself has asked for something that takes the place of a request: with a higher mid, triggered, or an
// immediate one, which deactivates a triggered one (RFC 9132, Section 4.4.1).
func (f *fabric) superseded(k dots.MitigationKey, c *claim) bool {
	for o, w := range f.wishes { // also one that it withdrew at once
		if o.Client == k.Client && (w.mid > k.MID || w.mid != k.MID && (w.fired || c.armed)) && f.lately(w) && w.meets(c.extent, c.soft) {
			return true
		}
	}
	return false
}

// meets is the rule of overlap.
func (w wish) meets(e extent, soft area) bool {
	return w.area.or(w.soft).meets(e.area.or(soft)) || slices.ContainsFunc(w.texts, func(s string) bool {
		return slices.ContainsFunc(e.texts, func(o string) bool { return host(o) == host(s) })
	})
}

// sight is which of the legs at a server count.
type sight uint8

const (
	stands sight = iota // immediate ones
	// confirmed: of these, those that the gateway wants for the claim's sake and knows to stand, and has not asked to be replaced. What covers a claim by
	// chance, at an uplink where it was not asked for, is another one's, and may go with that one.
	confirmed
	armed // those that wait for the loss of our session
)

// counts reports whether a leg does.
func (u *simUplink) counts(k dots.LegKey, s *simLeg, by sight) bool {
	v := u.said[k]
	if s.request.OnSignalLoss != (by == armed) || by == confirmed && (!v.good || v.withdraw || u.wanted[k].Withdraw) {
		return false
	}
	return by != confirmed || !u.doomed(k, s)
}

// doomed reports whether a request is on its way that will delete a leg.
func (u *simUplink) doomed(k dots.LegKey, s *simLeg) bool {
	for o, l := range u.wanted {
		if o.CUID != k.CUID || o.MID <= k.MID || l.Withdraw || u.stands[o] != nil || l.Request.OnSignalLoss != s.request.OnSignalLoss {
			continue
		}
		if s.overlaps(u.extents[o]) {
			return true
		}
	}
	return false
}

// gap says what of a claim no server has under a cuid that speaks for the client; empty: nothing.
func (f *fabric) gap(key dots.MitigationKey, c *claim, by sight) string {
	missing := c.area
	var texts []string
	own := f.core.mits[key].legs
	for _, u := range f.uplinks {
		for k, s := range u.stands {
			if by == confirmed && !slices.Contains(own, k) {
				continue
			}
			if !missing.meets(s.area) && (len(c.texts) == 0 || len(s.texts) == 0) {
				continue
			}
			if c.within(s.service) && u.counts(k, s, by) && f.speaksFor(f.scopes[k.CUID], key.Client) {
				missing = missing.minus(s.area)
				texts = append(texts, s.texts...)
			}
		}
	}
	if !missing.empty() {
		return "addresses " + areaText(missing)
	}
	for _, s := range c.texts {
		if !slices.Contains(texts, s) && (f.strategy != policy.StrategyPartition || !f.addressed(key, s, c, by)) {
			return "name " + s
		}
	}
	return ""
}

// addressed reports whether all addresses of a name stand as such.
func (f *fabric) addressed(key dots.MitigationKey, name string, c *claim, by sight) bool {
	missing, _ := areaOf(single(leads(host(name))))
	if missing.empty() {
		return false
	}
	return f.gap(key, &claim{extent: extent{area: missing, service: c.service}}, by) == ""
}

func areaText(a area) string {
	var words []string
	for i, b := range blocksCached {
		at := b.Addr()
		for bit := range 32 {
			if a[i]&(1<<bit) != 0 {
				words = append(words, at.String())
			}
			at = at.Next()
		}
	}
	return strings.Join(words, ",")
}

// atRest tests what must hold once everything was said.
func (f *fabric) atRest() {
	f.t.Helper()
	for k, c := range f.claims {
		m := f.core.mits[k]
		if !m.asked.Target.Equal(c.target) { // a restart took the answer along
			continue
		}
		by, want := stands, dots.StatusMitigated
		if c.armed && !m.fired {
			by, want = armed, dots.StatusSignalLossArmed
		}
		if gap := f.gap(k, c, by); gap != "" {
			f.fail("%v is not covered at rest: %s", k, gap)
		}
		if got := f.core.report(m).Status; got != want {
			f.fail("%v stands, and its status is %v", k, got)
		}
	}
	for _, u := range f.uplinks {
		for k, l := range u.wanted {
			s := u.stands[k]
			if s == nil || l.Withdraw {
				f.fail("%s %v is wanted, and does not stand", u.name, k)
			}
			f.nothingBeyond(k, l, s)
		}
		for k := range u.stands {
			if _, ok := u.wanted[k]; !ok {
				f.fail("%s %v stands, and nobody wants it", u.name, k)
			}
		}
	}
}

// nothingBeyond tests that a leg covers nothing but what its members want, for as many hops as the one of them that has the fewest.
func (f *fabric) nothingBeyond(k dots.LegKey, l dots.Leg, s *simLeg) {
	f.t.Helper()
	var wanted area
	var texts []string
	var all service
	for key, w := range f.wishes {
		if !f.lately(w) || w.armed != l.Request.OnSignalLoss && !w.fired || !w.meets(s.extent, s.soft) {
			continue
		}
		wanted = wanted.or(w.area)
		if f.strategy == policy.StrategyPartition {
			wanted = wanted.or(w.soft)
		}
		texts, all = append(texts, w.texts...), all.or(w.service)
		if m := f.core.mits[key]; m != nil && m.hopLimit < l.HopLimit && slices.Contains(m.legs, k) {
			f.fail("%v has hop limit %d, its member %v %d", k, l.HopLimit, key, m.hopLimit)
		}
	}
	if beyond := s.area.minus(wanted); !beyond.empty() || !s.within(all) {
		for _, m := range f.core.leg(k).members {
			f.say("member %v phase %v fired %v armed %v %s", m.key, m.phase, m.fired, m.asked.OnSignalLoss, told(m.asked))
		}
		f.fail("%v covers %s or %+v beyond %+v, which nobody asks for", k, areaText(beyond), s.service, all)
	}
	for _, t := range s.texts {
		if !slices.Contains(texts, t) {
			f.fail("%v covers %s, which nobody asks for", k, t)
		}
	}
}
