package gateway

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/store"
)

// rig drives a core as the loop does, with a disk that commits when it is told to, and writes down what can be seen.
type rig struct {
	t        testing.TB
	cfg      CoreConfig
	core     *Core
	box      outbox
	now      time.Time
	start    time.Time
	damaged  bool                // something on the disk cannot be read
	manual   bool                // commits wait for a command
	disk     map[identity][]byte // what is durable
	batches  []Ready             // on their way
	wanted   map[dots.LegKey]dots.Leg
	labels   []string // by ticket
	answered map[Ticket]int
	consults map[dots.MitigationKey]Consult // the newest
	seen     func(Ready)                    // called for all that becomes visible
	lines    []string
	uplink   string   // the domains', and the one that answers
	cuids    []string // ours, in order of appearance
	made     int
	trace    bool // events, too
	activity bool // and who has active mitigations
}

func newRig(t testing.TB, cfg CoreConfig) *rig {
	t.Helper()
	r := &rig{
		t: t, cfg: cfg, disk: map[identity][]byte{}, wanted: map[dots.LegKey]dots.Leg{}, labels: []string{""}, answered: map[Ticket]int{},
		consults: map[dots.MitigationKey]Consult{},
	}
	r.start = time.Unix(1000000, 0)
	r.now = r.start
	if r.cfg.Policy == nil {
		r.cfg.Policy = testPolicy(t)
	}
	r.cfg.NodeID = "gw"
	r.uplink = "up"
	r.cfg.Identities = map[string][sha256.Size]byte{"up": sha256.Sum256([]byte("gateway"))}
	for _, n := range []string{"new", "one", "two", "three"} {
		r.cfg.Identities[n] = sha256.Sum256([]byte(n))
	}
	r.cfg.NewCUID = func() string { r.made++; return fmt.Sprintf("made-%d", r.made) }
	r.boot()
	return r
}

// boot starts a core on what is durable, as a restart does: everything else is lost.
func (r *rig) boot() {
	r.t.Helper()
	core, err := NewCore(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.core, r.box, r.batches = core, outbox{}, nil
	r.wanted = map[dots.LegKey]dots.Leg{}
	ids := make([]identity, 0, len(r.disk))
	for id := range r.disk {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b identity) int {
		return cmp.Or(strings.Compare(string(a.kind), string(b.kind)), strings.Compare(a.key, b.key))
	})
	for _, id := range ids {
		if err := core.Restore(r.now, store.Record{Kind: id.kind, Key: id.key, Value: r.disk[id]}); err != nil {
			if !r.damaged {
				r.t.Fatal(err)
			}
			r.say("aside %s %s: %v", id.kind, strings.ReplaceAll(id.key, keySep, "/"), err)
		}
	}
	r.step(Restate{})
}

// step lets the core take an event.
func (r *rig) step(ev Event) {
	r.t.Helper()
	if r.trace {
		r.say("%s %T%+v", r.now.Sub(r.start), ev, ev)
	}
	out := r.core.Step(r.now, ev)
	for _, n := range out.Notes {
		text := n.Text
		for _, a := range n.All() {
			if a.Key == "count" {
				text += " " + a.String()
			}
		}
		r.say("note %s: %s", n.Level, text)
	}
	for _, q := range out.Questions {
		r.asked(q)
	}
	for _, a := range out.Activity {
		if r.activity {
			r.say("active %s %t", a.Client, a.On)
		}
	}
	if out.Seq != 0 {
		r.batches = append(r.batches, out)
		r.sayRecords(out)
		wantTrueRecords(r.t, r.core, out.Records)
	}
	for _, v := range r.box.hold(out, r.core.durable) {
		r.show(v)
	}
	if !r.manual {
		r.commit()
	}
}

// wantTrueRecords asserts that what a step records of mitigations is what they are by its end, however it was written.
func wantTrueRecords(t testing.TB, c *Core, records []store.Record) {
	t.Helper()
	newest := map[string][]byte{}
	for _, r := range records {
		if k, err := parseMitigationKey(r.Key); r.Kind == kindProlonged && err == nil && r.Value != nil {
			if m := c.mits[k]; m != nil && m.phase == live && !bytes.Equal(r.Value, encode(prolongedRecord{unix(m.expires), m.lifetime})) {
				t.Errorf("recorded  %s\nbut it expires at %d", r.Value, unix(m.expires))
			}
		}
		if r.Kind == kindMitigation {
			newest[r.Key] = r.Value
		}
	}
	for key, value := range newest {
		k, err := parseMitigationKey(key)
		m := c.mits[k]
		if err == nil && value != nil && m != nil && m.phase == live && !bytes.Equal(value, m.record().Value) {
			t.Errorf("recorded  %s\nbut it is %s", value, m.record().Value)
		}
	}
}

// asked writes a question down.
func (r *rig) asked(q Question) {
	switch q := q.(type) {
	case Resolve:
		r.say("question %s", q.Name)
	case Consult:
		r.say("consult %d: may %s %d of %s have %s life=%d", q.Seq, q.Key.Client.Name, q.Key.MID, q.Domain, targetText(q.Request.Target), q.Request.Lifetime.Value)
		r.consults[q.Key] = q
	}
}

// commit makes everything durable that is on its way.
func (r *rig) commit() {
	r.t.Helper()
	for len(r.batches) > 0 {
		b := r.batches[0]
		r.batches = r.batches[1:]
		r.write(b)
		r.step1(Committed{b.Seq})
		for _, v := range r.box.release(r.core.durable) {
			r.show(v)
		}
	}
}

// step1 is a step that must want nothing done.
func (r *rig) step1(ev Event) {
	r.t.Helper()
	if out := r.core.Step(r.now, ev); !out.empty() {
		r.t.Fatalf("%T gave %+v", ev, out)
	}
}

func (r *rig) write(b Ready) {
	if err := store.Check(store.Batch{Records: b.Records}); err != nil {
		r.t.Fatal(err)
	}
	for _, rec := range b.Records {
		if rec.Value == nil {
			delete(r.disk, identity{rec.Kind, rec.Key})
		} else {
			r.disk[identity{rec.Kind, rec.Key}] = rec.Value
		}
	}
}

// fail lets everything fail that is on its way. kept: the disk has the oldest batch all the same.
func (r *rig) fail(full, kept bool) {
	r.t.Helper()
	if len(r.batches) == 0 {
		return
	}
	b := r.batches[0]
	if kept {
		r.write(b)
	}
	r.batches = nil
	manual := r.manual
	r.manual = true
	r.step(CommitFailed{From: b.Seq, Full: full, Unsaid: r.box.fail()})
	r.manual = manual
}

// advance moves the clock on, with a Tick at every deadline on the way.
func (r *rig) advance(d time.Duration) {
	r.t.Helper()
	end := r.now.Add(d)
	for n := 0; ; n++ {
		at := r.core.Deadline()
		if at.IsZero() || at.After(end) {
			break
		}
		if n > 10000 {
			r.t.Fatalf("deadline %v never passes", at)
		}
		if at.After(r.now) {
			r.now = at
		}
		before := len(r.lines)
		r.step(Tick{})
		if len(r.lines) > before {
			r.lines = slices.Insert(r.lines, before, "at "+r.now.Sub(r.start).String())
		}
	}
	r.now = end
}

// ticket makes a ticket for a caller.
func (r *rig) ticket(label string) Ticket {
	r.labels = append(r.labels, label)
	return Ticket(len(r.labels) - 1)
}

func (r *rig) say(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

// show writes down what became visible, and keeps what the uplink is to know.
func (r *rig) show(v Ready) {
	r.t.Helper()
	if v.After > r.core.durable {
		r.t.Fatalf("visible before batch %d was durable: %+v", v.After, v)
	}
	for _, l := range v.Wants {
		if old, ok := r.wanted[l.Key]; ok && l.Revision < old.Revision {
			r.t.Fatalf("revision of %v went back from %d to %d", l.Key, old.Revision, l.Revision)
		}
		r.wanted[l.Key] = l
		r.say("want %s", r.legText(l))
	}
	for _, k := range v.Forgets {
		delete(r.wanted, k)
		r.say("forget %s", r.keyText(k))
	}
	for _, p := range v.Replies {
		r.answered[p.Ticket]++
		r.say("reply %s: %s", r.labels[p.Ticket], replyText(p))
	}
	for _, k := range v.Changed {
		r.say("changed %s", r.statusText(k))
	}
	if r.seen != nil {
		r.seen(v)
	}
}

func (r *rig) sayRecords(out Ready) {
	var words []string
	for _, rec := range out.Records {
		sign := "+"
		if rec.Value == nil {
			sign = "-"
		}
		key := strings.ReplaceAll(rec.Key, keySep, "/")
		if parts := strings.SplitN(rec.Key, keySep, 3); len(parts) > 1 && (rec.Kind == kindLeg || rec.Kind == kindCounter) {
			parts[1] = r.cuid(parts[1])
			key = strings.Join(parts, "/")
		}
		words = append(words, sign+string(rec.Kind)+":"+key)
	}
	reserve := ""
	if out.Reserve {
		reserve = " (reserve)"
	}
	r.say("record%s %s", reserve, strings.Join(words, " "))
}

// cuid is a short name for a cuid of ours.
func (r *rig) cuid(c string) string {
	i := slices.Index(r.cuids, c)
	if i < 0 {
		i = len(r.cuids)
		r.cuids = append(r.cuids, c)
	}
	return fmt.Sprintf("g%d", i+1)
}

func (r *rig) keyText(k dots.LegKey) string {
	return fmt.Sprintf("%s/%s/%d", k.Uplink, r.cuid(k.CUID), k.MID)
}

func (r *rig) legText(l dots.Leg) string {
	if l.Withdraw {
		return fmt.Sprintf("%s DELETE rev=%d", r.keyText(l.Key), l.Revision)
	}
	s := fmt.Sprintf("%s PUT %s life=%d rev=%d", r.keyText(l.Key), targetText(l.Request.Target), l.Request.Lifetime.Value, l.Revision)
	if l.Request.OnSignalLoss {
		s += " armed"
	}
	for _, p := range l.Request.Target.Ports {
		s += fmt.Sprintf(" port=%d", p.Lower)
	}
	if l.HopLimit != 15 && l.HopLimit != 9 {
		s += fmt.Sprintf(" hop=%d", l.HopLimit)
	}
	if l.CDID != "" {
		s += " cdid=" + l.CDID
	}
	for _, o := range l.Request.Optional {
		s += fmt.Sprintf(" opt=%d", o.Key)
	}
	if l.Efficacy {
		s += fmt.Sprintf(" efficacy=%d", l.Request.Attack)
	}
	return s
}

func targetText(t dots.Target) string {
	var words []string
	for _, p := range t.Prefixes {
		words = append(words, p.String())
	}
	return strings.Join(slices.Concat(words, t.FQDNs, t.URIs, t.Aliases), ",")
}

func conflictText(c dots.Maybe[dots.Conflict]) string {
	if !c.Set {
		return ""
	}
	s := fmt.Sprintf(" conflict{status=%d cause=%d", c.Value.Status, c.Value.Cause)
	if c.Value.RetryTimer != 0 {
		s += fmt.Sprintf(" retry=%d", c.Value.RetryTimer)
	}
	if c.Value.MID.Set {
		s += fmt.Sprintf(" mid=%d", c.Value.MID.Value)
	}
	if t := targetText(c.Value.Scope); t != "" {
		s += " scope=" + t
	}
	return s + "}"
}

func reportText(r dots.Report) string {
	s := fmt.Sprintf("%d status=%d life=%d", r.MID, r.Status, r.Lifetime)
	if r.Start.Set {
		s += " started"
	}
	if r.Counters.BytesDropped.Set {
		s += fmt.Sprintf(" bytes=%d", r.Counters.BytesDropped.Value)
	}
	return s + conflictText(r.Conflict)
}

func replyText(p Reply) string {
	var e *dots.Error
	switch {
	case errors.As(p.Err, &e):
		s := e.Code.String() + " " + e.Text
		if e.MaxAge != 0 {
			s += " max-age=" + e.MaxAge.String()
		}
		return s + conflictText(e.Conflict)
	case p.Err != nil:
		return "error: " + p.Err.Error()
	case p.Reports != nil:
		var words []string
		for _, r := range p.Reports {
			words = append(words, reportText(r))
		}
		return "2.05 " + strings.Join(words, "; ")
	case p.Answer.Code == dots.CodeSilent:
		return "silence"
	case p.Answer.Code == dots.CodeDeleted:
		return "2.02"
	}
	return fmt.Sprintf("%s life=%d%s", p.Answer.Code, p.Answer.Lifetime, conflictText(p.Answer.Conflict))
}

func (r *rig) statusText(k dots.MitigationKey) string {
	m := r.core.mits[k]
	if m == nil {
		return fmt.Sprintf("%s %d gone", k.Client.Name, k.MID)
	}
	return k.Client.Name + " " + reportText(r.core.report(m))
}

// check tests what must hold in a core at all times.
func (r *rig) check() {
	r.t.Helper()
	c := r.core
	liveOf, activeOf := map[string]int{}, map[string]int{}
	byClient, liveIn := 0, map[string]int{}
	for k, m := range c.mits {
		if m.key != k || c.byClient[k.Client][k.MID] != m {
			r.t.Fatalf("mitigation %v is not where it belongs", k)
		}
		if m.phase == live {
			liveOf[k.Client.Name]++
			liveIn[m.grant.Domain]++
			if !m.armed() {
				activeOf[k.Client.Name]++
			}
		}
		r.checkMitigation(m)
		if b := c.cuids[nameOf(k.Client)]; b == nil || b.owner != k.Client.Name && !slices.Contains(b.former, k.Client.Name) {
			r.t.Fatalf("cuid of %v is not bound", k)
		}
	}
	for _, of := range c.byClient {
		byClient += len(of)
	}
	if byClient != len(c.mits) || c.index.Len() != len(c.mits) || fmt.Sprint(liveOf, liveIn) != fmt.Sprint(c.liveOf, c.liveIn) {
		r.t.Fatalf("%d mitigations, %d by client, %d in the index, live %v and %v", len(c.mits), byClient, c.index.Len(), liveOf, c.liveOf)
	}
	if fmt.Sprint(activeOf) != fmt.Sprint(c.activeOf) || len(c.saidOn) != len(activeOf) || len(c.swung) > 0 {
		r.t.Fatalf("active %v, counted %v, said of %v", activeOf, c.activeOf, c.saidOn)
	}
	r.checkNames()
	cuids := 0
	for owner, list := range c.cuidsOf {
		for _, cuid := range list {
			cuids++
			if c.cuids[cuid] == nil || c.cuids[cuid].owner != owner {
				r.t.Fatalf("cuid %s of %s is not bound", cuid, owner)
			}
		}
	}
	if cuids != len(c.cuids) {
		r.t.Fatalf("%d cuids, %d by owner", len(c.cuids), cuids)
	}
	r.checkLegs()
}

func (r *rig) checkLegs() {
	r.t.Helper()
	c := r.core
	count := 0
	for s, h := range c.legs {
		stood, foreigners := 0, 0
		for mid, l := range h.legs {
			count++
			if l.want.Key != s.leg(mid) {
				r.t.Fatalf("leg %v under %v/%d", l.want.Key, s, mid)
			}
			if l.stood {
				stood++
			}
			if l.state == foreign {
				foreigners++
			}
			r.checkLeg(l)
		}
		if stood != h.stood || foreigners != h.foreign {
			r.t.Fatalf("scope %v counts %d and %d, want %d and %d", s, h.stood, h.foreign, stood, foreigners)
		}
	}
	if count != c.legCount {
		r.t.Fatalf("%d legs, counted %d", count, c.legCount)
	}
	for old, by := range c.replacedBy {
		if l := c.leg(by); l == nil || !slices.Contains(l.replaces, old) {
			r.t.Fatalf("leg %v is to be replaced by %v, which does not know", old, by)
		}
	}
	for i, o := range c.due.h {
		if o.alarm.pos != i+1 || !o.at.Equal(o.owner.dueAt()) || !o.at.Equal(o.alarm.at) || o.alarm != o.owner.entry() {
			r.t.Fatalf("deadline of %T is %v, filed as %v", o.owner, o.owner.dueAt(), o.at)
		}
	}
}

// checkNames tests that what client entries have of names is counted.
func (r *rig) checkNames() {
	r.t.Helper()
	c, asks, spare := r.core, map[string]int{}, map[string]int{}
	for k := range c.asks {
		asks[k.Client.Name]++
	}
	for _, n := range c.names {
		if len(n.users) == 0 {
			spare[n.of]++
		}
	}
	if fmt.Sprint(asks) != fmt.Sprint(c.asksOf) || fmt.Sprint(spare) != fmt.Sprint(c.spareOf) {
		r.t.Fatalf("requests that wait %v, counted %v; names that nothing rests on %v, counted %v", asks, c.asksOf, spare, c.spareOf)
	}
}

// checkLeg tests that a leg has an end: it carries a mitigation, is on its way out, or goes once another one stands.
func (r *rig) checkLeg(l *leg) {
	r.t.Helper()
	c := r.core
	for _, m := range l.members {
		if l.current != slices.Contains(m.legs, l.want.Key) && c.mits[m.key] == m {
			r.t.Fatalf("leg %v (current %v) and its member %v do not agree", l.want.Key, l.current, m.key)
		}
		if _, ok := m.shares[l.plot()]; l.current && !ok && !c.later.mits[m] && !c.later.legs[l] && !c.soon.mits[m] && !c.soon.legs[l] {
			r.t.Fatalf("leg %v carries %v (phase %v, entered %v), which wants nothing there", l.want.Key, m.key, m.phase, c.mits[m.key] == m)
		}
	}
	switch {
	case l.current && len(l.members) > 0:
	case l.state == leaving || l.state == left || l.state == foreign:
		if l.entry().pos == 0 {
			r.t.Fatalf("leg %v would stay for ever", l.want.Key)
		}
	case c.replacer(l) != nil:
	case c.later.legs[l], c.soon.legs[l], slices.ContainsFunc(l.members, func(m *mitigation) bool { return c.soon.mits[m] }):
	default:
		r.t.Fatalf("leg %v (%v, current %v) carries nothing and is not withdrawn", l.want.Key, l.state, l.current)
	}
}

// checkMitigation tests that the legs of a mitigation know it, and that it has what it wants.
func (r *rig) checkMitigation(m *mitigation) {
	r.t.Helper()
	c := r.core
	for _, k := range m.legs {
		if l := c.leg(k); l == nil || !l.current || !slices.Contains(l.members, m) {
			r.t.Fatalf("%v is not carried by its leg %v", m.key, k)
		}
	}
	for p, share := range m.shares {
		if m.stale || c.later.mits[m] || c.soon.mits[m] || !m.settle.IsZero() || passed(m.expires, c.now) {
			continue
		}
		legs := c.legsIn(m, p)
		for _, q := range share.Expanded.Prefixes {
			if !slices.ContainsFunc(legs, func(l *leg) bool {
				return slices.ContainsFunc(l.part.Expanded.Prefixes, func(have netip.Prefix) bool { return have.Overlaps(q) })
			}) {
				r.t.Fatalf("%v of %v is in no leg of %v", q, m.key, p)
			}
		}
	}
}
