package policy

import (
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// armed makes an overlap one that waits for the loss of the session.
func armed(o Overlap) Overlap {
	o.OnSignalLoss = true
	return o
}

// fired makes it one that was triggered.
func fired(o Overlap) Overlap {
	o = armed(o)
	o.Fired = true
	return o
}

// RFC 9132, Section 4.4.1.3: of own overlapping requests of one trigger type the higher mid stands; an immediate one deactivates an armed one.
func TestAdmitOwnOverlaps(t *testing.T) {
	const all = "198.51.100.0/24"
	tests := []struct {
		name        string
		onLoss      bool
		live        []Overlap
		higher      dots.Maybe[uint32] // of the 4.09
		supersedes  []uint32
		deactivates []uint32
	}{
		{name: "nothing else"},
		{name: "disjoint", live: []Overlap{overlap(one, 3, "203.0.113.0/25")}},
		{name: "itself", live: []Overlap{overlap(one, 10, all)}},
		{name: "lower", live: []Overlap{overlap(one, 9, all)}, supersedes: []uint32{9}},
		{
			name: "several lower", live: []Overlap{overlap(one, 9, all), overlap(one, 2, "198.51.100.1/32"), overlap(one, 0, all)},
			supersedes: []uint32{0, 2, 9},
		},
		{name: "higher", live: []Overlap{overlap(one, 11, "198.51.100.1/32")}, higher: dots.Some(uint32(11))},
		{name: "two higher", live: []Overlap{overlap(one, 30, all), overlap(one, 11, all)}, higher: dots.Some(uint32(30))},
		{name: "higher and lower", live: []Overlap{overlap(one, 9, all), overlap(one, 11, all)}, higher: dots.Some(uint32(11))},
		{name: "immediate over armed", live: []Overlap{armed(overlap(one, 9, all)), armed(overlap(one, 12, all))}, deactivates: []uint32{9, 12}},
		{name: "immediate over fired", live: []Overlap{fired(overlap(one, 9, all))}, deactivates: []uint32{9}},
		{name: "armed beside immediate", onLoss: true, live: []Overlap{overlap(one, 9, all), overlap(one, 12, all)}},
		{name: "armed over armed", onLoss: true, live: []Overlap{armed(overlap(one, 9, all))}, supersedes: []uint32{9}},
		{name: "armed under armed", onLoss: true, live: []Overlap{armed(overlap(one, 12, all))}, higher: dots.Some(uint32(12))},
		{
			name: "mixed", live: []Overlap{overlap(one, 5, all), armed(overlap(one, 6, all)), overlap(one, 4, all)},
			supersedes: []uint32{4, 5}, deactivates: []uint32{6},
		},
	}
	p := mustNew(t, house())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := askPrefix(all)
			a.Request.OnSignalLoss = tt.onLoss
			v := p.Admit(&fakeView{live: tt.live}, a)
			if tt.higher.Set {
				wantDeny(t, v.Deny, dots.CodeConflict, "overlaps a higher mid of yours")
				want := dots.Some(dots.Conflict{Cause: dots.CauseOverlappingTargets, MID: tt.higher})
				if s := diff(want, v.Deny.Conflict); s != "" {
					t.Error(s)
				}
				return
			}
			if v.Deny != nil {
				t.Fatal(v.Deny)
			}
			if s := diff(tt.supersedes, v.Grant.Supersedes) + diff(tt.deactivates, v.Grant.Deactivates); s != "" {
				t.Error(s)
			}
			if len(v.Grant.Informs) > 0 {
				t.Errorf("informs %v", v.Grant.Informs)
			}
		})
	}
}

// RFC 9132, Section 4.4.1.3: a request that loses to another client's is answered 4.09 with status, cause, scope and retry-timer; both
// clients are told.
func TestAdmitOtherClientsOverlap(t *testing.T) {
	two, again := dots.Client{Name: "two", CUID: "c2"}, dots.Client{Name: "one", CUID: "another cuid"}
	longer := func(o Overlap, l dots.Lifetime) Overlap {
		o.Remaining = l
		return o
	}
	tests := []struct {
		name    string
		onLoss  bool
		asked   []string
		live    []Overlap
		scope   []string // empty: no conflict
		timer   uint32
		informs map[uint32][]string // by mid: the scope told
	}{
		{name: "disjoint", asked: []string{"198.51.100.0/25"}, live: []Overlap{overlap(two, 77, "198.51.100.128/25")}},
		{
			name: "same", asked: []string{"198.51.100.0/25"}, live: []Overlap{overlap(two, 77, "198.51.100.0/25")},
			scope: []string{"198.51.100.0/25"}, timer: 100, informs: map[uint32][]string{77: {"198.51.100.0/25"}},
		},
		{
			name: "only the part in common", asked: []string{"198.51.100.0/25", "203.0.113.0/25"},
			live:  []Overlap{overlap(two, 77, "198.51.100.8/29", "2001:db8:1::/64")},
			scope: []string{"198.51.100.8/29"}, timer: 100, informs: map[uint32][]string{77: {"198.51.100.8/29"}},
		},
		{
			name: "wider", asked: []string{"198.51.100.8/29"}, live: []Overlap{overlap(two, 77, "198.51.100.0/24")},
			scope: []string{"198.51.100.8/29"}, timer: 100, informs: map[uint32][]string{77: {"198.51.100.8/29"}},
		},
		{
			name: "a lower mid of theirs wins as well", asked: []string{"198.51.100.8/29"}, live: []Overlap{overlap(two, 1, "198.51.100.0/24")},
			scope: []string{"198.51.100.8/29"}, timer: 100, informs: map[uint32][]string{1: {"198.51.100.8/29"}},
		},
		{
			name: "same entry, other cuid", asked: []string{"198.51.100.8/29"}, live: []Overlap{overlap(again, 1, "198.51.100.0/24")},
			scope: []string{"198.51.100.8/29"}, timer: 100, informs: map[uint32][]string{1: {"198.51.100.8/29"}},
		},
		{
			name: "two others, the longest counts", asked: []string{"198.51.100.0/24"},
			live: []Overlap{
				longer(overlap(two, 7, "198.51.100.1/32"), 5000), longer(overlap(again, 8, "198.51.100.2/32"), 6000),
				longer(overlap(two, 9, "198.51.100.3/32"), 10),
			},
			scope: []string{"198.51.100.1/32", "198.51.100.2/32", "198.51.100.3/32"}, timer: 6000,
			informs: map[uint32][]string{7: {"198.51.100.1/32"}, 8: {"198.51.100.2/32"}, 9: {"198.51.100.3/32"}},
		},
		{
			name: "without an end", asked: []string{"198.51.100.0/24"},
			live:  []Overlap{longer(overlap(two, 7, "198.51.100.1/32"), dots.Indefinite), longer(overlap(two, 9, "198.51.100.1/32"), 10)},
			scope: []string{"198.51.100.1/32"}, informs: map[uint32][]string{7: {"198.51.100.1/32"}, 9: {"198.51.100.1/32"}},
		},
		{name: "armed holds up no immediate one", asked: []string{"198.51.100.0/24"}, live: []Overlap{armed(overlap(two, 7, "198.51.100.1/32"))}},
		{
			name: "fired does", asked: []string{"198.51.100.0/24"}, live: []Overlap{fired(overlap(two, 7, "198.51.100.1/32"))},
			scope: []string{"198.51.100.1/32"}, timer: 100, informs: map[uint32][]string{7: {"198.51.100.1/32"}},
		},
		{name: "immediate holds up no armed one", onLoss: true, asked: []string{"198.51.100.0/24"}, live: []Overlap{overlap(two, 7, "198.51.100.1/32")}},
		{
			name: "armed holds up an armed one", onLoss: true, asked: []string{"198.51.100.0/24"}, live: []Overlap{armed(overlap(two, 7, "198.51.100.1/32"))},
			scope: []string{"198.51.100.1/32"}, timer: 100, informs: map[uint32][]string{7: {"198.51.100.1/32"}},
		},
	}
	p := mustNew(t, rejecting())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := askPrefix(tt.asked...)
			a.Request.OnSignalLoss = tt.onLoss
			v := p.Admit(&fakeView{live: tt.live}, a)
			if len(tt.scope) == 0 {
				if v.Deny != nil || len(v.Grant.Informs) > 0 {
					t.Errorf("%+v", v)
				}
				return
			}
			wantDeny(t, v.Deny, dots.CodeConflict, "overlaps another client's request")
			want := dots.Conflict{
				Status: dots.ConflictOtherActive, Cause: dots.CauseOverlappingTargets, RetryTimer: tt.timer,
				Scope: dots.Target{Prefixes: prefixes(tt.scope...)},
			}
			if s := diff(dots.Some(want), v.Deny.Conflict); s != "" {
				t.Error(s)
			}
			told := map[uint32][]string{}
			for _, i := range v.Grant.Informs {
				for _, q := range i.Conflict.Scope.Prefixes {
					told[i.Key.MID] = append(told[i.Key.MID], q.String())
				}
				if i.Conflict.Status != dots.ConflictThisActive || i.Conflict.Cause != dots.CauseOverlappingTargets ||
					i.Conflict.MID.Set || i.Conflict.RetryTimer != 0 {
					t.Errorf("told %+v", i.Conflict)
				}
			}
			if s := diff(tt.informs, told); s != "" {
				t.Error(s)
			}
		})
	}
}

// An own higher mid is told before another client's request: the client can mend that by itself.
func TestAdmitTellsOwnConflictFirst(t *testing.T) {
	v := mustNew(t, house()).Admit(&fakeView{live: []Overlap{
		overlap(dots.Client{Name: "two", CUID: "c"}, 1, "198.51.100.0/24"), overlap(one, 11, "198.51.100.0/24"),
	}}, askPrefix("198.51.100.0/24"))
	wantDeny(t, v.Deny, dots.CodeConflict, "overlaps a higher mid of yours")
	if len(v.Grant.Informs) > 0 {
		t.Errorf("told the other: %v", v.Grant.Informs)
	}
}

// Names and URIs overlap as such, even while their addresses are not known.
func TestAdmitNameOverlapsBeforeItsAddress(t *testing.T) {
	o := Overlap{
		Key:       dots.MitigationKey{Client: dots.Client{Name: "two", CUID: "c"}, MID: 5},
		Expanded:  Expanded{Names: []string{"secret.example.com", "www.example.com"}, URIs: []string{"https://www.example.com:443/"}},
		Remaining: 50,
	}
	a := ask(dots.Target{URIs: []string{"https://WWW.example.com/", "https://mine.example.com/"}})
	v := mustNew(t, rejecting()).Admit(&fakeView{live: []Overlap{o}}, a)
	wantDeny(t, v.Deny, dots.CodeConflict, "overlaps another client's request")
	want := dots.Target{FQDNs: []string{"www.example.com"}, URIs: []string{"https://www.example.com:443/"}}
	if s := diff(want, v.Deny.Conflict.Value.Scope); s != "" {
		t.Error(s)
	}
	if s := diff(want, v.Grant.Informs[0].Conflict.Scope); s != "" {
		t.Error(s)
	}
}

// Where the core does not tell the other's target, the asked one is told: never more than the client said itself.
func TestRejectNewWithoutTheOthersTarget(t *testing.T) {
	asked := Expanded{Prefixes: prefixes("198.51.100.0/24"), Names: []string{"www.example.com"}}
	err, informs := rejectNew(asked, []Overlap{{Key: dots.MitigationKey{MID: 5}}})
	if s := diff(asked.target(), err.Conflict.Value.Scope); s != "" {
		t.Error(s)
	}
	if len(informs) != 1 || err.Conflict.Value.RetryTimer != 0 {
		t.Errorf("%v %v", informs, err.Conflict)
	}
}
