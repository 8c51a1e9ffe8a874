package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// recursionRig is a rig whose domain lab has a local mitigator, with rules that say when its own capacity is exceeded; by
// number from this many mitigations on.
func recursionRig(t *testing.T, mitigations int) *rig {
	t.Helper()
	r := newRig(t, CoreConfig{Policy: testPolicyFor(t, func(c *policy.Config) {
		c.Uplinks = append(c.Uplinks, policy.Uplink{Name: "scrub", CUIDMode: policy.CUIDPerClient, Local: true})
		c.Domains[0].Mitigators = []string{"scrub"}
		c.Domains[0].Recursion = policy.Recursion{OnExceeded: true, PktsPerSecond: 1000, Mitigations: mitigations, Low: 0.5, Hold: time.Minute}
	})})
	r.step(LinkUp{"up"})
	r.step(LinkUp{"scrub"})
	return r
}

// accept asks for a mitigation and lets the uplinks take all that they are asked for.
func (r *rig) accept(cl dots.Client, mid uint32, target string) *mitigation {
	r.t.Helper()
	r.step(Mitigate{r.ticket("put"), dots.Ask{Client: cl, Request: put(mid, target), HopLimit: 9}})
	r.takeAll()
	m := r.core.mits[dots.MitigationKey{Client: cl, MID: mid}]
	if m == nil {
		r.t.Fatalf("%s was not accepted: %q", target, r.lines)
	}
	return m
}

// takeAll lets the uplinks take what they are asked for.
func (r *rig) takeAll() {
	for range 3 {
		for k, l := range r.wanted {
			a := dots.LegAnswer{Key: k, Revision: l.Revision, Withdraw: l.Withdraw, Code: dots.CodeCreated}
			if l.Withdraw {
				a.Code = dots.CodeDeleted
			}
			r.step(Answered{a})
		}
	}
}

// localSays lets the local mitigator report a mitigation.
func (r *rig) localSays(m *mitigation, status dots.Status, pps uint64) {
	r.t.Helper()
	for _, k := range m.legs {
		if k.Uplink == "scrub" {
			rep := dots.Report{MID: k.MID, Status: status, Lifetime: 600}
			rep.Counters.PktsPerSecond = dots.Some(pps)
			r.step(Reported{Uplink: "scrub", CUID: k.CUID, Reports: []dots.Report{rep}})
			r.check()
			return
		}
	}
	r.t.Fatalf("the local mitigator was not asked for %v", m.key)
}

// TestRecursionByRules lets a local mitigator be exceeded: the mitigation goes on to the uplinks at once, and back only after it was below the low mark
// for the hold, over a restart too.
//
// RFC 8811, Section 3.2.3: a gateway asks the next domain when its own capacity is exceeded.
func TestRecursionByRules(t *testing.T) {
	r := recursionRig(t, 3)
	m := r.accept(me, 1, "192.0.2.1/32")
	want := func(recursed bool) {
		t.Helper()
		if m.recursed != recursed || m.byHand || m.to != "" {
			t.Fatalf("recursed %+v, want %v", m.recursion, recursed)
		}
	}
	r.localSays(m, dots.StatusMitigated, 1000)
	want(false)
	r.localSays(m, dots.StatusExceeded, 10)
	want(true)
	r.localSays(m, dots.StatusMitigated, 499) // below the low mark: the hold begins
	r.advance(59 * time.Second)
	want(true)
	r.localSays(m, dots.StatusMitigated, 500) // and is over: it begins anew
	r.localSays(m, dots.StatusMitigated, 499)
	r.localSays(m, dots.StatusMitigated, 400)
	r.advance(59999 * time.Millisecond)
	want(true)
	r.advance(time.Millisecond)
	want(false)
	r.localSays(m, dots.StatusMitigated, 1001)
	want(true)
	r.boot()
	m = r.core.mits[m.key]
	want(true) // durable
	r.advance(59 * time.Second)
	want(true)
	r.advance(time.Second)
	want(false) // nothing was reported since the start
	r.boot()
	m = r.core.mits[m.key]
	want(false)
	if n := r.core.Counts().Recursed; n != 0 {
		t.Errorf("counted %d since the start", n)
	}
}

// TestRecursionByNumber lets a domain have more mitigations than its local mitigators bear: the one that is too many goes on.
func TestRecursionByNumber(t *testing.T) {
	r := recursionRig(t, 3)
	var all []*mitigation
	for i, target := range []string{"192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32", "192.0.2.4/32"} {
		m := r.accept(me, uint32(i+1), target)
		if m.recursed != (i == 3) {
			t.Errorf("mitigation %d: %+v", i+1, m.recursion)
		}
		all = append(all, m)
	}
	for _, m := range all[:3] { // one is left, which is less than half of three
		r.step(Withdraw{r.ticket("delete"), m.key})
	}
	r.localSays(all[3], dots.StatusMitigated, 1)
	r.advance(30 * time.Second)
	b := dots.Client{Name: "b", CUID: "b"}
	more := []*mitigation{r.accept(b, 1, "192.0.2.101/32"), r.accept(b, 2, "192.0.2.102/32")}
	r.advance(30 * time.Second)
	if !all[3].recursed {
		t.Error("went back while there were too many again")
	}
	for _, m := range more {
		r.step(Withdraw{r.ticket("delete"), m.key})
	}
	r.localSays(all[3], dots.StatusMitigated, 1)
	r.advance(time.Minute)
	if all[3].recursed || r.core.Counts().Recursed != 1 {
		t.Errorf("%+v, %d recursed", all[3].recursion, r.core.Counts().Recursed)
	}
	o := r.accept(dots.Client{Name: "o", CUID: "o"}, 1, "198.51.100.1/32")
	if o.recursed {
		t.Error("a domain without a local mitigator recursed")
	}
}

// TestRecursionByHand lets the operator decide: it holds until he takes it back, is durable, and errors list what there is.
func TestRecursionByHand(t *testing.T) {
	r := recursionRig(t, 0)
	m := r.accept(me, 1, "192.0.2.1/32")
	twin := r.accept(dots.Client{Name: "a", CUID: "cuid-a", CDID: "d"}, 1, "192.0.2.9/32")
	other := r.accept(dots.Client{Name: "a", CUID: "other"}, 1, "192.0.2.2/32")
	gone := r.accept(dots.Client{Name: "b", CUID: "cuid-b"}, 7, "192.0.2.3/32")
	r.step(Withdraw{r.ticket("delete"), gone.key})
	r.accept(dots.Client{Name: "o", CUID: "o"}, 1, "198.51.100.1/32")
	order := func(o RecurseOrder) string {
		t.Helper()
		r.lines = nil
		r.step(Recurse{r.ticket("recurse"), o})
		r.check()
		for _, l := range r.lines {
			if text, ok := strings.CutPrefix(l, "reply recurse: "); ok {
				return text
			}
		}
		return "no reply"
	}
	for _, tt := range []struct {
		order RecurseOrder
		want  string
	}{
		{RecurseOrder{Client: "a", MID: 1, Uplink: "up"}, `error: client "a" has several with that mid, say which by cuid: cuid-a 1, d/cuid-a 1, other 1`},
		{RecurseOrder{Client: "a", MID: 2, Uplink: "up"}, `error: client "a" has no such mitigation; it has cuid-a 1, d/cuid-a 1, other 1`},
		{RecurseOrder{Client: "b", MID: 7, Uplink: "up"}, `error: client "b" has no such mitigation; it has none`},
		{RecurseOrder{Client: "nobody", MID: 1}, `error: client "nobody" has no such mitigation; it has none`},
		{RecurseOrder{Client: "o", MID: 1, Uplink: "up"}, `error: domain "other" has no local mitigators, so that its mitigations are at its uplinks already`},
		{RecurseOrder{Client: "a", CUID: "other", MID: 1, Uplink: "nowhere"}, `error: no uplink or farm "nowhere"`},
		{RecurseOrder{Client: "a", CUID: "other", MID: 1, Uplink: "up"}, "2.04 life=0"},
		{RecurseOrder{Client: "a", CDID: "d", MID: 1}, "2.04 life=0"},
	} {
		if got := order(tt.order); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.order, got, tt.want)
		}
	}
	if m.recursed || other.recursion != (recursion{true, "up", true}) || twin.recursion != (recursion{true, "", true}) {
		t.Fatalf("%+v, %+v, %+v", m.recursion, other.recursion, twin.recursion)
	}
	r.localSays(other, dots.StatusMitigated, 1)
	r.advance(10 * time.Minute)
	r.boot()
	other = r.core.mits[other.key]
	if other.recursion != (recursion{true, "up", true}) {
		t.Fatalf("not kept: %+v", other.recursion)
	}
	// What could not be stored is taken back.
	r.manual = true
	order(RecurseOrder{Client: "a", CUID: "other", MID: 1, Off: true})
	if other.recursed {
		t.Fatal("not taken back")
	}
	r.fail(false, false)
	if other.recursion != (recursion{true, "up", true}) {
		t.Fatalf("not as before: %+v", other.recursion)
	}
	r.manual = false
	r.commit()
	if got := order(RecurseOrder{Client: "a", CUID: "other", MID: 1, Off: true}); got != "2.04 life=0" || other.recursed {
		t.Errorf("%s, %+v", got, other.recursion)
	}
	// While a rule wants it, taking the command back leaves it to the rule.
	order(RecurseOrder{Client: "a", CUID: "other", MID: 1, Uplink: "up"})
	r.takeAll()
	r.localSays(other, dots.StatusExceeded, 1)
	order(RecurseOrder{Client: "a", CUID: "other", MID: 1, Off: true})
	if other.recursion != (recursion{recursed: true}) {
		t.Errorf("%+v", other.recursion)
	}
}
