package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// legWorld is what a core keeps around Arrange: who wants what, and which legs stand for it.
type legWorld struct {
	t      testing.TB
	seed   uint64
	r      *rand.Rand
	shares map[dots.MitigationKey]Share
	legs   []Bundle // Keeps and Replaces mean nothing here
	leads  map[string][]netip.Addr
	log    []func() string // what happened, put into words only when it went wrong
	fits   func(dots.Target) bool
	kept   int
	made   int
}

func (w *legWorld) logf(format string, args ...any) {
	w.log = append(w.log, func() string { return fmt.Sprintf(format, args...) })
}

func (w *legWorld) fail(format string, args ...any) {
	w.t.Helper()
	var told []string
	for _, f := range w.log[max(0, len(w.log)-60):] {
		told = append(told, f())
	}
	w.t.Fatalf("seed %d\n%s\n%s", w.seed, strings.Join(told, "\n"), fmt.Sprintf(format, args...))
}

// draw makes a random target: prefixes, names, URIs, ports.
func (w *legWorld) draw() dots.Target {
	r := w.r
	var t dots.Target
	if r.IntN(8) > 0 {
		t.Prefixes = tinyPrefixes(r, 1+r.IntN(4))
	}
	if r.IntN(3) == 0 || len(t.Prefixes) == 0 {
		t.FQDNs = append(t.FQDNs, fmt.Sprintf("n%d.example", r.IntN(5)))
		if r.IntN(3) == 0 {
			t.FQDNs = append(t.FQDNs, fmt.Sprintf("N%d.example", 5+r.IntN(3)))
		}
	}
	if r.IntN(8) == 0 {
		t.URIs = []string{fmt.Sprintf("https://n%d.example/", r.IntN(5))}
	}
	if r.IntN(10) == 0 {
		t.URIs = append(t.URIs, "https://10.0.0.9/")
	}
	for range r.IntN(3) {
		low := uint16(r.IntN(6))
		t.Ports = append(t.Ports, dots.PortRange{Lower: low, Upper: low + uint16(r.IntN(3))})
	}
	for range r.IntN(3) {
		t.Protocols = append(t.Protocols, []uint8{6, 17, 1}[r.IntN(3)])
	}
	t.Ports, t.Protocols = unique(t.Ports), unique(t.Protocols)
	return t
}

// expand does what the domain's expand does.
func (w *legWorld) expand(t dots.Target) Footprint {
	e := Expanded{Prefixes: slices.Clone(t.Prefixes)}
	for _, s := range t.FQDNs {
		e.Names = append(e.Names, fqdnKey(s))
	}
	for _, s := range t.URIs {
		u, _ := parseURI(s)
		e.URIs = append(e.URIs, u.String())
		if u.addr.IsValid() {
			e.Prefixes = append(e.Prefixes, netip.PrefixFrom(u.addr, u.addr.BitLen()))
		} else {
			e.Names = append(e.Names, u.host)
		}
	}
	for _, n := range e.Names {
		for _, a := range w.leads[n] {
			e.Prefixes = append(e.Prefixes, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return Footprint{Target: t, Expanded: e.normal()}
}

// resolve lets a name lead to something else.
func (w *legWorld) resolve(name string) {
	var list []netip.Addr
	for range w.r.IntN(3) {
		list = append(list, tiny()[w.r.IntN(64)])
	}
	w.leads[name] = list
}

// change draws what happens next, and returns who is concerned.
func (w *legWorld) change() []dots.MitigationKey {
	key := keyOf(fmt.Sprint("c", w.r.IntN(3)), uint32(w.r.IntN(3)))
	switch {
	case w.r.IntN(12) == 0:
		name := fmt.Sprintf("n%d.example", w.r.IntN(8))
		w.resolve(name)
		w.logf("%s leads to %v", name, w.leads[name])
		var concerned []dots.MitigationKey
		for k, s := range w.shares {
			if slices.Contains(s.Expanded.Names, name) {
				w.shares[k] = Share{Key: k, Footprint: w.expand(s.Target)}
				concerned = append(concerned, k)
			}
		}
		slices.SortFunc(concerned, compareKey)
		return concerned
	case w.r.IntN(5) < 2:
		w.logf("%v leaves", key)
		delete(w.shares, key)
	default:
		s := Share{Key: key, Footprint: w.expand(w.draw())}
		w.logf("%v wants %+v (%v)", key, s.Target, s.Expanded.Prefixes)
		w.shares[key] = s
	}
	return []dots.MitigationKey{key}
}

// follow arranges the neighbourhood of those concerned, as the core does: the legs that carry or overlap what changed, what all their
// members want, and the other legs of these as fixed.
func (w *legWorld) follow(concerned []dots.MitigationKey) {
	var near, fixed, far []Bundle
	members := map[dots.MitigationKey]bool{}
	for _, k := range concerned {
		members[k] = true
	}
	for _, l := range w.legs {
		if slices.ContainsFunc(concerned, func(k dots.MitigationKey) bool {
			return slices.Contains(l.Members, k) || w.shares[k].Expanded.Overlaps(l.Expanded)
		}) {
			near = append(near, l)
			for _, k := range l.Members {
				members[k] = true
			}
		} else {
			far = append(far, l)
		}
	}
	for _, l := range far {
		if slices.ContainsFunc(l.Members, func(k dots.MitigationKey) bool { return members[k] }) {
			fixed = append(fixed, l)
		}
	}
	var standing []Standing
	for _, l := range near {
		standing = append(standing, Standing{Footprint: l.Footprint})
	}
	for _, l := range fixed {
		standing = append(standing, Standing{Footprint: l.Footprint, Fixed: true})
	}
	var wanted []Share
	for k := range members {
		if s, ok := w.shares[k]; ok {
			wanted = append(wanted, s)
		}
	}
	w.checkOrder(standing, wanted)
	slices.SortFunc(wanted, func(a, b Share) int { return compareKey(a.Key, b.Key) })
	got := Arrange(standing, wanted, w.fits)
	w.checkStep(standing, wanted, got)
	w.legs = append(far, got...)
	for i, l := range w.legs {
		w.logf("   leg %d: %+v (%v) of %v keeps %d replaces %v", i, l.Target, l.Expanded.Prefixes, l.Members, l.Keeps, l.Replaces)
	}
	w.checkWorld()
}

// checkOrder shuffles what Arrange is given.
func (w *legWorld) checkOrder(standing []Standing, wanted []Share) {
	w.r.Shuffle(len(wanted), func(i, j int) { wanted[i], wanted[j] = wanted[j], wanted[i] })
	first := Arrange(standing, wanted, w.fits)
	w.r.Shuffle(len(wanted), func(i, j int) { wanted[i], wanted[j] = wanted[j], wanted[i] })
	other := slices.Clone(standing)
	slices.Reverse(other)
	second := Arrange(other, wanted, w.fits)
	if len(first) != len(second) {
		w.fail("the order matters:\n%+v\n%+v", first, second)
	}
	for _, b := range second { // the other way round
		if b.Keeps >= 0 {
			b.Keeps = len(standing) - 1 - b.Keeps
		}
		for i, k := range b.Replaces {
			b.Replaces[i] = len(standing) - 1 - k
		}
		slices.Sort(b.Replaces)
		if !slices.ContainsFunc(first, func(o Bundle) bool {
			return o.Keeps == b.Keeps && slices.Equal(o.Replaces, b.Replaces) && slices.Equal(o.Members, b.Members) && sameTarget(o.Target, b.Target)
		}) {
			w.fail("the order matters:\n%+v\n%+v", first, second)
		}
	}
}

// checkStep tests the way from what stands to what is to stand: nothing that is wanted is without cover on it.
func (w *legWorld) checkStep(standing []Standing, wanted []Share, got []Bundle) {
	w.t.Helper()
	named := map[int]bool{}
	for _, b := range got {
		if b.Keeps >= 0 {
			w.kept++
			if len(b.Replaces) > 0 || !standing[b.Keeps].Target.Equal(b.Target) || standing[b.Keeps].Fixed || named[b.Keeps] {
				w.fail("kept, but changed, fixed or twice: %+v", b)
			}
			named[b.Keeps] = true
			continue
		}
		w.made++
		if !slices.IsSorted(b.Replaces) || !properSet(b.Target.Prefixes) || !slices.IsSortedFunc(b.Members, compareKey) {
			w.fail("not in order: %+v", b)
		}
		for i, s := range standing {
			if replaced := slices.Contains(b.Replaces, i); s.Expanded.Overlaps(b.Expanded) && !replaced {
				w.fail("%+v would be deleted by %+v, which does not replace it", s, b)
			} else if replaced && (s.Fixed || named[i]) {
				w.fail("%+v is fixed, or replaced twice", s)
			} else if replaced {
				named[i] = true
				w.checkWhole(s, wanted, b)
			}
		}
		w.checkSize(b)
	}
	for i, s := range standing {
		if s.Fixed || named[i] {
			continue
		}
		for _, x := range wanted {
			if x.Expanded.Overlaps(s.Expanded) {
				w.fail("%+v is dropped, but wanted by %+v", s, x)
			}
		}
	}
}

// checkSize tests that only what replaces something or has names is more than one datagram, what is so with a single prefix, and what
// the ports of a second member made so.
func (w *legWorld) checkSize(b Bundle) {
	one := b.Target
	if len(b.Replaces) > 0 || len(b.Members) > 1 || len(one.FQDNs)+len(one.URIs) > 0 || w.fits(one) {
		return
	}
	one.Prefixes = one.Prefixes[:1]
	if w.fits(one) {
		w.fail("does not fit: %+v", b)
	}
}

// checkWhole tests that all that is still wanted of a leg is in the one that replaces it.
func (w *legWorld) checkWhole(s Standing, wanted []Share, b Bundle) {
	for _, x := range wanted {
		if still := hosts(s.Expanded.Prefixes) & hosts(x.Expanded.Prefixes); still&^hosts(b.Expanded.Prefixes) != 0 {
			w.fail("%v of %+v, that %v wants, is not in %+v", still, s, x.Key, b)
		}
		for _, n := range common(s.Expanded.Names, x.Expanded.Names) {
			if !slices.Contains(b.Expanded.Names, n) {
				w.fail("%s of %+v, that %v wants, is not in %+v", n, s, x.Key, b)
			}
		}
	}
}

// checkWorld tests what stands: disjoint, covered with its ports, and nothing beyond.
func (w *legWorld) checkWorld() {
	w.t.Helper()
	var all uint64
	for i, l := range w.legs {
		for _, o := range w.legs[:i] {
			if o.Expanded.Overlaps(l.Expanded) {
				w.fail("%+v and %+v overlap", o, l)
			}
		}
		var asked uint64
		var s service
		var names []string
		for k, x := range w.shares {
			member := slices.Contains(l.Members, k)
			if member != x.Expanded.Overlaps(l.Expanded) {
				w.fail("%v is a member or is not: %+v", k, l)
			}
			if member {
				asked |= hosts(x.Target.Prefixes)
				s = s.with(x.Target)
				names = append(names, x.Expanded.Names...)
			}
		}
		if beyond := hosts(l.Target.Prefixes) &^ asked; beyond != 0 {
			w.fail("nobody asked for %x of %+v", beyond, l)
		}
		for _, n := range l.Expanded.Names {
			if !slices.Contains(names, n) {
				w.fail("nobody asked for %s of %+v", n, l)
			}
		}
		if !serviceOf(l.Target).equal(s) {
			w.fail("ports or protocols of %+v are not %+v", l, s)
		}
		all |= hosts(l.Target.Prefixes)
	}
	for k, x := range w.shares {
		if lost := hosts(x.Target.Prefixes) &^ all; lost != 0 {
			w.fail("%x of %v is not covered", lost, k)
		}
		w.checkNames(k, x)
	}
}

// checkNames tests that one leg has all names and URIs of a share.
func (w *legWorld) checkNames(k dots.MitigationKey, x Share) {
	w.t.Helper()
	if x.textual() && !slices.ContainsFunc(w.legs, func(l Bundle) bool {
		t := l.Target
		return len(common(l.Expanded.Names, x.Expanded.Names)) == len(x.Expanded.Names) &&
			len(common(l.Expanded.URIs, x.Expanded.URIs)) == len(x.Expanded.URIs) &&
			!slices.ContainsFunc(x.Target.FQDNs, func(s string) bool {
				return !slices.ContainsFunc(t.FQDNs, func(o string) bool { return fqdnKey(o) == fqdnKey(s) })
			}) &&
			!slices.ContainsFunc(x.Target.URIs, func(s string) bool {
				return !slices.ContainsFunc(t.URIs, func(o string) bool { return uriKey(o) == uriKey(s) })
			}) && hosts(x.Expanded.Prefixes)&^hosts(x.Target.Prefixes)&^hosts(l.Expanded.Prefixes) == 0
	}) {
		w.fail("the names of %v are in no leg", k)
	}
}

// TestArrangeWorld lets shares come, change and go at random. Each step changes one or several of them.
func TestArrangeWorld(t *testing.T) {
	kept, made := 0, 0
	for seed := range uint64(80) {
		w := newLegWorld(t, seed)
		for range 40 {
			concerned := w.change()
			for w.r.IntN(3) == 0 {
				concerned = append(concerned, w.change()...)
			}
			w.follow(concerned)
			w.rest()
		}
		kept, made = kept+w.kept, made+w.made
	}
	if kept < 700 || made < 2500 {
		t.Errorf("%d legs kept, %d made: the test shows little", kept, made)
	}
}

func newLegWorld(t testing.TB, seed uint64) *legWorld {
	r := rand.New(rand.NewPCG(seed, 7))
	most := 2 + r.IntN(12)
	w := &legWorld{
		t: t, seed: seed, r: r, shares: map[dots.MitigationKey]Share{}, leads: map[string][]netip.Addr{},
		fits: func(t dots.Target) bool { return len(t.Prefixes)+len(t.FQDNs)+len(t.URIs)+len(t.Ports) <= most },
	}
	for n := range 8 {
		w.resolve(fmt.Sprintf("n%d.example", n))
	}
	return w
}

// rest tests that nothing changes where nothing has to: over the whole world at once.
func (w *legWorld) rest() {
	var standing []Standing
	for _, l := range w.legs {
		standing = append(standing, Standing{Footprint: l.Footprint})
	}
	var wanted []Share
	for _, s := range w.shares {
		wanted = append(wanted, s)
	}
	for _, b := range Arrange(standing, wanted, w.fits) {
		if b.Keeps < 0 {
			w.fail("changed at rest: %+v", b)
		}
		if was := w.legs[b.Keeps]; !reflect.DeepEqual(was.Expanded, b.Expanded) || !slices.Equal(was.Members, b.Members) {
			w.fail("not the same at rest: %+v and %+v", was, b)
		}
	}
}
