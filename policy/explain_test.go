package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// TestExplain reads some explanations as an operator would.
func TestExplain(t *testing.T) {
	two := dots.Client{Name: "two", CUID: "c2"}
	tests := []struct {
		name   string
		config func() Config
		view   fakeView
		links  string
		ask    Ask
		want   string
	}{
		{
			name: "allowed", config: func() Config {
				c := estate()
				c.Defaults.MaxLifetime = 300
				c.Classes = []Class{{Name: "gold"}}
				c.Domains[0].Clients[0].Class = "gold"
				return c
			},
			view:  fakeView{names: map[string]Resolution{"www.example.com": addresses("203.0.113.7")}, live: []Overlap{overlap(two, 5, "198.51.100.0/24"), overlap(one, 4, "198.51.100.80/32")}},
			links: "north=down",
			ask:   ask(dots.Target{Aliases: []string{"web"}, FQDNs: []string{"www.example.com"}}),
			want: `
ok      client        one: of domain acme, class gold
ok      cuid          cuid-one: in use by client one
ok      mid           10: is new
ok      alias-name    web: stands for 198.51.100.80/32
ok      target-prefix 198.51.100.80/32: in 198.51.100.0/24 of domain acme
ok      target-fqdn   www.example.com: of domain acme
ok      resolution    www.example.com: 203.0.113.7
ok      lifetime      600 s: granted 300 s
note    overlap       client two, mid 5: no obstacle, by merge; what both ask for stands for 198.51.100.80/32
note    overlap       client one, mid 4: of this client: superseded
ok      quota         0 live mitigations: at most 256
left    place         north: is down
asked   place         south: the first that may be asked and is up, by failover
left    place         east: another one goes before it, by failover
allowed
`,
		},
		{
			name: "a guest", config: house, ask: Ask{Client: dots.Client{Name: "guest"}},
			want: `
refused client        guest: of domain acme; guests may not ask for mitigation
refused: 4.01 not authorised to ask for mitigation
`,
		},
		{
			name: "not known", config: house, ask: Ask{Client: dots.Client{Name: "no\nbody"}},
			want: `
refused client        no?body: is not known
refused: 4.01 not authorised to ask for mitigation
`,
		},
		{
			name: "another's prefix", config: house, ask: askPrefix("198.51.100.0/24", "192.0.2.0/24"),
			want: `
ok      client        one: of domain acme
ok      cuid          cuid-one: in use by client one
ok      mid           10: is new
ok      target-prefix 198.51.100.0/24: in 198.51.100.0/24 of domain acme
refused target-prefix 192.0.2.0/24: not in the prefixes of domain acme
refused target        4.00 target-prefix 192.0.2.0/24 not yours
refused: 4.00 target-prefix 192.0.2.0/24 not yours
`,
		},
		{
			name: "a name to resolve", config: house, ask: ask(dots.Target{URIs: []string{"https://www.example.com/a"}}),
			want: `
ok      client        one: of domain acme
ok      cuid          cuid-one: in use by client one
ok      mid           10: is new
ok      target-uri    https://www.example.com/a: by its host or its beginning
ok      resolution    www.example.com: not resolved yet
ok      lifetime      600 s: granted 600 s
ok      quota         0 live mitigations: at most 256
note    resolution    www.example.com: to be resolved first
not decided: names have to be resolved
`,
		},
		{
			name: "in the way", config: rejecting, view: fakeView{live: []Overlap{overlap(two, 5, "198.51.100.0/24")}}, ask: askPrefix("198.51.100.8/29"),
			want: `
ok      client        one: of domain acme
ok      cuid          cuid-one: in use by client one
ok      mid           10: is new
ok      target-prefix 198.51.100.8/29: in 198.51.100.0/24 of domain acme
ok      lifetime      600 s: granted 600 s
note    overlap       client two, mid 5: in the way, by reject-new; what both ask for stands for 198.51.100.8/29
ok      quota         0 live mitigations: at most 256
refused request       4.09 overlaps another client's request
refused: 4.09 overlaps another client's request
`,
		},
		{
			name: "translated, consulted, by provider", config: func() Config {
				c := inner("10.0.0.0/24 198.51.100.0/24", "10.0.1.0/24 203.0.113.0/24 80-80 8080-8080")
				c.Uplinks[1].Prefixes = prefixes("203.0.113.0/24")
				c.Domains[0].Uplinks, c.Domains[0].Consult = []string{"north", "south"}, true
				return c
			},
			ask: askPrefix("10.0.0.0/25", "10.0.1.1/32"),
			want: `
ok      client        one: of domain acme
ok      cuid          cuid-one: in use by client one
ok      mid           10: is new
ok      target-prefix 10.0.0.0/25: in 10.0.0.0/8 of domain acme
ok      target-prefix 10.0.1.1/32: in 10.0.0.0/8 of domain acme
ok      lifetime      600 s: granted 600 s
ok      translation   10.0.0.0/25: 198.51.100.0/25
ok      translation   10.0.1.1/32: 203.0.113.1/32 port 8080-8080
ok      quota         0 live mitigations: at most 256
note    aaa           the AAA server would be asked
note    provider      198.51.100.0/25: of no provider: any uplink of the domain may be asked
asked   place         north: the first that may be asked and is up, by failover
left    place         south: another one goes before it, by failover
note    provider      203.0.113.1/32: of south, which alone may be asked
asked   place         south: the first that may be asked and is up, by failover
allowed if the AAA server allows it
`,
		},
		{
			name: "local first", config: func() Config {
				c := estate()
				c.Domains[0].Mitigators = []string{"box", "hook"}
				return c
			},
			links: "box=drained", ask: askPrefix("198.51.100.8/29"),
			want: `
ok      client        one: of domain acme
ok      cuid          cuid-one: in use by client one
ok      mid           10: is new
ok      target-prefix 198.51.100.8/29: in 198.51.100.0/24 of domain acme
ok      lifetime      600 s: granted 600 s
ok      quota         0 live mitigations: at most 256
left    place         box: drains
asked   place         hook: the first that may be asked and is up
note    place         uplinks: are not asked: a local mitigator acts
allowed
`,
		},
		{
			name: "another's uplink", config: func() Config {
				c := house()
				c.Uplinks[1].Prefixes = prefixes("198.51.100.0/24")
				return c
			},
			ask: askPrefix("198.51.100.8/29"),
			want: `
ok      client        one: of domain acme
ok      cuid          cuid-one: in use by client one
ok      mid           10: is new
ok      target-prefix 198.51.100.8/29: in 198.51.100.0/24 of domain acme
ok      lifetime      600 s: granted 600 s
refused uplinks       198.51.100.8/29: south assigned it, and is none of the domain's uplinks
refused: 4.00 no uplink for this target
`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := mustNew(t, tt.config()).Explain(&tt.view, linksOf(tt.links), tt.ask)
			if s := diff(strings.Split(strings.TrimPrefix(tt.want, "\n"), "\n"), strings.Split(e.String(), "\n")); s != "" {
				t.Error(s)
			}
		})
	}
}

// TestExplainAgrees: whatever is asked, the explanation ends as Admit and Places do, and its steps as well.
func TestExplainAgrees(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	configs := []func(*Config){
		func(*Config) {},
		func(c *Config) { c.Domains[0].OnOverlap = OverlapRejectNew },
		func(c *Config) { c.Domains[0].Strategy, c.Domains[0].Mitigators = StrategyAll, []string{"box", "hook"} },
		func(c *Config) { c.Domains[0].Strategy, c.Domains[0].Consult = StrategySerial, true },
		func(c *Config) {
			c.Uplinks[0].Prefixes, c.Domains[0].Strategy = prefixes("198.51.100.0/25"), StrategyPartition
			c.Uplinks[3].Prefixes, c.Defaults.MaxMitigations = prefixes("203.0.113.128/25"), 3
		},
	}
	ends := map[string]int{}
	for i, change := range configs {
		c := estate()
		change(&c)
		p := mustNew(t, c)
		for range 2000 {
			v, a := randomState(r), randomAsk(r)
			l := fakeLinks{}
			for _, u := range p.Uplinks() {
				l[u] = Link{Up: r.IntN(3) > 0, Back: r.IntN(2) == 0, Drained: r.IntN(4) == 0}
			}
			want := p.Admit(linkedView{v, l}, a)
			e := p.Explain(v, l, a)
			if s := diff(want, e.Verdict); s != "" {
				t.Fatalf("config %d: %s", i, s)
			}
			var places []Place
			if want.Deny == nil && len(want.Questions) == 0 {
				places = p.Places(l, Course{Grant: want.Grant})
			}
			if s := diff(places, e.Places); s != "" {
				t.Fatalf("config %d: %s", i, s)
			}
			checkSteps(t, e)
			text := strings.Split(strings.TrimSpace(e.String()), "\n")
			ends[text[len(text)-1]]++
		}
	}
	for _, end := range []string{
		"allowed", "allowed: a refresh", "allowed if the AAA server allows it", "not decided: names have to be resolved", "refused: 4.00 no uplink for this target",
		"refused: 5.03 mitigation not available now", "refused: 4.09 overlaps another client's request", "refused: 5.03 too many mitigations", "not answered",
	} {
		if ends[end] < 5 {
			t.Errorf("%q came %d times: the test shows little of it", end, ends[end])
		}
	}
}

// checkSteps tests that steps and verdict say the same: something is refused if and only if the whole is, and each place is a step.
func checkSteps(t *testing.T, e Explanation) {
	t.Helper()
	count := map[string]int{}
	asked := map[string]bool{}
	for _, s := range e.Steps {
		count[s.Result]++
		if s.Rule == "" || s.Result == "" || s.Subject == "" && s.Detail == "" {
			t.Fatalf("a step without words: %+v", s)
		}
		if s.Result == ResultAsked {
			asked[s.Subject] = true
		}
	}
	if (count[ResultRefused] > 0) != (e.Verdict.Deny != nil) {
		t.Fatalf("verdict %v after\n%s", e.Verdict.Deny, e)
	}
	if len(asked) != len(e.Places) {
		t.Fatalf("%d places after\n%s", len(e.Places), e)
	}
	for _, at := range e.Places {
		if !asked[at.Uplink] {
			t.Fatalf("%s is not among the steps\n%s", at.Uplink, e)
		}
	}
}

// randomState is a core's state with some live mitigations.
func randomState(r *rand.Rand) *fakeView {
	v := &fakeView{mits: r.IntN(5), names: map[string]Resolution{
		"a.example.com": addresses("198.51.100.1"), "b.example.com": addresses("198.51.100.200", "203.0.113.3"), "out.example.com": addresses("192.0.2.1"),
		"none.example.com": {}, "failed.example.com": {Failed: true},
	}}
	for range r.IntN(4) {
		c := []dots.Client{one, {Name: "two", CUID: "c2"}}[r.IntN(2)]
		o := overlap(c, uint32(r.IntN(20)), fmt.Sprintf("198.51.100.%d/%d", r.IntN(8)*32, 27+r.IntN(6)))
		o.OnSignalLoss = r.IntN(3) == 0
		v.live = append(v.live, o)
	}
	return v
}

// randomAsk is a request of any client for anything.
func randomAsk(r *rand.Rand) Ask {
	var t dots.Target
	for range r.IntN(3) {
		t.Prefixes = append(t.Prefixes, prefixes([]string{
			"198.51.100.0/24", "198.51.100.0/27", "198.51.100.128/25", "203.0.113.0/25", "203.0.113.192/26", "2001:db8:1::/64", "192.0.2.0/24",
		}[min(r.IntN(8), 6)])...)
	}
	if r.IntN(3) == 0 {
		t.FQDNs = []string{[]string{"a", "b", "out", "none", "failed", "new"}[r.IntN(6)] + ".example.com"}
	}
	if r.IntN(4) == 0 {
		t.Aliases = []string{[]string{"web", "mail", "theirs"}[r.IntN(3)]}
	}
	if r.IntN(6) == 0 {
		t.URIs = []string{[]string{"https://a.example.com/", "https://hosted.example.net/acme/x", "https://198.51.100.9/", "nonsense"}[r.IntN(4)]}
	}
	a := ask(t)
	a.Request.OnSignalLoss, a.Efficacy = r.IntN(4) == 0, r.IntN(10) == 0
	switch r.IntN(12) {
	case 0:
		a.Client.Name = []string{"guest", "nobody", "gate"}[r.IntN(3)]
	case 1:
		a.CUIDOwner = []string{"two", ""}[r.IntN(2)]
	case 2, 3:
		a.Held = dots.Some(a.Request)
	case 4:
		a.Held = dots.Some(ask(dots.Target{Prefixes: prefixes("198.51.100.0/30")}).Request)
		a.Update = r.IntN(2) == 0
	case 5:
		a.Ruling = dots.Some(Ruling{Allow: r.IntN(2) == 0, Failed: r.IntN(3) == 0, Reason: "because"})
	}
	return a
}

// TestExplainForgesNoLine: what a peer wrote stays within its step, and short.
func TestExplainForgesNoLine(t *testing.T) {
	p := mustNew(t, house())
	e := p.Explain(&fakeView{}, nil, ask(dots.Target{FQDNs: []string{"x\nallowed\x1b[2J" + strings.Repeat("y", 5000)}}))
	for _, line := range strings.Split(e.String(), "\n") {
		if line == "allowed" || len(line) > 2*maxStep+40 || strings.ContainsRune(line, 0x1b) {
			t.Errorf("%.80q of %d bytes", line, len(line))
		}
	}
}
