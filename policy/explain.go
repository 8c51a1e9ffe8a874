package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
)

// Results of a Step.
const (
	ResultOK      = "ok"
	ResultRefused = "refused" // the decision ends here, but for what is said of it in general after
	ResultNote    = "note"    // neither: said because it explains another step
	ResultAsked   = "asked"   // of a place: it is asked
	ResultLeft    = "left"    // of a place: it is not asked
)

// Step is one thing that was looked at on the way to a decision.
type Step struct {
	// Rule is what it was looked at for: client, cuid, mid, alias-name, target-prefix, target-fqdn, target-uri, resolution, target, lifetime, translation,
	// uplinks, overlap, quota, request, aaa, provider or place.
	Rule    string
	Subject string // what was looked at; may be empty
	Result  string // one of the Results
	Detail  string // why; may be empty
}

// Explanation is a decision with its reasons. It is for the operator: it names other clients and uplinks.
type Explanation struct {
	Verdict Verdict // as of Admit
	Places  []Place // as of Places for a new mitigation; empty where Verdict denies or questions
	Steps   []Step  // in the order in which they were taken
}

// Explain decides as Admit and Places do, changes nothing, and says why. A nil Links is one whose uplinks are all up. Where names are missing, the
// Verdict has them as Questions; an AAA server that was not asked is taken to allow.
func (p *Policy) Explain(v View, links Links, a Ask) Explanation {
	if links == nil {
		links = allUp{}
	}
	t := &trace{}
	e := Explanation{Verdict: p.admit(v, links, a, t)}
	switch {
	case e.Verdict.Deny != nil:
	case len(e.Verdict.Questions) > 0:
		t.step("resolution", ResultNote, func() (string, string) { return strings.Join(e.Verdict.Questions, ", "), "to be resolved first" })
	default:
		e.Places = p.places(links, Course{Grant: e.Verdict.Grant}, t)
	}
	e.Steps = t.steps
	return e
}

// String returns the steps as lines for people, and the decision in the last one.
func (e Explanation) String() string {
	var b strings.Builder
	for _, s := range e.Steps {
		fmt.Fprintf(&b, "%-8s%-14s%s", s.Result, s.Rule, s.Subject)
		if s.Detail != "" {
			if s.Subject != "" {
				b.WriteString(": ")
			}
			b.WriteString(s.Detail)
		}
		b.WriteByte('\n')
	}
	b.WriteString(e.Verdict.outcome())
	b.WriteByte('\n')
	return b.String()
}

// outcome says a verdict in one line.
func (v Verdict) outcome() string {
	switch {
	case v.Deny != nil && v.Deny.Code == dots.CodeSilent:
		return "not answered"
	case v.Deny != nil:
		return "refused: " + v.Deny.Error()
	case len(v.Questions) > 0:
		return "not decided: names have to be resolved"
	case v.Consult:
		return "allowed if the AAA server allows it"
	case v.Grant.Refresh:
		return "allowed: a refresh"
	}
	return "allowed"
}

// trace gathers the steps of an explanation. A nil trace gathers nothing and costs nothing, so that Admit and Explain are the same code.
type trace struct{ steps []Step }

// maxStep is the greatest length of a step's subject and of its detail, in bytes.
const maxStep = 512

// step notes a step. What say returns may come from a peer, so nothing in it may forge a line.
func (t *trace) step(rule, result string, say func() (subject, detail string)) {
	if t == nil {
		return
	}
	subject, detail := say()
	t.steps = append(t.steps, Step{
		Rule: rule, Result: result, Subject: clip(printable(subject), maxStep), Detail: clip(printable(detail), maxStep),
	})
}

// refused notes the refusal that ends a decision.
func (t *trace) refused(rule string, err *dots.Error) {
	t.step(rule, ResultRefused, func() (string, string) { return "", err.Error() })
}

// result is the Result of a check.
func result(err *dots.Error) string {
	if err != nil {
		return ResultRefused
	}
	return ResultOK
}

// granted notes what a request would get.
func (t *trace) granted(c client, a Ask, g Grant) {
	t.step("lifetime", ResultOK, func() (string, string) {
		return sayLifetime(a.Request.Lifetime), "granted " + sayLifetime(g.Request.Lifetime)
	})
	if t == nil || c.domain.nat == nil {
		return
	}
	for _, p := range g.Expanded.Prefixes {
		pieces, _ := c.domain.nat.pieces(p, g.Request.Target.Ports)
		t.step("translation", ResultOK, func() (string, string) { return p.String(), sayPieces(pieces) })
	}
}

// say notes why each of the candidates is asked or not.
func (r *router) say(all, chosen []candidate) {
	if r.trace == nil {
		return
	}
	for _, c := range all {
		asked := false
		for _, o := range chosen {
			asked = asked || o.server == c.server
		}
		result := ResultLeft
		if asked {
			result = ResultAsked
		}
		r.trace.step("place", result, func() (string, string) { return c.String(), r.why(c, asked) })
	}
}

// String names a candidate, and its server where there are several.
func (c candidate) String() string {
	if c.name == c.server {
		return c.name
	}
	return c.name + ", server " + c.server
}

// why gives the reason that somebody is asked, or is not.
func (r *router) why(c candidate, asked bool) string {
	switch {
	case c.refused:
		return "refused it"
	case c.drained && !asked:
		return "drains"
	case asked && !c.up:
		return "is down; nobody else may be asked, so it will be when it is back"
	case !c.up:
		return "is down"
	case asked && r.route.strategy == StrategyAll:
		return "all are asked"
	case asked:
		return "the first that may be asked and is up" + r.rule(c)
	}
	return "another one goes before it" + r.rule(c)
}

// rule names the strategy by which uplinks are chosen. Local mitigators know one only.
func (r *router) rule(c candidate) string {
	if slices.Contains(r.route.mitigators, c.name) {
		return ""
	}
	return ", by " + string(r.route.strategy)
}

// say tells what a client entry is.
func (c client) say() string {
	switch {
	case c.domain == nil:
		return "is not known"
	case c.guest:
		return "of domain " + c.domain.name + "; guests may not ask for mitigation"
	case c.class != "":
		return "of domain " + c.domain.name + ", class " + c.class
	}
	return "of domain " + c.domain.name
}

// sayCUID tells whose a cuid is.
func (p *Policy) sayCUID(a Ask) string {
	switch reserved := p.byCUID[a.Client.CUID]; {
	case reserved != "":
		return "a credential of client " + reserved + " gives it"
	case a.CUIDOwner != "":
		return "in use by client " + a.CUIDOwner
	}
	return "is new"
}

// sayMID tells what is known of a mid.
func sayMID(a Ask) string {
	switch {
	case !a.Held.Set:
		return "is new"
	case unchanged(a.Held.Value, a.Request):
		return "is known, nothing changed: a refresh"
	}
	return "is known with other parameters"
}

// sayTarget lists what a target names.
func sayTarget(t dots.Target) string {
	var words []string
	for _, p := range t.Prefixes {
		words = append(words, p.String())
	}
	words = append(append(words, t.FQDNs...), t.URIs...)
	if len(words) == 0 {
		return "stands for nothing"
	}
	return "stands for " + strings.Join(words, ", ")
}

// whose tells which prefix makes an address the domain's, or whose it is instead.
func (d *domain) whose(p netip.Prefix) string {
	if own, ok := d.prefixes.LookupPrefixLPM(p); ok {
		return fmt.Sprintf("in %v of domain %s", own, d.name)
	}
	return "not in the prefixes of domain " + d.name
}

// whoseName tells which name makes another one the domain's.
func (d *domain) whoseName(s string) string {
	if name, ok := normalName(s); ok && d.names.covers(name) {
		return "of domain " + d.name
	}
	return "not under the names of domain " + d.name
}

// sayResolution tells what is known of a name.
func sayResolution(r Resolution, ok bool) string {
	switch {
	case !ok:
		return "not resolved yet"
	case r.Failed:
		return "could not be resolved"
	case len(r.Addresses) == 0:
		return "has no address"
	}
	words := make([]string, len(r.Addresses))
	for i, a := range r.Addresses {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}

// sayKey names a mitigation.
func sayKey(k dots.MitigationKey) string {
	return fmt.Sprintf("client %s, mid %d", k.Client.Name, k.MID)
}

// sayOverlap tells what an overlapping request means for the one that is asked.
func (d *domain) sayOverlap(a Ask, o Overlap, asked Expanded) string {
	switch {
	case o.Key == dots.MitigationKey{Client: a.Client, MID: a.Request.MID}:
		return "this request, as it stands"
	case o.Key.Client == a.Client && o.OnSignalLoss != a.Request.OnSignalLoss:
		return "of this client, of the other trigger type"
	case o.Key.Client == a.Client && o.Key.MID < a.Request.MID:
		return "of this client: superseded"
	case o.Key.Client == a.Client:
		return "of this client, and higher: it stands"
	}
	common := sayTarget(asked.Intersect(o.Expanded))
	if d.overlap == OverlapRejectNew && clash(a, o) {
		return "in the way, by reject-new; what both ask for " + common
	}
	return "no obstacle, by " + string(d.overlap) + "; what both ask for " + common
}

// say lists what a portion has.
func (o portion) say() string {
	var words []string
	for _, p := range o.part.Expanded.Prefixes {
		words = append(words, p.String())
	}
	return strings.Join(append(words, o.part.Expanded.Names...), ", ")
}

// sayProvider tells who may be asked for what a provider assigned.
func sayProvider(owner string) string {
	if owner == "" {
		return "of no provider: any uplink of the domain may be asked"
	}
	return "of " + owner + ", which alone may be asked"
}

// sayForeign tells why nobody may be asked.
func sayForeign(owner string) string {
	if owner == "" {
		return "of no provider, and by partition every uplink of the domain is asked for its own alone"
	}
	return owner + " assigned it, and is none of the domain's uplinks"
}

// sayLifetime writes a lifetime.
func sayLifetime(l dots.Maybe[dots.Lifetime]) string {
	switch {
	case !l.Set:
		return "none told"
	case l.Value == dots.Indefinite:
		return "no end"
	}
	return strconv.FormatInt(int64(l.Value), 10) + " s"
}

// sayPieces lists a translation.
func sayPieces(list []translated) string {
	var words []string
	for _, one := range list {
		s := one.prefix.String()
		for _, r := range one.ports {
			s += fmt.Sprintf(" port %d-%d", r.Lower, r.Upper)
		}
		words = append(words, s)
	}
	return strings.Join(words, ", ")
}
