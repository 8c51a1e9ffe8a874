package gateway

import (
	"fmt"
	"maps"
	"math/rand"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// model plays random events against a rig and knows what may never happen.
type model struct {
	*rig
	rnd       *rand.Rand
	acked     map[dots.MitigationKey]bool // its client was told that it stands
	withdrawn map[dots.MitigationKey]bool // its client was told that it is gone, and did not ask again
	bodies    map[dots.LegKey]string      // what was ever asked for under a mid
	keys      map[Ticket]dots.MitigationKey
	lostTill  Ticket // tickets that a restart took along
}

// TestRandom plays random requests, answers, reports, failures of the disk and restarts, with a fixed seed each.
func TestRandom(t *testing.T) {
	for _, seed := range []int64{366, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 101, 185, 1018, 1023, 1058} { // the last five and the first found faults
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			m := &model{
				rig: newRig(t, CoreConfig{MIDBlock: 3, NoMirror: seed%4 == 3, Policy: modelPolicy(t, seed), Fits: modelFits(seed)}), rnd: rand.New(rand.NewSource(seed)),
				acked: map[dots.MitigationKey]bool{}, withdrawn: map[dots.MitigationKey]bool{},
				bodies: map[dots.LegKey]string{}, keys: map[Ticket]dots.MitigationKey{},
			}
			m.seen = m.visible
			m.manual, m.trace = true, testing.Verbose()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("the last it did:\n%s", strings.Join(m.lines, "\n"))
				}
			})
			m.step(LinkUp{"up"})
			for range 2000 {
				m.lines = m.lines[max(0, len(m.lines)-4000):]
				m.random()
				m.check()
				m.disjoint()
			}
			m.quiesce()
		})
	}
}

// modelPolicy lets clients share legs with every seed but the even ones, over one uplink or several by one of the strategies.
func modelPolicy(t *testing.T, seed int64) *policy.Policy {
	t.Helper()
	return testPolicyFor(t, func(c *policy.Config) {
		d := &c.Domains[0]
		if seed%2 == 1 {
			d.OnOverlap = policy.OverlapMerge
		}
		if n := seed / 2 % 5; n > 0 {
			c.Uplinks = []policy.Uplink{{Name: "up"}, {Name: "two"}}
			d.Uplinks = []string{"up", "two"}
			d.Strategy = []policy.Strategy{policy.StrategyFailover, policy.StrategySerial, policy.StrategyPartition, policy.StrategyAll}[n-1]
		}
		if d.Strategy == policy.StrategyPartition {
			c.Uplinks[0].Prefixes = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/26")}
			c.Uplinks[1].Prefixes = []netip.Prefix{netip.MustParsePrefix("192.0.2.64/26"), netip.MustParsePrefix("192.0.2.128/25")}
		}
	})
}

// modelFits lets only small targets fit one datagram with some seeds.
func modelFits(seed int64) func(string, dots.Leg) bool {
	if seed%3 > 0 {
		return nil
	}
	return func(_ string, l dots.Leg) bool { return len(l.Request.Target.Prefixes) <= 2 }
}

// random plays one event.
func (m *model) random() {
	switch p := m.rnd.Intn(100); {
	case p < 22:
		m.put()
	case p < 30:
		m.withdraw()
	case p < 36:
		m.step(Inspect{Ticket: m.ticket("get"), Client: m.client()})
	case p < 56:
		m.uplinkAnswers()
	case p < 62:
		m.uplinkReports()
	case p < 64:
		m.step(Resolved{Name: m.name(), Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.200")}, TTL: time.Minute, Failed: m.rnd.Intn(3) == 0})
	case p < 66:
		if uplink := m.anUplink(); m.rnd.Intn(3) == 0 {
			m.step(LinkDown{Uplink: uplink})
		} else {
			m.step(LinkUp{uplink})
		}
	case p < 68:
		m.step(ClientGone{Client: m.client().Name})
	case p < 80:
		m.advance(time.Duration(m.rnd.Intn(4000)) * time.Millisecond)
	case p < 96:
		m.commit()
	case p < 98:
		full := m.rnd.Intn(2) == 0
		m.fail(full, !full && m.rnd.Intn(3) == 0)
	case p < 99:
		m.advance(time.Duration(m.rnd.Intn(300)) * time.Second)
	default:
		m.crash()
	}
}

func (m *model) client() dots.Client {
	name := []string{"a", "b", "a"}[m.rnd.Intn(3)]
	return dots.Client{Name: name, CUID: name + fmt.Sprint(m.rnd.Intn(2))}
}

func (m *model) anUplink() string { return []string{"up", "two"}[m.rnd.Intn(2)] }

func (m *model) name() string { return []string{"www.example.com", "x.example.com"}[m.rnd.Intn(2)] }

func (m *model) put() {
	ask := dots.Ask{Client: m.client(), HopLimit: 9, Update: m.rnd.Intn(8) == 0, Efficacy: m.rnd.Intn(10) == 0}
	ask.Request = put(uint32(m.rnd.Intn(12)), fmt.Sprintf("192.0.2.%d/%d", m.rnd.Intn(8)*16, 28+m.rnd.Intn(5)))
	if m.rnd.Intn(8) == 0 {
		ask.Request.Target = dots.Target{FQDNs: []string{m.name()}}
	}
	if m.rnd.Intn(4) == 0 {
		more := fmt.Sprintf("192.0.2.%d/%d", m.rnd.Intn(8)*16, 28+m.rnd.Intn(5))
		ask.Request.Target.Prefixes = append(ask.Request.Target.Prefixes, netip.MustParsePrefix(more))
	}
	ask.HopLimit = uint8(1 + m.rnd.Intn(9))
	ask.Request.OnSignalLoss = m.rnd.Intn(4) == 0
	ask.Request.Lifetime.Value = []dots.Lifetime{3600, 60, 5, -1}[m.rnd.Intn(4)]
	key := dots.MitigationKey{Client: ask.Client, MID: ask.Request.MID}
	if held := m.core.mits[key]; held != nil && m.rnd.Intn(2) == 0 {
		ask.Request.Target, ask.Request.OnSignalLoss = held.asked.Target, held.asked.OnSignalLoss
	}
	delete(m.withdrawn, key)
	t := m.ticket(fmt.Sprintf("put %v", key))
	m.keys[t] = key
	m.step(Mitigate{t, ask})
}

func (m *model) withdraw() {
	key := dots.MitigationKey{Client: m.client(), MID: uint32(m.rnd.Intn(12))}
	t := m.ticket(fmt.Sprintf("delete %v", key))
	m.keys[t] = key
	m.step(Withdraw{t, key})
}

// sortedWanted lists what the uplink is to make so.
func (m *model) sortedWanted() []dots.Leg {
	var legs []dots.Leg
	for _, l := range m.wanted {
		legs = append(legs, l)
	}
	slices.SortFunc(legs, func(a, b dots.Leg) int {
		return slices.Compare([]byte(legRecordKey(a.Key)), []byte(legRecordKey(b.Key)))
	})
	return legs
}

func (m *model) uplinkAnswers() {
	legs := m.sortedWanted()
	if len(legs) == 0 {
		return
	}
	l := legs[m.rnd.Intn(len(legs))]
	if held := m.core.leg(l.Key); held != nil && held.vanished {
		return // it went there, and would not be taken with a lower mid
	}
	a := dots.LegAnswer{Key: l.Key, Revision: l.Revision, Withdraw: l.Withdraw, Code: dots.CodeCreated}
	if l.Withdraw {
		a.Code = dots.CodeDeleted
	}
	switch m.rnd.Intn(12) {
	case 0:
		a.Code, a.MaxAge = dots.CodeUnavailable, 10*time.Second
	case 1:
		a.Code = dots.CodeBadRequest
	case 2:
		a.Code = dots.CodeNotFound
	case 3:
		a.Code, a.Conflict = dots.CodeConflict, dots.Some(dots.Conflict{Cause: dots.ConflictCause(1 + m.rnd.Intn(3))})
	case 4:
		a.Code = []dots.Code{dots.CodeUnauthorized, dots.CodeLoop, dots.CodeUnprocessable}[m.rnd.Intn(3)]
	case 5:
		a.Lifetime = dots.Some[dots.Lifetime](10)
	case 6:
		a.Revision--
	}
	m.step(Answered{a})
}

func (m *model) uplinkReports() {
	ev := Reported{Uplink: m.anUplink(), Complete: m.rnd.Intn(3) == 0}
	for _, l := range m.sortedWanted() {
		if ev.CUID == "" && l.Key.Uplink == ev.Uplink {
			ev.CUID = l.Key.CUID
		}
		if l.Key.Uplink == ev.Uplink && l.Key.CUID == ev.CUID && m.rnd.Intn(4) > 0 {
			ev.Reports = append(ev.Reports, dots.Report{MID: l.Key.MID, Status: dots.Status(1 + m.rnd.Intn(8)), Lifetime: 60})
		}
	}
	if m.rnd.Intn(10) == 0 {
		ev.Reports = append(ev.Reports, dots.Report{MID: uint32(m.rnd.Intn(5000)), Status: dots.StatusMitigated, Lifetime: 60})
	}
	m.step(ev)
}

// disjoint tests that no two legs of ours push each other out at the uplink, which deletes the one of two that overlap
// that has the lower mid (RFC 9132, Section 4.4.1.3).
func (m *model) disjoint() {
	m.t.Helper()
	c := m.core
	for _, s := range c.legs {
		for _, l := range s.legs {
			if !l.current {
				continue
			}
			for _, k := range c.ground.Overlaps(l.plot().name(), l.part.Expanded) {
				if k != l.want.Key && c.leg(k).part.Expanded.Overlaps(l.part.Expanded) {
					m.t.Fatalf("legs %v and %v delete each other", l.want.Key, k)
				}
			}
		}
	}
}

// visible is called for all that others can see.
func (m *model) visible(v Ready) {
	m.t.Helper()
	for _, l := range v.Wants {
		m.legVisible(l)
	}
	for _, r := range v.Replies {
		if m.answered[r.Ticket] > 1 || r.Ticket <= m.lostTill {
			m.t.Fatalf("%s was answered again", m.labels[r.Ticket])
		}
		key, ok := m.keys[r.Ticket]
		if !ok || r.Err != nil {
			continue
		}
		_, stored := m.disk[identity{kindMitigation, mitigationRecordKey(key)}]
		held := m.core.mits[key]
		switch r.Answer.Code {
		case dots.CodeDeleted:
			if held == nil || held.phase != live {
				m.withdrawn[key] = true
				delete(m.acked, key)
			}
			if stored && m.withdrawn[key] && !m.onTheWay(key) {
				m.t.Fatalf("%s was answered while the disk has it", m.labels[r.Ticket])
			}
		case dots.CodeCreated, dots.CodeChanged:
			if !stored && held != nil && held.phase == live && held.born <= m.core.durable {
				m.t.Fatalf("%s was answered before the disk had it", m.labels[r.Ticket])
			}
			m.acked[key] = true
		}
	}
}

// onTheWay reports whether a batch on its way concerns a mitigation.
func (m *model) onTheWay(key dots.MitigationKey) bool {
	for _, b := range m.batches {
		for _, r := range b.Records {
			if (r.Kind == kindMitigation || r.Kind == kindProlonged) && r.Key == mitigationRecordKey(key) {
				return true
			}
		}
	}
	return false
}

func (m *model) legVisible(l dots.Leg) {
	m.t.Helper()
	if l.Withdraw {
		return
	}
	body := fmt.Sprint(targetText(l.Request.Target), l.Request.OnSignalLoss)
	if old, ok := m.bodies[l.Key]; ok && old != body {
		m.t.Fatalf("mid of %v was used for %s and is used for %s", l.Key, old, body)
	}
	m.bodies[l.Key] = body
	if l.Request.Lifetime.Value == 0 {
		m.t.Fatalf("%v is asked for with lifetime 0", l.Key)
	}
	for _, id := range []identity{{kindLeg, legRecordKey(l.Key)}, {kindCounter, l.Key.Uplink + keySep + l.Key.CUID}} {
		if m.disk[id] == nil {
			m.t.Fatalf("%v is asked for, the disk has no %s of it", l.Key, id.kind)
		}
	}
}

// challenged reports whether a request that is not decided yet is to supersede a mitigation: a restart decides that it does. The same goes
// for one that a broken disk may have kept although it said that it failed.
func (m *model) challenged(k dots.MitigationKey) bool {
	for _, by := range m.core.byClient[k.Client] {
		if slices.Contains(by.grant.Supersedes, k.MID) {
			return true
		}
	}
	ids := slices.Collect(maps.Keys(m.core.owed.set))
	for _, b := range m.batches { // a refusal that is not durable was told to nobody
		for _, r := range b.Records {
			ids = append(ids, identity{r.Kind, r.Key})
		}
	}
	for _, id := range ids {
		if by, err := parseMitigationKey(id.key); id.kind == kindMitigation && err == nil && by.Client == k.Client {
			return true
		}
	}
	return false
}

// crash restarts: what was promised is there, what was withdrawn is not.
func (m *model) crash() {
	m.t.Helper()
	promised := map[dots.MitigationKey]time.Time{}
	for k := range m.acked {
		own, prolonged := identity{kindMitigation, mitigationRecordKey(k)}, identity{kindProlonged, mitigationRecordKey(k)}
		owed := m.core.owed.set[own] || m.core.owed.set[prolonged]
		if held := m.core.mits[k]; held != nil && held.phase == live && !held.fresh && !owed && !m.onTheWay(k) && !m.challenged(k) {
			promised[k] = held.expires
		}
	}
	m.lostTill = Ticket(len(m.labels) - 1)
	m.boot()
	m.step(LinkUp{"up"})
	for k, until := range promised {
		held := m.core.mits[k]
		if held == nil || held.phase != live {
			m.t.Fatalf("%v was promised and is lost", k)
		}
		if held.expires.IsZero() != until.IsZero() || held.expires.Sub(until).Abs() > time.Second {
			m.t.Fatalf("%v was promised until %v, and is to last until %v", k, until, held.expires)
		}
	}
	for k := range m.withdrawn {
		if held := m.core.mits[k]; held != nil && held.phase == live {
			m.t.Fatalf("%v was withdrawn and is back", k)
		}
	}
}

// quiesce lets everything come to its end: every caller is answered, and nothing is left over.
func (m *model) quiesce() {
	m.t.Helper()
	m.manual = false
	m.commit()
	m.step(LinkUp{"up"})
	m.advance(10 * time.Second)
	for _, n := range []string{"www.example.com", "x.example.com"} {
		m.step(Resolved{Name: n, Failed: true}) // a resolver answers in the end
	}
	for t := m.lostTill + 1; int(t) < len(m.labels); t++ {
		if m.answered[t] != 1 {
			m.t.Errorf("%s was answered %d times", m.labels[t], m.answered[t])
		}
	}
	for k := range m.core.mits {
		m.step(Withdraw{m.ticket("delete"), k})
	}
	for range 3 {
		for _, l := range m.sortedWanted() {
			m.step(Answered{dots.LegAnswer{Key: l.Key, Revision: l.Revision, Withdraw: l.Withdraw, Code: dots.CodeDeleted}})
		}
		m.advance(25 * time.Hour)
	}
	m.check()
	c := m.core
	if n := len(c.mits) + len(c.legs) + len(c.asks) + len(c.names) + len(c.cuids) + len(c.due.h) + len(c.flights) + len(c.owed.set) + len(c.blocks) + len(c.replacedBy); n != 0 {
		m.t.Errorf("left over: %d mitigations, legs %v, %d asks, %d names, %d cuids, %d deadlines, %d flights, %d owed",
			len(c.mits), c.legs, len(c.asks), len(c.names), len(c.cuids), len(c.due.h), len(c.flights), len(c.owed.set))
	}
	for id := range m.disk {
		if id.kind != kindCounter && id.kind != kindOwn {
			m.t.Errorf("left over on disk: %s %q", id.kind, id.key)
		}
	}
}
