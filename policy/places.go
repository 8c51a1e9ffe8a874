package policy

import (
	"slices"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
)

// route is where a domain's mitigations may go.
type route struct {
	uplinks    []string // uplinks and farms in the order of preference
	mitigators []string
	strategy   Strategy
}

// all lists every server of a route.
func (r route) all(p *Policy) []string {
	var servers []string
	for _, names := range [][]string{r.mitigators, r.uplinks} {
		for _, n := range names {
			servers = append(servers, p.members[n]...)
		}
	}
	return servers
}

// Reaches reports whether there is an uplink or farm of this name, so that it may be a Course's To.
func (p *Policy) Reaches(name string) bool { return len(p.members[name]) > 0 }

// Serial reports whether a domain goes on to the next uplink where one is exceeded (StrategySerial).
func (p *Policy) Serial(domain string) bool {
	d := p.domains[domain]
	return d != nil && d.route.strategy == StrategySerial
}

// logical returns the farm that an uplink is a server of, or the uplink itself.
func (p *Policy) logical(uplink string) string {
	if farm, ok := p.farmOf[uplink]; ok {
		return farm
	}
	return uplink
}

// Places says where a mitigation is to go now, in an order that depends on its arguments alone; empty: nowhere. It is asked again whenever
// one of them changed.
//
// The local mitigators come first, each one when those before it refused or are down; with StrategyAll all of them. The uplinks are asked
// besides when the mitigation recursed, and instead where no mitigator acts. What moved for a mitigator's sake goes back when that one does.
// Among uplinks what stands stays, as the Strategy says, unless it is sent elsewhere from there (Course.Away); where none has a session, one is
// named all the same, so that it is asked when it has one. Where nobody may be asked, because others that are up refused, one that is Back is.
// Addresses that a provider assigned go to that provider's uplink alone, even where it is down.
func (p *Policy) Places(v Links, c Course) []Place { return p.places(v, c, nil) }

func (p *Policy) places(v Links, c Course, t *trace) []Place {
	d := p.domains[c.Grant.Domain]
	if d == nil {
		return nil
	}
	portions := p.portions(c.Grant.Outside)
	r := router{policy: p, links: v, course: c, route: d.route, portions: portions, trace: t}
	var parts map[string][]portion // by server; nil where there is one portion only, the whole
	if len(portions) > 1 {
		parts = map[string][]portion{}
	}
	var order []candidate
	for _, one := range portions {
		if p.assigned.Size() > 0 {
			t.step("provider", ResultNote, func() (string, string) { return one.say(), sayProvider(one.owner) })
		}
		for _, to := range r.destinations(one.owner) {
			if !slices.ContainsFunc(order, func(o candidate) bool { return o.server == to.server }) {
				order = append(order, to)
			}
			if parts != nil {
				parts[to.server] = append(parts[to.server], one)
			}
		}
	}
	slices.SortStableFunc(order, func(a, b candidate) int { return d.route.rank(a.name) - d.route.rank(b.name) })
	places := make([]Place, 0, len(order))
	for _, to := range order {
		at := Place{Placement: Placement{Uplink: to.server, Scope: p.Scope(to.server, c.Grant)}, Part: c.Grant.Outside}
		if parts != nil {
			at.Part = combined(parts[to.server], len(portions), c.Grant.Outside)
		}
		places = append(places, at)
	}
	return places
}

// Scope says what our cuid for a grant is computed for at a configured uplink.
func (p *Policy) Scope(uplink string, g Grant) string {
	switch p.uplinks[uplink].mode {
	case CUIDPerDomain:
		return "domain:" + g.Domain
	case CUIDPerClient:
		s := "client:" + scopeWord(g.Client.Name) + ":" + scopeWord(g.Client.CUID)
		if g.Client.CDID != "" {
			s += ":" + scopeWord(g.Client.CDID)
		}
		return s
	}
	return ""
}

// scopeWord writes a word of a scope so that no client gets another one's by what it puts into its cuid.
func scopeWord(s string) string {
	if !strings.ContainsAny(s, "%:") {
		return s
	}
	return strings.NewReplacer("%", "%25", ":", "%3A").Replace(s)
}

// router finds the places of one mitigation.
type router struct {
	policy *Policy
	links  Links
	course Course
	route  route
	trace  *trace // nil: nobody asks why
	// portions of the mitigation, where it is asked who stands for which.
	portions []portion
	back     bool // who has a session counts as up
}

// candidate is an uplink or farm that may be asked, and the server of it that is.
type candidate struct {
	name, server string
	up, drained  bool
	at           bool // the mitigation is asked for there now
	bound        bool // because of a portion of its own, maybe
	refused      bool
	away         bool // it sent the mitigation elsewhere
}

// acts reports whether a candidate can do something now, and is to.
func (c candidate) acts() bool { return c.up && !c.drained && !c.away }

// destinations says who is asked for a portion.
func (r *router) destinations(owner string) []candidate {
	c := r.choose(owner, false)
	if len(c.asked) == 0 {
		c = r.choose(owner, true)
	}
	r.say(c.mitigators, c.asked)
	if c.local {
		r.trace.step("place", ResultNote, func() (string, string) { return "uplinks", "are not asked: a local mitigator acts" })
	}
	r.say(c.uplinks, c.asked)
	return c.asked
}

// choice is who was looked at for a portion, and who is asked. local: the uplinks were not looked at, because a mitigator acts.
type choice struct {
	mitigators, uplinks, asked []candidate
	local                      bool
}

// choose makes the choice among those that are up, or, where back says so, that have a session, for however short.
func (r *router) choose(owner string, back bool) choice {
	r.back = back
	mitigators := r.among(r.route.mitigators, owner)
	local := r.pick(mitigators, StrategySerial)
	acts := slices.ContainsFunc(local, candidate.acts)
	if acts && !r.course.Recursed {
		return choice{mitigators: mitigators, asked: local, local: true}
	}
	uplinks := r.among(r.beyond(owner), owner)
	up := r.pick(uplinks, r.route.strategy)
	switch isUp := func(c candidate) bool { return c.up }; {
	case acts:
		up = append(local, slices.DeleteFunc(up, func(c candidate) bool {
			return slices.ContainsFunc(local, func(o candidate) bool { return o.server == c.server })
		})...)
	case len(up) == 0, !slices.ContainsFunc(up, isUp) && slices.ContainsFunc(local, isUp):
		up = local
	}
	return choice{mitigators: mitigators, uplinks: uplinks, asked: up}
}

// beyond lists the uplinks that may be asked for a portion by the domain's rules, or the operator's choice.
func (r *router) beyond(owner string) []string {
	p, to := r.policy, r.course.To
	if r.course.Recursed && p.Reaches(to) && p.may(to, owner) {
		return []string{to}
	}
	if r.route.strategy != StrategyPartition || owner != "" {
		return r.route.uplinks
	}
	return slices.DeleteFunc(slices.Clone(r.route.uplinks), p.provides)
}

// provides reports whether an uplink or farm assigned prefixes.
func (p *Policy) provides(name string) bool {
	return slices.ContainsFunc(p.members[name], func(u string) bool { return p.uplinks[u].provider })
}

// may reports whether an uplink or farm may be asked for what a provider assigned.
func (p *Policy) may(name, owner string) bool {
	return owner == "" || owner == p.logical(name) || p.uplinks[name].local
}

// among looks at those of the names that may be asked for a portion.
func (r *router) among(names []string, owner string) []candidate {
	var list []candidate
	for _, n := range names {
		if r.policy.may(n, owner) {
			c := r.look(n)
			c.bound = owner == "" && slices.ContainsFunc(r.portions, func(o portion) bool { return o.owner == r.policy.logical(n) })
			list = append(list, c)
		}
	}
	return list
}

// rank is the place of a name in the order of preference; what the operator chose beyond it comes last.
func (r route) rank(name string) int {
	if i := slices.Index(r.mitigators, name); i >= 0 {
		return i
	}
	if i := slices.Index(r.uplinks, name); i >= 0 {
		return len(r.mitigators) + i
	}
	return len(r.mitigators) + len(r.uplinks)
}

// look finds the server of an uplink or farm that is asked, if it is, and what can be said of it.
func (r *router) look(name string) candidate {
	servers := r.policy.members[name]
	best := candidate{name: name}
	var score uint64
	refused := false
	for _, s := range servers {
		l := r.links.Link(s)
		c := candidate{name: name, server: s, up: l.Up || r.back && l.Back, drained: l.Drained, at: slices.Contains(r.course.At, s), away: slices.Contains(r.course.Away, s)}
		refused = refused || slices.Contains(r.course.Refused, s)
		w := weight(s, r.course.Grant.Client)
		if order := c.standing() - best.standing(); best.server == "" || order > 0 || order == 0 && w > score {
			best, score = c, w
		}
	}
	best.refused = refused
	best.at, best.away = best.at && !refused, best.away && !refused
	return best
}

// standing orders the servers of a farm: what stands there and may stay, then the others that have a session, then those that will be
// asked when they have one. One that drains is better than none for what stands there, and is asked for nothing new. One that sends elsewhere is
// better than none, too (RFC 9132, Section 4.6).
func (c candidate) standing() int {
	switch {
	case c.drained && !c.at:
		return 0
	case c.drained && !c.up:
		return 1
	case c.drained:
		return 5
	case !c.up && !c.at:
		return 2
	case !c.up:
		return 3
	case c.away:
		return 4
	case !c.at:
		return 6
	}
	return 7
}

// weight is the place of a server in a client's own order of a farm's: each client has another one, so that those of a lost server
// spread over the rest, and all others stay (rendezvous hashing).
func weight(server string, c dots.Client) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for _, s := range [...]string{server, c.Name, c.CUID, c.CDID} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h *= 1099511628211 // an end, so that "ab","c" is not "a","bc"
	}
	h ^= h >> 33 // the last bytes have to reach all bits
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// pick says which of the candidates are asked.
func (r *router) pick(list []candidate, by Strategy) []candidate {
	if r.route.strategy == StrategyAll {
		return r.every(list)
	}
	if c, ok := foremost(list, by); ok {
		return []candidate{c}
	}
	return nil
}

// every keeps all that may be asked. One that drains is left when another one has a session.
func (r *router) every(list []candidate) []candidate {
	other := slices.ContainsFunc(list, func(c candidate) bool { return c.acts() && !c.refused })
	return slices.DeleteFunc(list, func(c candidate) bool { return c.refused || c.drained && (other || !c.at) })
}

// foremost returns the one that is asked of several; false: none may be. One that refused ends the search, but for StrategySerial. Where two of
// them are asked for the mitigation now, the one that is so for this portion's sake stays; one that has a portion of its own and nothing
// else is no way round a refusal.
func foremost(list []candidate, by Strategy) (candidate, bool) {
	ended := by != StrategySerial && slices.ContainsFunc(list, func(c candidate) bool { return c.refused })
	best, top := candidate{}, 0
	for _, c := range list {
		if ended && c.bound && c.acts() {
			c.at = false
		}
		n := 2 * c.standing()
		if c.at && !c.bound {
			n++
		}
		if n > top && !(c.refused && by == StrategySerial) {
			best, top = c, n
		}
	}
	return best, top > 0 && !best.refused
}
