package gateway

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
	"github.com/dotsgate/dotsgate/store"
)

// fabric is a core between clients and servers that behave by the book, or by a book of their own. It knows what was asked for and what stands
// where, and shares no code with what decides it.
type fabric struct {
	t        testing.TB
	seed     uint64
	draw     draw
	cfg      CoreConfig
	core     *Core
	box      outbox
	now      time.Time
	disk     map[identity][]byte
	batches  []Ready
	uplinks  []*simUplink
	requests []request // by ticket
	claims   map[dots.MitigationKey]*claim
	wishes   map[dots.MitigationKey]wish // what was wanted of late
	judged   map[dots.LegKey]bool
	scopes   map[string]string             // of our cuids
	dropped  map[dots.MitigationKey]Ticket // the last withdrawal
	counts   counts
	olds     uint32 // wishes of the past that were ever kept
	stirred  bool   // something at a server changed, or what is asked of it
	lines    int    // of the log that are told when something goes wrong
	asked    []Resolve
	log      []func() string
	traits
}

// traits are what the seed makes of the world.
type traits struct {
	strategy policy.Strategy
	mode     policy.CUIDMode
	overlap  policy.OverlapRule
	hostile  bool // servers refuse, forget and lose their sessions
	restarts bool
	drains   bool // the operator empties servers and uses them again
	inserts  bool // the cdid of a client's credential is told
	most     int  // elements in a datagram
}

// request is a question that waits for its answer.
type request struct {
	key      dots.MitigationKey
	cdid     string // as sent
	target   dots.Target
	armed    bool
	allowed  bool // by the rules of ownership
	thief    bool // under another client's cuid
	withdraw bool
	answered bool
}

// claim is a mitigation that its client was told of as accepted.
type claim struct {
	extent
	soft    area // where its names lead
	target  dots.Target
	armed   bool
	expires time.Time // zero: never
	stood   bool      // all of it was covered once, and nothing happened since that excuses a gap
	doubt   bool      // a server refused something since: it may be gone
}

// wish is an extent that a live mitigation had.
type wish struct {
	extent
	target       dots.Target
	soft         area
	armed, fired bool
	mid          uint32
	until        time.Time
}

// clients of the two domains.
func fabricClients() [2][]string { return [2][]string{{"a", "b", "c"}, {"d", "e"}} }

// clientsWord begins what clients say of themselves as cdid.
const clientsWord = "said-by-"

// gatewayOf reports whether a client is one that is trusted to supply a cdid.
func gatewayOf(client string) bool { return client == "c" || client == "e" }

func domainOf(client string) int {
	if client == "d" || client == "e" {
		return 1
	}
	return 0
}

func newFabric(t testing.TB, seed uint64) *fabric {
	r := rand.New(rand.NewPCG(seed, 11))
	f := &fabric{
		t: t, seed: seed, now: time.Unix(1000000, 0), disk: map[identity][]byte{}, claims: map[dots.MitigationKey]*claim{},
		wishes: map[dots.MitigationKey]wish{}, judged: map[dots.LegKey]bool{}, scopes: map[string]string{}, dropped: map[dots.MitigationKey]Ticket{}, lines: numberOf("DOTSGATE_MODEL_LINES", 100),
		requests: []request{{}}, draw: draw{Rand: r, names: seed%2 == 1},
	}
	f.strategy = []policy.Strategy{policy.StrategyFailover, policy.StrategySerial, policy.StrategyPartition, policy.StrategyAll}[r.IntN(4)]
	f.mode = []policy.CUIDMode{policy.CUIDAggregate, policy.CUIDPerDomain, policy.CUIDPerClient}[r.IntN(3)]
	f.overlap = policy.OverlapMerge
	switch {
	case r.IntN(5) == 0:
		f.overlap = policy.OverlapRejectNew
	case f.mode == policy.CUIDPerClient && r.IntN(2) == 0:
		f.overlap = policy.OverlapKeepBoth
	}
	f.inserts = f.mode == policy.CUIDPerClient && r.IntN(2) == 0
	f.hostile, f.restarts = r.IntN(3) == 0, r.IntN(3) == 0
	// Not drawn, so that the other seeds play what they did. Not while servers forget what stands there: what moves off a drained one may trust another
	// that has lost its session, and nobody can know that it has lost the rest.
	f.drains = seed%3 == 2 && !f.hostile
	f.most = 2 + r.IntN(12)
	for i := range 2 + r.IntN(3) {
		f.uplinks = append(f.uplinks, newSimUplink(fmt.Sprint("u", i)))
	}
	f.cfg = CoreConfig{
		Policy: f.policy(), NodeID: "gw", MIDBlock: 16, Identities: map[string][sha256.Size]byte{},
		NewCUID: func() string { return fmt.Sprint("made-", f.draw.Uint64()) },
	}
	f.cfg.Fits = func(_ string, l dots.Leg) bool {
		t := l.Request.Target
		return len(t.Prefixes)+len(t.FQDNs)+len(t.URIs) <= f.most
	}
	for _, u := range f.uplinks {
		f.cfg.Identities[u.name] = sha256.Sum256([]byte(u.name))
	}
	f.boot()
	return f
}

func (f *fabric) policy() *policy.Policy {
	c := policy.Config{Defaults: policy.Defaults{AllowIndefinite: true}}
	var names []string
	for i, u := range f.uplinks {
		up := policy.Uplink{Name: u.name, CUIDMode: f.mode, CDID: f.inserts}
		if f.strategy == policy.StrategyPartition && i < 2 { // one domain's lower half each
			up.Prefixes = []netip.Prefix{[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/28"), netip.MustParsePrefix("10.0.1.0/28")}[i]}
		}
		c.Uplinks = append(c.Uplinks, up)
		names = append(names, u.name)
	}
	for i, clients := range fabricClients() {
		d := policy.Domain{
			Name: fmt.Sprint("dom", i), Prefixes: blocksCached[2*i : 2*i+2], Names: []string{fmt.Sprintf("d%d.example", i)},
			URIs:    []string{fmt.Sprintf("https://d%d.example/", i)},
			Aliases: map[string]dots.Target{fmt.Sprint("web", i): {Prefixes: []netip.Prefix{webPrefix(i)}}},
			Uplinks: names, Strategy: f.strategy, OnOverlap: f.overlap,
		}
		for _, n := range clients {
			d.Clients = append(d.Clients, policy.ClientEntry{Name: n, PSKIdentities: []string{n}, TrustedGateway: gatewayOf(n)})
		}
		c.Domains = append(c.Domains, d)
	}
	p, err := policy.New(c)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// say keeps a line for the case that something goes wrong.
func (f *fabric) say(format string, args ...any) {
	at := f.now
	f.log = append(f.log, func() string {
		return fmt.Sprintf("%8s ", at.Sub(time.Unix(1000000, 0)).Round(time.Millisecond)) + fmt.Sprintf(format, args...)
	})
	if len(f.log) > 4*f.lines {
		f.log = slices.Clone(f.log[len(f.log)-f.lines:])
	}
}

// fail tells the seed and the last that happened.
func (f *fabric) fail(format string, args ...any) {
	f.t.Helper()
	f.t.Fatalf("%s\nseed %d %+v: %s", f.history(), f.seed, f.traits, fmt.Sprintf(format, args...))
}

// history is the last that happened.
func (f *fabric) history() string {
	var lines []string
	for _, l := range f.log[max(0, len(f.log)-f.lines):] {
		lines = append(lines, l())
	}
	return strings.Join(lines, "\n")
}

// keys lists what the core holds, sorted: a map's order would play otherwise each time.
func (f *fabric) keys() []dots.MitigationKey {
	return slices.SortedFunc(maps.Keys(f.core.mits), compareKeys)
}

// boot starts a core on what is durable.
func (f *fabric) boot() {
	core, err := NewCore(f.cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.core, f.box, f.batches, f.asked = core, outbox{}, nil, nil
	for _, u := range f.uplinks {
		u.up, u.wanted, u.said = false, map[dots.LegKey]dots.Leg{}, map[dots.LegKey]simVerdict{}
	}
	for _, kind := range recordKinds(f.disk) {
		for _, id := range kind {
			if err := core.Restore(f.now, store.Record{Kind: id.kind, Key: id.key, Value: f.disk[id]}); err != nil {
				f.fail("restoring %v: %v", id, err)
			}
		}
	}
	f.step(Restate{})
}

// recordKinds lists what is on a disk, kind by kind, sorted.
func recordKinds(disk map[identity][]byte) [][]identity {
	by := map[store.Kind][]identity{}
	var kinds []store.Kind
	for id := range disk {
		if by[id.kind] == nil {
			kinds = append(kinds, id.kind)
		}
		by[id.kind] = append(by[id.kind], id)
	}
	slices.Sort(kinds)
	var out [][]identity
	for _, k := range kinds {
		slices.SortFunc(by[k], func(a, b identity) int { return strings.Compare(a.key, b.key) })
		out = append(out, by[k])
	}
	return out
}

// step lets the core take an event, commits what it writes, and looks at everything.
func (f *fabric) step(ev Event) {
	f.t.Helper()
	out := f.core.Step(f.now, ev)
	for _, q := range out.Questions {
		if r, ok := q.(Resolve); ok {
			f.asked = append(f.asked, r)
		}
	}
	if out.Seq != 0 {
		f.batches = append(f.batches, out)
		wantTrueRecords(f.t, f.core, out.Records)
	}
	for _, v := range f.box.hold(out, f.core.durable) {
		f.show(v)
	}
	for len(f.batches) > 0 {
		b := f.batches[0]
		f.batches = f.batches[1:]
		for _, r := range b.Records {
			if r.Value == nil {
				delete(f.disk, identity{r.Kind, r.Key})
			} else {
				f.disk[identity{r.Kind, r.Key}] = r.Value
			}
		}
		f.core.Step(f.now, Committed{b.Seq})
		for _, v := range f.box.release(f.core.durable) {
			f.show(v)
		}
	}
	f.look()
}

// show takes what became visible to where it goes.
func (f *fabric) show(v Ready) {
	f.t.Helper()
	f.wish()
	for _, l := range v.Wants {
		f.say("   want %v withdraw=%v rev=%d hop=%d life=%d %s", l.Key, l.Withdraw, l.Revision, l.HopLimit, l.Request.Lifetime.Value, told(l.Request))
		f.judge(l)
		f.stirred = true
		u := f.uplink(l.Key.Uplink)
		u.wanted[l.Key], u.extents[l.Key] = l, simLegOf(l)
	}
	for _, k := range v.Forgets {
		f.say("   forget %v", k)
		delete(f.uplink(k.Uplink).wanted, k)
		delete(f.uplink(k.Uplink).said, k)
		delete(f.uplink(k.Uplink).extents, k)
	}
	for _, r := range v.Replies {
		f.stirred = true
		f.replied(r)
	}
}

func (f *fabric) uplink(name string) *simUplink {
	return f.uplinks[slices.IndexFunc(f.uplinks, func(u *simUplink) bool { return u.name == name })]
}

// told writes a request down.
func told(r dots.Request) string {
	s := targetText(r.Target)
	for _, p := range r.Target.Ports {
		s += fmt.Sprintf(" :%d-%d", p.Lower, p.Upper)
	}
	if len(r.Target.Protocols) > 0 {
		s += fmt.Sprint(" protocols ", r.Target.Protocols)
	}
	if r.OnSignalLoss {
		s += " armed"
	}
	return s
}

// advance moves the clock on, with a Tick at every deadline on the way.
func (f *fabric) advance(d time.Duration) {
	f.t.Helper()
	end := f.now.Add(d)
	for n := 0; ; n++ {
		at := f.core.Deadline()
		if at.IsZero() || at.After(end) {
			break
		}
		if n > 10000 {
			f.fail("deadline %v never passes", at)
		}
		if at.After(f.now) {
			f.now = at
			f.expire()
		}
		f.step(Tick{})
	}
	f.now = end
	f.expire()
	f.look()
}

// expire lets the servers drop what is over. Where the world has not delivered what was to prolong it, or to take its place, that is no gap of the
// core's making for whom it covered: it asked in time, and the session repeats a request until it is answered.
func (f *fabric) expire() {
	for _, u := range f.uplinks {
		over := u.expire(f.now)
		f.stirred = f.stirred || len(over) > 0
		for _, k := range slices.SortedFunc(maps.Keys(over), compareLegKeys) {
			l, ok := u.wanted[k] // not any more: another one is to take its place, and would have asked for longer
			if ok && !l.Withdraw && u.said[k].revision != l.Revision || !l.Withdraw && u.doomed(k, over[k]) {
				f.say("%s %v is over, and what was to follow it has not got there", u.name, k)
				f.uncover(k, over[k])
			}
		}
	}
}

// uncover excuses a gap where a leg covered something.
func (f *fabric) uncover(k dots.LegKey, s *simLeg) {
	for _, c := range f.covered(k, s) {
		c.stood = false
	}
}

// covered lists what was accepted of those for whom a leg may be.
func (f *fabric) covered(k dots.LegKey, s *simLeg) []*claim {
	var found []*claim
	for key, c := range f.claims {
		w := wish{extent: c.extent, soft: c.soft}
		if w.meets(s.extent, s.soft) && f.speaksFor(f.scopes[k.CUID], key.Client) {
			found = append(found, c)
		}
	}
	return found
}
