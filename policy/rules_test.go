package policy

import (
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// TestOverlapRules: with merge and keep-both another client is no obstacle; the rules of the own mids stay.
//
// RFC 9132, Section 4.4.1.3: what one client asked for before gives way to its own higher mid.
func TestOverlapRules(t *testing.T) {
	two := dots.Client{Name: "two", CUID: "c2"}
	for _, rule := range []OverlapRule{"", OverlapMerge, OverlapKeepBoth, OverlapRejectNew} {
		c := house()
		c.Domains[0].OnOverlap = rule
		c.Uplinks[0].CUIDMode = CUIDPerClient
		p := mustNew(t, c)
		live := &fakeView{live: []Overlap{overlap(two, 50, "198.51.100.0/24"), overlap(one, 3, "198.51.100.0/24")}}
		v := p.Admit(live, askPrefix("198.51.100.0/25"))
		if rule == OverlapRejectNew {
			wantDeny(t, v.Deny, dots.CodeConflict, "overlaps another client's request")
			continue
		}
		if v.Deny != nil || len(v.Grant.Informs) != 0 || len(v.Grant.Supersedes) != 1 || v.Grant.Supersedes[0] != 3 {
			t.Errorf("%q: %+v", rule, v)
		}
		live.live = append(live.live, overlap(one, 11, "198.51.100.0/24"))
		wantDeny(t, p.Admit(live, askPrefix("198.51.100.0/25")).Deny, dots.CodeConflict, "overlaps a higher mid of yours")
	}
}

// TestConsult: the AAA server is asked last and only of what is new; what is under attack does not hang on it.
func TestConsult(t *testing.T) {
	c := house()
	c.Domains[0].Consult = true
	p := mustNew(t, c)
	yes, no, failed := dots.Some(Ruling{Allow: true}), dots.Some(Ruling{Reason: "over budget"}), dots.Some(Ruling{Allow: true, Failed: true})
	plain := askPrefix("198.51.100.0/24")
	held := plain
	held.Held = dots.Some(plain.Request)
	efficacy := held
	efficacy.Efficacy, efficacy.Request.Attack = true, dots.AttackUnderAttack
	update := held
	update.Update, update.Request.Target = true, dots.Target{Prefixes: prefixes("198.51.100.0/25")}
	named := ask(dots.Target{FQDNs: []string{"www.example.com"}})
	foreign := askPrefix("192.0.2.0/24")
	tests := []struct {
		name   string
		ask    Ask
		ruling dots.Maybe[Ruling]
		asked  bool // the AAA server is to be
		names  int  // questions
		code   dots.Code
		text   string
	}{
		{name: "new", ask: plain, asked: true},
		{name: "allowed", ask: plain, ruling: yes},
		{name: "not allowed", ask: plain, ruling: no, code: dots.CodeUnauthorized, text: "not authorised"},
		{name: "no answer", ask: plain, ruling: failed, code: dots.CodeUnavailable, text: "no answer"},
		{name: "a refresh", ask: held},
		{name: "a refresh, whatever was said before", ask: held, ruling: no},
		{name: "an efficacy update", ask: efficacy},
		{name: "other parameters under the same mid", ask: update, asked: true},
		{name: "names first", ask: named, names: 1},
		{name: "names first, even when it was asked", ask: named, ruling: yes, names: 1},
		{name: "what is refused anyway", ask: foreign, code: dots.CodeBadRequest, text: "target-prefix 192.0.2.0/24 not yours"},
		{name: "what is refused anyway, though allowed", ask: foreign, ruling: yes, code: dots.CodeBadRequest, text: "target-prefix 192.0.2.0/24 not yours"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.ask.Ruling = tt.ruling
			v := p.Admit(&fakeView{}, tt.ask)
			if tt.text != "" {
				wantDeny(t, v.Deny, tt.code, tt.text)
				return
			}
			if v.Deny != nil || v.Consult != tt.asked || len(v.Questions) != tt.names {
				t.Errorf("%+v", v)
			}
			if tt.names == 0 && len(v.Grant.Expanded.Prefixes) != 1 {
				t.Errorf("what would be granted is not told: %+v", v.Grant)
			}
		})
	}
	stranger := askPrefix("192.0.2.0/24")
	stranger.Client.Name, stranger.CUIDOwner = "stranger", "stranger"
	if v := p.Admit(&fakeView{}, stranger); v.Deny != nil || v.Consult {
		t.Errorf("a domain that consults nobody: %+v", v)
	}
}

// RFC 8811, Section 3.2.3: recursion begins when local capacity is exceeded; it ends well below, so that it does not go to and fro.
func TestExceeds(t *testing.T) {
	c := estate()
	c.Domains[0].Mitigators = []string{"box"}
	c.Domains[0].Recursion = Recursion{OnExceeded: true, PktsPerSecond: 1000, BytesPerSecond: 50000, Mitigations: 10, Low: 0.5, Hold: time.Minute}
	c.Domains[1].Mitigators = []string{"box"}
	c.Domains[1].Recursion = Recursion{PktsPerSecond: 1000}
	p := mustNew(t, c)
	pps := func(n uint64) dots.Report {
		return dots.Report{Status: dots.StatusMitigated, Counters: dots.Counters{PktsPerSecond: dots.Some(n)}}
	}
	bps := func(n uint64) dots.Report {
		return dots.Report{Status: dots.StatusMitigated, Counters: dots.Counters{BytesPerSecond: dots.Some(n)}}
	}
	tests := []struct {
		name        string
		domain      string
		report      dots.Report
		mitigations int
		begin, stay bool // not recursed yet, recursed
	}{
		{"nothing", "acme", dots.Report{}, 0, false, false},
		{"at the threshold", "acme", pps(1000), 0, false, true},
		{"above", "acme", pps(1001), 0, true, true},
		{"at the low mark", "acme", pps(500), 0, false, true},
		{"below the low mark", "acme", pps(499), 0, false, false},
		{"bytes above", "acme", bps(50001), 0, true, true},
		{"bytes between", "acme", bps(30000), 0, false, true},
		{"bytes below", "acme", bps(24999), 0, false, false},
		{"many mitigations", "acme", pps(0), 11, true, true},
		{"some mitigations", "acme", pps(0), 5, false, true},
		{"few mitigations", "acme", pps(0), 4, false, false},
		{"the mitigator's word", "acme", dots.Report{Status: dots.StatusExceeded}, 0, true, true},
		{"the mitigator's word, not watched", "other", dots.Report{Status: dots.StatusExceeded}, 100, false, false},
		{"the built-in low mark", "other", pps(700), 0, false, true},
		{"below the built-in low mark", "other", pps(699), 0, false, false},
		{"bytes, not watched", "other", bps(1 << 60), 0, false, false},
		{"no domain", "gone", pps(1 << 60), 1000, false, false},
	}
	for _, tt := range tests {
		if begin, stay := p.Exceeds(tt.domain, tt.report, tt.mitigations, false), p.Exceeds(tt.domain, tt.report, tt.mitigations, true); begin != tt.begin || stay != tt.stay {
			t.Errorf("%s: begins %v, stays %v, want %v and %v", tt.name, begin, stay, tt.begin, tt.stay)
		}
	}
	for domain, want := range map[string]time.Duration{"acme": time.Minute, "other": DefaultRecursionHold, "gone": 0} {
		if got := p.RecursionHold(domain); got != want {
			t.Errorf("%s: holds %v, want %v", domain, got, want)
		}
	}
}
