package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// TestPlacesRandom checks, whatever the rules and the state of the uplinks, what must hold of every answer.
//
// RFC 9284, Section 5: an address that a provider assigned is asked of that provider's uplink and of no other.
func TestPlacesRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(9284, 5))
	named := map[int]int{}
	helped := 0
	for range 4000 {
		c := estate()
		d := &c.Domains[0]
		d.Strategy = []Strategy{"", StrategySerial, StrategyPartition, StrategyAll}[r.IntN(4)]
		d.Uplinks = [][]string{{"north", "south", "east"}, {"farm", "north", "east"}, {"east", "farm"}}[r.IntN(3)]
		d.Mitigators = [][]string{nil, nil, {"box"}, {"box", "hook"}}[r.IntN(4)]
		if r.IntN(2) == 0 {
			c.Uplinks[0].Prefixes, c.Uplinks[3].Prefixes = prefixes("198.51.100.0/26", "198.51.100.128/26"), prefixes("203.0.113.0/25")
		}
		p := mustNew(t, c)
		v := p.Admit(&fakeView{}, askPrefix([]string{"198.51.100.0/24", "198.51.100.0/27", "203.0.113.0/26", "2001:db8:1::/64"}[r.IntN(4)], "203.0.113.192/26"))
		if v.Deny != nil {
			continue
		}
		course := Course{Grant: v.Grant, Recursed: r.IntN(3) == 0, To: []string{"", "", "east", "farm/3", "farm"}[r.IntN(5)]}
		l := fakeLinks{}
		for _, u := range p.Uplinks() {
			l[u] = Link{Up: r.IntN(3) > 0, Back: r.IntN(3) > 0, Drained: r.IntN(5) == 0}
			if r.IntN(4) == 0 {
				course.At = append(course.At, u)
			}
			if r.IntN(8) == 0 {
				course.Refused = append(course.Refused, u)
			}
			if r.IntN(8) == 0 {
				course.Away = append(course.Away, u)
			}
		}
		places := p.Places(l, course)
		named[len(places)]++
		checkPlaces(t, p, l, course)
		if s := diff(places, p.Places(l, course)); s != "" {
			t.Fatalf("asked again: %s", s)
		}
		checkSettled(t, p, l, course)
		helped += checkBack(t, p, l, course)
	}
	if helped < 10 {
		t.Errorf("that somebody is back helped %d times only", helped)
	}
	for n := range 3 {
		if named[n] < 50 {
			t.Errorf("%d places came %d times only", n, named[n])
		}
	}
}

// checkBack holds that a session for so short that it does not count moves nobody who has a place without it, and finds one for who has none where it
// could count; then it returns 1.
func checkBack(t *testing.T, p *Policy, l fakeLinks, c Course) int {
	t.Helper()
	without, counted := fakeLinks{}, fakeLinks{}
	for u, state := range l {
		without[u] = Link{Up: state.Up, Drained: state.Drained}
		counted[u] = Link{Up: state.Up || state.Back, Drained: state.Drained}
	}
	got, want := p.Places(l, c), p.Places(without, c)
	if len(p.portions(c.Grant.Outside)) == 1 && len(want) == 0 {
		want = p.Places(counted, c)
		if s := diff(got, want); s != "" {
			t.Fatalf("nowhere but for who is back: %s", s)
		}
		return min(len(want), 1)
	}
	for _, at := range want {
		if !slices.ContainsFunc(got, func(o Place) bool { return o.Placement == at.Placement }) {
			t.Fatalf("%+v: %s is left for who is back: %+v", c, at.Uplink, got)
		}
	}
	return 0
}

// checkPlaces tests one answer.
func checkPlaces(t *testing.T, p *Policy, l fakeLinks, c Course) {
	t.Helper()
	whole := c.Grant.Outside.Expanded.Prefixes
	seen := map[string]bool{}
	for _, at := range p.Places(l, c) {
		what := fmt.Sprintf("%s of %+v with %v", at.Uplink, c, l)
		if seen[at.Uplink] {
			t.Fatalf("twice at %s", what)
		}
		seen[at.Uplink] = true
		if slices.Contains(c.Refused, at.Uplink) {
			t.Fatalf("refused by %s", what)
		}
		if l[at.Uplink].Drained && !slices.Contains(c.At, at.Uplink) {
			t.Fatalf("something new for a drained %s", what)
		}
		if len(at.Part.Target.Prefixes) == 0 {
			t.Fatalf("nothing for %s", what)
		}
		for _, q := range at.Part.Expanded.Prefixes {
			if !holds(whole, q) {
				t.Fatalf("%v was not asked for, at %s", q, what)
			}
			if p.Local(at.Uplink) {
				continue
			}
			for in, owner := range p.assigned.All() {
				if in.Overlaps(q) && owner != p.logical(at.Uplink) {
					t.Fatalf("%v is %s's, at %s", q, owner, what)
				}
			}
		}
	}
}

// checkSettled tests that an answer that was followed is the answer again: nothing wanders while nothing changes. Where something drains it takes two
// steps: another server of a farm is named once the one that drains is left.
func checkSettled(t *testing.T, p *Policy, l fakeLinks, c Course) {
	t.Helper()
	first := followed(p, l, &c)
	if slices.ContainsFunc(p.Uplinks(), func(u string) bool { return l[u].Drained }) {
		first = followed(p, l, &c)
	}
	if s := diff(first, p.Places(l, c)); s != "" {
		t.Fatalf("wanders: %s", s)
	}
}

// followed is an answer, and lets the course be there.
func followed(p *Policy, l fakeLinks, c *Course) []Place {
	places := p.Places(l, *c)
	c.At = nil
	for _, at := range places {
		c.At = append(c.At, at.Uplink)
	}
	slices.Sort(c.At)
	return places
}

// TestPortionsRandom compares the division by provider with the owner of each address.
func TestPortionsRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		c := estate()
		owner := map[byte]string{}
		for k := range 8 { // blocks of 32 addresses
			if u := r.IntN(4); u < 2 {
				c.Uplinks[u].Prefixes = append(c.Uplinks[u].Prefixes, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(32 * k)}), 27))
				owner[byte(k)] = c.Uplinks[u].Name
			}
		}
		p := mustNew(t, c)
		var f Footprint
		for range 1 + r.IntN(3) {
			f.Target.Prefixes = append(f.Target.Prefixes, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(r.IntN(256))}), 24+r.IntN(9)).Masked())
		}
		f.Target.Prefixes = outermost(f.Target.Prefixes)
		f.Expanded.Prefixes = f.Target.Prefixes
		count := map[string]int{}
		for _, one := range p.portions(f) {
			for _, q := range one.part.Expanded.Prefixes {
				for a := q.Addr(); q.Contains(a); a = a.Next() {
					count[one.owner]++
					if got := owner[a.As4()[3]/32]; got != one.owner || !holds(f.Target.Prefixes, netip.PrefixFrom(a, 32)) {
						t.Fatalf("%v of %q is in the part of %q of %v", a, got, one.owner, f.Target.Prefixes)
					}
				}
			}
		}
		total := 0
		for _, q := range f.Target.Prefixes {
			total += 1 << (32 - q.Bits())
		}
		if sum := count[""] + count["north"] + count["south"]; sum != total {
			t.Fatalf("%d of %d addresses of %v", sum, total, f.Target.Prefixes)
		}
	}
}
