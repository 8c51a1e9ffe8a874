package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// fakeLinks are uplinks as a test writes them down: those that are not named are up.
type fakeLinks map[string]Link

func (l fakeLinks) Link(uplink string) Link {
	if state, ok := l[uplink]; ok {
		return state
	}
	return Link{Up: true}
}

// linksOf reads "north=down south=drained": states are down, drained, gone (both) and back.
func linksOf(text string) fakeLinks {
	l := fakeLinks{}
	for _, word := range strings.Fields(text) {
		name, state, _ := strings.Cut(word, "=")
		l[name] = Link{Up: state == "drained", Back: state == "back", Drained: state == "drained" || state == "gone"}
	}
	return l
}

// estate is a house with three uplinks, a farm of three servers and two local mitigators; domain acme goes to north, south and east.
func estate() Config {
	c := house()
	c.Uplinks = append(c.Uplinks, Uplink{Name: "east", CUIDMode: CUIDPerDomain},
		Uplink{Name: "farm/1", CUIDMode: CUIDPerClient}, Uplink{Name: "farm/2", CUIDMode: CUIDPerClient}, Uplink{Name: "farm/3", CUIDMode: CUIDPerClient},
		Uplink{Name: "box", CUIDMode: CUIDPerClient, Local: true}, Uplink{Name: "hook", CUIDMode: CUIDPerClient, Local: true})
	c.Farms = []Farm{{Name: "farm", Members: []string{"farm/1", "farm/2", "farm/3"}}}
	c.Domains[0].Uplinks = []string{"north", "south", "east"}
	return c
}

// grantOn is a grant of client one for prefixes of acme.
func grantOn(t *testing.T, p *Policy, list ...string) Grant {
	t.Helper()
	v := p.Admit(&fakeView{}, askPrefix(list...))
	if v.Deny != nil {
		t.Fatal(v.Deny)
	}
	return v.Grant
}

// placesText writes places as "north south(198.51.100.0/24)": the part only where it is not the whole.
func placesText(places []Place, whole Footprint) string {
	var words []string
	for _, at := range places {
		w := at.Uplink
		if diff(at.Part, whole) != "" {
			w += fmt.Sprint(at.Part.Target.Prefixes)
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

func TestPlaces(t *testing.T) {
	tests := []struct {
		name        string
		strategy    Strategy
		links       string
		at, refused []string
		want        string
		away        []string
	}{
		{name: "the first", want: "north"},
		{name: "the first is down", links: "north=down", want: "south"},
		{name: "two are down", links: "north=down south=down", want: "east"},
		{name: "all are down: the first waits", links: "north=down south=down east=down", want: "north"},
		{name: "what stands stays", at: []string{"south"}, want: "south"},
		{name: "what stands twice stays with the first", at: []string{"east", "south"}, want: "south"},
		{name: "what stood where a session is lost moves", links: "south=down", at: []string{"south"}, want: "north"},
		{name: "on its way back", links: "north=down", at: []string{"north", "south"}, want: "south"},
		{name: "all are down: it stays", links: "north=down south=down east=down", at: []string{"south"}, want: "south"},
		{name: "one drains", links: "north=drained", want: "south"},
		{name: "one drains where it stands", links: "north=drained", at: []string{"north"}, want: "south"},
		{name: "one drains, and the others are down", links: "north=drained south=down east=down", want: "south"},
		{name: "one drains where it stands, and the others are down", links: "north=drained south=down east=down", at: []string{"north"}, want: "north"},
		{name: "one drains and is down where it stands, the others are down", links: "north=gone south=down east=down", at: []string{"north"}, want: "south"},
		{name: "all drain", links: "north=drained south=drained east=drained", want: ""},
		{name: "all drain where it stands", links: "north=drained south=drained east=drained", at: []string{"east"}, want: "east"},
		{name: "all drain and are down where it stands", links: "north=gone south=gone east=gone", at: []string{"east"}, want: "east"},
		{name: "a refusal is the end", refused: []string{"north"}, want: ""},
		{name: "a refusal is the end where it stands", refused: []string{"north"}, at: []string{"north"}, want: ""},
		{name: "a refusal elsewhere", refused: []string{"east"}, want: "north"},
		{name: "a refusal of before", links: "north=down", refused: []string{"north"}, at: []string{"south"}, want: "south"},
		{name: "a refusal, and the first is down", links: "north=down", refused: []string{"south"}, want: ""},
		{name: "a refusal, and the first is back", links: "north=back", refused: []string{"south"}, want: "north"},
		{name: "back, where others are up", links: "north=back", want: "south"},
		{name: "back, where what stands is up", links: "north=back", at: []string{"east"}, want: "east"},
		{name: "back after the one that refused", links: "south=back", refused: []string{"north"}, want: ""},
		{name: "back, but refused", links: "north=back", refused: []string{"north", "south"}, want: ""},

		{name: "sent elsewhere", away: []string{"north"}, want: "south"},
		{name: "sent elsewhere from where it stands", away: []string{"north"}, at: []string{"north"}, want: "south"},
		{name: "sent elsewhere, and on its way", away: []string{"north"}, at: []string{"north", "south"}, want: "south"},
		{name: "sent elsewhere by the second", away: []string{"south"}, at: []string{"south"}, want: "north"},
		{name: "sent elsewhere by two", away: []string{"north", "south"}, at: []string{"north"}, want: "east"},
		{name: "sent elsewhere, and the next is down", links: "south=down", away: []string{"north"}, want: "east"},
		{name: "sent elsewhere, and all others are down", links: "south=down east=down", away: []string{"north"}, want: "north"},
		{name: "sent elsewhere, and down", links: "north=down south=down east=down", away: []string{"north"}, want: "north"},
		{name: "sent elsewhere, and the others drain", links: "south=drained east=drained", away: []string{"north"}, want: "north"},
		{name: "sent elsewhere, and the other drains where it stands", links: "south=drained east=down", at: []string{"south"}, away: []string{"north"}, want: "south"},
		{name: "sent elsewhere by all", away: []string{"east", "north", "south"}, want: "north"},
		{name: "sent elsewhere by all: it stays", away: []string{"east", "north", "south"}, at: []string{"south"}, want: "south"},
		{name: "sent elsewhere, and a refusal", away: []string{"north"}, refused: []string{"north"}, want: ""},
		{name: "serial: sent elsewhere, and a refusal", strategy: StrategySerial, away: []string{"north"}, refused: []string{"south"}, want: "east"},
		{name: "all, one sent it elsewhere", strategy: StrategyAll, away: []string{"north"}, want: "north south east"},
		{name: "partition without owners, sent elsewhere", strategy: StrategyPartition, away: []string{"north"}, want: "south"},

		{name: "serial: the first", strategy: StrategySerial, want: "north"},
		{name: "serial: a refusal", strategy: StrategySerial, refused: []string{"north"}, want: "south"},
		{name: "serial: a refusal where it stands", strategy: StrategySerial, refused: []string{"north"}, at: []string{"north"}, want: "south"},
		{name: "serial: two refusals", strategy: StrategySerial, refused: []string{"north", "south"}, at: []string{"north", "south"}, want: "east"},
		{name: "serial: refusals by all", strategy: StrategySerial, refused: []string{"east", "north", "south"}, want: ""},
		{name: "serial: a refusal, the rest down", strategy: StrategySerial, links: "south=down east=down", refused: []string{"north"}, want: "south"},
		{name: "serial: what stands stays", strategy: StrategySerial, at: []string{"east"}, want: "east"},

		{name: "all", strategy: StrategyAll, want: "north south east"},
		{name: "all, one down", strategy: StrategyAll, links: "south=down", want: "north south east"},
		{name: "all, one refused", strategy: StrategyAll, refused: []string{"north"}, at: []string{"north", "south"}, want: "south east"},
		{name: "all, one drains", strategy: StrategyAll, links: "north=drained", at: []string{"north", "south"}, want: "south east"},
		{name: "all, one drains and the rest is down", strategy: StrategyAll, links: "north=drained south=down east=down", at: []string{"north"}, want: "north south east"},
		{name: "all, one drains, new", strategy: StrategyAll, links: "north=drained south=down east=down", want: "south east"},
		{name: "partition without owners", strategy: StrategyPartition, want: "north"},
		{name: "partition without owners, the first down", strategy: StrategyPartition, links: "north=down", want: "south"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := estate()
			c.Domains[0].Strategy = tt.strategy
			p := mustNew(t, c)
			g := grantOn(t, p, "198.51.100.0/25", "2001:db8:1::/64")
			got := p.Places(linksOf(tt.links), Course{Grant: g, At: tt.at, Refused: tt.refused, Away: tt.away})
			if s := placesText(got, g.Outside); s != tt.want {
				t.Errorf("at %q, want %q", s, tt.want)
			}
		})
	}
}

// The first step of a recursion is local: only what cannot be done here is asked for elsewhere.
//
// RFC 8811, Section 3.2.3: a gateway asks the next domain when its own mitigation is not enough.
func TestPlacesWithMitigators(t *testing.T) {
	tests := []struct {
		name        string
		strategy    Strategy
		links       string
		at, refused []string
		recursed    bool
		to          string
		uplinks     []string // empty: north and south
		want        string
	}{
		{name: "local", want: "box"},
		{name: "the next local one", links: "box=down", want: "hook"},
		{name: "a refusal goes on even with failover", refused: []string{"box"}, want: "hook"},
		{name: "what stands stays", at: []string{"hook"}, want: "hook"},
		{name: "none is up", links: "box=down hook=down", want: "north"},
		{name: "none is left", refused: []string{"box", "hook"}, want: "north"},
		{name: "one refused, one is down", links: "hook=down", refused: []string{"box"}, want: "north"},
		{name: "back from the uplink", at: []string{"north"}, want: "box"},
		{name: "drains", links: "box=drained", at: []string{"box"}, want: "hook"},
		{name: "both drain", links: "box=drained hook=drained", at: []string{"box"}, want: "north"},
		{name: "both drain, and the uplinks are down", links: "box=drained hook=drained north=down south=down", at: []string{"box"}, want: "box"},
		{name: "all is down: the uplink is asked when it is back", links: "box=down hook=down north=down south=down", want: "north"},
		{name: "recursed", recursed: true, want: "box north"},
		{name: "recursed, to one of them", recursed: true, to: "south", want: "box south"},
		{name: "recursed, to another one", recursed: true, to: "east", want: "box east"},
		{name: "recursed, to one server of a farm", recursed: true, to: "farm/2", want: "box farm/2"},
		{name: "recursed, to where it is", recursed: true, to: "box", want: "box"},
		{name: "recursed, to one that is gone", recursed: true, to: "west", want: "box north"},
		{name: "recursed, and that one refused", recursed: true, to: "south", refused: []string{"south"}, want: "box"},
		{name: "not recursed, though told where to", to: "south", want: "box"},
		{name: "recursed, local ones down", recursed: true, links: "box=down hook=down", want: "north"},
		{name: "all", strategy: StrategyAll, want: "box hook"},
		{name: "all, one down", strategy: StrategyAll, links: "box=down", want: "box hook"},
		{name: "all down", strategy: StrategyAll, links: "box=down hook=down", want: "north south"},
		{name: "all recursed", strategy: StrategyAll, recursed: true, want: "box hook north south"},
		{name: "no uplinks", uplinks: []string{}, want: "box"},
		{name: "no uplinks, and down", uplinks: []string{}, links: "box=down hook=down", want: "box"},
		{name: "no uplinks, and recursed", uplinks: []string{}, recursed: true, want: "box"},
		{name: "no uplinks, and refused", uplinks: []string{}, refused: []string{"box", "hook"}, want: ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := estate()
			c.Domains[0].Strategy, c.Domains[0].Mitigators, c.Domains[0].Uplinks = tt.strategy, []string{"box", "hook"}, []string{"north", "south"}
			if tt.uplinks != nil {
				c.Domains[0].Uplinks = tt.uplinks
			}
			p := mustNew(t, c)
			g := grantOn(t, p, "198.51.100.0/25")
			got := p.Places(linksOf(tt.links), Course{Grant: g, At: tt.at, Refused: tt.refused, Recursed: tt.recursed, To: tt.to})
			if s := placesText(got, g.Outside); s != tt.want {
				t.Errorf("at %q, want %q", s, tt.want)
			}
		})
	}
}

// RFC 9284, Section 5: what a provider assigned is asked of that provider and of no other.
func TestPlacesOfProviders(t *testing.T) {
	const north, south, free = "198.51.100.0/25", "203.0.113.0/24", "2001:db8:1::/64"
	tests := []struct {
		name     string
		strategy Strategy
		links    string
		refused  []string
		recursed bool
		to       string
		asked    []string
		want     string
	}{
		{name: "its owner", asked: []string{south}, want: "south"},
		{name: "its owner is down", links: "south=down", asked: []string{south}, want: "south"},
		{name: "its owner refused", refused: []string{"south"}, strategy: StrategySerial, asked: []string{south}, want: ""},
		{name: "two owners", asked: []string{south, north}, want: "north[198.51.100.0/25] south[203.0.113.0/24]"},
		{name: "two owners, one refused", refused: []string{"south"}, asked: []string{south, north}, want: "north[198.51.100.0/25]"},
		{name: "nobody's", asked: []string{free}, want: "north"},
		{name: "nobody's, the first is down", links: "north=down", asked: []string{free}, want: "south"},
		{name: "nobody's and the first one's", asked: []string{free, north}, want: "north"},
		{name: "nobody's and the second one's", asked: []string{free, south}, want: "north[2001:db8:1::/64] south[203.0.113.0/24]"},
		{name: "nobody's and the second one's, the first down", links: "north=down", asked: []string{free, south}, want: "south"},
		{
			name: "cut where the owner's end", asked: []string{"198.51.100.0/24"}, strategy: StrategyPartition,
			want: "north[198.51.100.0/25] east[198.51.100.128/25]",
		},
		{name: "partition", strategy: StrategyPartition, asked: []string{free, south, north}, want: "north[198.51.100.0/25] south[203.0.113.0/24] east[2001:db8:1::/64]"},
		{name: "partition, nobody's is not the owners' even then", strategy: StrategyPartition, links: "east=down", asked: []string{free}, want: "east"},
		{name: "all", strategy: StrategyAll, asked: []string{free}, want: "north south east"},
		{
			name: "all, each its own", strategy: StrategyAll, asked: []string{free, south, north},
			want: "north[198.51.100.0/25 2001:db8:1::/64] south[203.0.113.0/24 2001:db8:1::/64] east[2001:db8:1::/64]",
		},
		{name: "the operator's choice", recursed: true, to: "east", asked: []string{free}, want: "east"},
		{name: "the operator's choice is not asked for another's", recursed: true, to: "east", asked: []string{south, free}, want: "south[203.0.113.0/24] east[2001:db8:1::/64]"},
		{name: "the operator's choice, all another's", recursed: true, to: "east", asked: []string{south}, want: "south"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := estate()
			c.Uplinks[0].Prefixes, c.Uplinks[1].Prefixes = prefixes(north), prefixes("203.0.113.0/25", "203.0.113.128/25")
			c.Domains[0].Strategy = tt.strategy
			p := mustNew(t, c)
			g := grantOn(t, p, tt.asked...)
			got := p.Places(linksOf(tt.links), Course{Grant: g, Refused: tt.refused, Recursed: tt.recursed, To: tt.to})
			if s := placesText(got, g.Outside); s != tt.want {
				t.Errorf("at %q, want %q", s, tt.want)
			}
		})
	}
}

// Where a name's addresses are of two providers, each gets its own; where all of a target is one's, that one gets the name.
//
// RFC 9284, Section 6: what is one provider's is not told another.
func TestPlacesOfNames(t *testing.T) {
	c := estate()
	c.Uplinks[0].Prefixes, c.Uplinks[1].Prefixes = prefixes("198.51.100.0/24"), prefixes("203.0.113.0/25")
	p := mustNew(t, c)
	for _, tt := range []struct {
		name  string
		addrs []string
		want  []Place
	}{
		{"one provider", []string{"198.51.100.1", "198.51.100.2"}, []Place{{
			Placement: Placement{Uplink: "north"}, Part: Footprint{
				Target:   dots.Target{FQDNs: []string{"www.example.com"}, Protocols: []uint8{6}},
				Expanded: Expanded{Prefixes: prefixes("198.51.100.1/32", "198.51.100.2/32"), Names: []string{"www.example.com"}},
			},
		}}},
		{"two providers", []string{"198.51.100.1", "203.0.113.1"}, []Place{
			{Placement: Placement{Uplink: "north"}, Part: Footprint{
				Target:   dots.Target{Prefixes: prefixes("198.51.100.1/32"), Protocols: []uint8{6}},
				Expanded: Expanded{Prefixes: prefixes("198.51.100.1/32")},
			}},
			{Placement: Placement{Uplink: "south", Scope: "client:one:cuid-one"}, Part: Footprint{
				Target:   dots.Target{Prefixes: prefixes("203.0.113.1/32"), Protocols: []uint8{6}},
				Expanded: Expanded{Prefixes: prefixes("203.0.113.1/32")},
			}},
		}},
	} {
		v := &fakeView{names: map[string]Resolution{"www.example.com": addresses(tt.addrs...)}}
		g := p.Admit(v, ask(dots.Target{FQDNs: []string{"www.example.com"}, Protocols: []uint8{6}})).Grant
		if s := diff(tt.want, p.Places(linksOf(""), Course{Grant: g})); s != "" {
			t.Errorf("%s: %s", tt.name, s)
		}
	}
}

func TestScopes(t *testing.T) {
	c := estate()
	c.Domains[0].Strategy = StrategyAll
	p := mustNew(t, c)
	g := grantOn(t, p, "198.51.100.0/25")
	g.Client.CDID = "behind"
	var got []Placement
	for _, at := range p.Places(linksOf(""), Course{Grant: g}) {
		got = append(got, at.Placement)
	}
	want := []Placement{{Uplink: "north"}, {Uplink: "south", Scope: "client:one:cuid-one:behind"}, {Uplink: "east", Scope: "domain:acme"}}
	if s := diff(want, got); s != "" {
		t.Error(s)
	}
	g.Domain = "gone"
	if got := p.Places(linksOf(""), Course{Grant: g}); len(got) != 0 {
		t.Errorf("a domain that is gone has places: %v", got)
	}
}

// farmed is a policy whose acme has a farm, and a grant of it for each of n clients.
func farmed(t *testing.T, n int) (*Policy, []Grant) {
	t.Helper()
	c := estate()
	c.Domains[0].Uplinks = []string{"farm", "north"}
	p := mustNew(t, c)
	g := grantOn(t, p, "198.51.100.0/25")
	all := make([]Grant, n)
	for i := range all {
		all[i] = g
		all[i].Client.CUID = fmt.Sprintf("cuid-%d", i)
	}
	return p, all
}

// onlyPlace returns the uplink of a mitigation that is at one.
func onlyPlace(t *testing.T, p *Policy, l Links, c Course) string {
	t.Helper()
	got := p.Places(l, c)
	if len(got) != 1 {
		t.Fatalf("%d places: %v", len(got), got)
	}
	return got[0].Uplink
}

// TestFarm: clients are spread over a farm, and only those of a lost server move; they stay then where they are.
func TestFarm(t *testing.T) {
	const n = 3000
	p, grants := farmed(t, n)
	count, moved := map[string]int{}, map[string]int{}
	for _, g := range grants {
		home := onlyPlace(t, p, linksOf(""), Course{Grant: g})
		count[home]++
		for _, state := range []string{"farm/2=down", "farm/2=drained"} {
			now := onlyPlace(t, p, linksOf(state), Course{Grant: g, At: []string{home}})
			if home != "farm/2" && now != home {
				t.Fatalf("%s: moved from %s to %s", state, home, now)
			}
			if home == "farm/2" {
				moved[now]++
			}
			if back := onlyPlace(t, p, linksOf(""), Course{Grant: g, At: []string{now}}); back != now {
				t.Fatalf("moved back from %s to %s", now, back)
			}
		}
	}
	for _, m := range []string{"farm/1", "farm/2", "farm/3"} {
		if count[m] < n/3-n/20 || count[m] > n/3+n/20 {
			t.Errorf("%d of %d clients at %s", count[m], n, m)
		}
	}
	if moved["farm/2"] != 0 || moved["farm/1"] < count["farm/2"]-n/10 || moved["farm/3"] < count["farm/2"]-n/10 {
		t.Errorf("the %d clients of a lost server went to %v", count["farm/2"], moved)
	}
}

func TestFarmAsAnUplink(t *testing.T) {
	p, grants := farmed(t, 1)
	g := grants[0]
	home := onlyPlace(t, p, linksOf(""), Course{Grant: g})
	tests := []struct {
		name        string
		links       string
		at, refused []string
		want        string
		away        []string
	}{
		{name: "all are down: the next uplink", links: "farm/1=down farm/2=down farm/3=down", want: "north"},
		{name: "everything is down: its own server", links: "farm/1=down farm/2=down farm/3=down north=down", want: home},
		{name: "everything is down: where it stands", links: "farm/1=down farm/2=down farm/3=down north=down", at: []string{"farm/2"}, want: "farm/2"},
		{name: "everything is down, its server drains", links: "farm/1=gone farm/2=gone farm/3=down north=down", want: "farm/3"},
		{name: "two drain", links: "farm/1=drained farm/3=drained", want: "farm/2"},
		{name: "all drain", links: "farm/1=drained farm/2=drained farm/3=drained", want: "north"},
		{name: "one server's refusal is the farm's", refused: []string{"farm/3"}, want: ""},
		{name: "two servers send it elsewhere", away: []string{"farm/1", "farm/3"}, want: "farm/2"},
		{name: "all servers send it elsewhere", away: []string{"farm/1", "farm/2", "farm/3"}, want: "north"},
	}
	for _, tt := range tests {
		got := p.Places(linksOf(tt.links), Course{Grant: g, At: tt.at, Refused: tt.refused, Away: tt.away})
		if s := placesText(got, g.Outside); s != tt.want {
			t.Errorf("%s: at %q, want %q", tt.name, s, tt.want)
		}
	}
	if !p.Reaches("farm") || !p.Reaches("farm/2") || !p.Reaches("north") || p.Reaches("west") || p.Reaches("") {
		t.Error("Reaches is wrong")
	}
}

// A client's place in a farm is the same in every process: after a restart nobody moves.
func TestWeightIsFixed(t *testing.T) {
	if got := weight("farm/1", dots.Client{Name: "a", CUID: "b"}); got != weight("farm/1", dots.Client{Name: "a", CUID: "b"}) || got == 0 {
		t.Errorf("%#x", got)
	}
	seen := map[uint64]string{}
	for _, c := range []dots.Client{{Name: "ab", CUID: "c"}, {Name: "a", CUID: "bc"}, {Name: "a", CUID: "b", CDID: "c"}, {Name: "abc"}, {CUID: "abc"}} {
		w := weight("s", c)
		if other, ok := seen[w]; ok {
			t.Errorf("%v and %s weigh the same", c, other)
		}
		seen[w] = fmt.Sprint(c)
	}
	const pinned = 0xe7aaa472774a85d0
	if got := weight("farm/1", dots.Client{Name: "one", CUID: "cuid-one"}); got != pinned {
		t.Errorf("weight is %#x, was %#x: a new version would move every client", got, uint64(pinned))
	}
}

// TestAdmitRefusesWhatNoUplinkMayBeAskedFor: by prefix ownership always, by what drains where the view knows.
//
// RFC 9284, Section 5: what no provider of the domain assigned is not sent to another one.
func TestAdmitRefusesWhatNoUplinkMayBeAskedFor(t *testing.T) {
	c := estate()
	c.Uplinks[3].Prefixes, c.Uplinks[4].Prefixes = prefixes("203.0.113.0/25"), prefixes("203.0.113.0/25") // of the farm, which acme does not have
	p := mustNew(t, c)
	const text = "no uplink for this target"
	wantDeny(t, p.Admit(&fakeView{}, askPrefix("203.0.113.0/25")).Deny, dots.CodeBadRequest, text)
	wantDeny(t, p.Admit(&fakeView{}, askPrefix("198.51.100.0/24", "203.0.113.9/32")).Deny, dots.CodeBadRequest, text)
	grantOn(t, p, "203.0.113.128/25")
	c.Domains[0].Mitigators = []string{"box"}
	grantOn(t, mustNew(t, c), "203.0.113.0/25") // the local mitigator is nobody's server
	c.Domains[0].Mitigators, c.Domains[0].Strategy = nil, StrategyPartition
	c.Uplinks[0].Prefixes, c.Uplinks[1].Prefixes, c.Uplinks[2].Prefixes = prefixes("198.51.100.0/25"), prefixes("198.51.100.128/25"), prefixes("192.0.2.0/24")
	wantDeny(t, mustNew(t, c).Admit(&fakeView{}, askPrefix("2001:db8:1::/64")).Deny, dots.CodeBadRequest, text)
}

// linkedView is a View that knows the uplinks, too.
type linkedView struct {
	*fakeView
	fakeLinks
}

func TestAdmitRefusesWhileAllDrain(t *testing.T) {
	p := mustNew(t, estate())
	a := askPrefix("198.51.100.0/24")
	draining := linkedView{&fakeView{}, linksOf("north=drained south=drained east=gone")}
	wantDeny(t, p.Admit(draining, a).Deny, dots.CodeUnavailable, "mitigation not available now")
	if v := p.Admit(linkedView{&fakeView{}, linksOf("north=down south=down east=down")}, a); v.Deny != nil {
		t.Errorf("what is down holds: %v", v.Deny)
	}
	a.Held = dots.Some(a.Request)
	if v := p.Admit(draining, a); v.Deny != nil || !v.Grant.Refresh {
		t.Errorf("a refresh is nothing new: %v", v.Deny)
	}
}

func TestIsMitigator(t *testing.T) {
	c := estate()
	c.Domains[0].Mitigators = []string{"box", "farm"}
	p := mustNew(t, c)
	for _, tt := range []struct {
		domain, uplink string
		want           bool
	}{
		{"acme", "box", true}, {"acme", "farm/2", true}, {"acme", "hook", false}, {"acme", "north", false}, {"other", "box", false}, {"gone", "box", false},
	} {
		if got := p.IsMitigator(tt.domain, tt.uplink); got != tt.want {
			t.Errorf("%s at %s: %v", tt.domain, tt.uplink, got)
		}
	}
}

// TestOptionalAttributesOfSeveralUplinks: those that one of them takes stay in the grant.
func TestOptionalAttributesOfSeveralUplinks(t *testing.T) {
	p := mustNew(t, estate())
	a := askPrefix("198.51.100.0/24")
	a.Request.Optional = []dots.Raw{{Key: 130}, {Key: 131}}
	g := p.Admit(&fakeView{}, a).Grant
	if len(g.Request.Optional) != 1 || g.Request.Optional[0].Key != 130 || g.DroppedOptional != 1 {
		t.Errorf("kept %v, dropped %d", g.Request.Optional, g.DroppedOptional)
	}
	if slices.Contains(p.domains["acme"].route.all(p), "farm/1") {
		t.Error("acme has no farm")
	}
}
