package gateway

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
	"github.com/dotsgate/dotsgate/store"
)

// all writes a core's state down, but for what points to itself.
func (c *Core) all() string {
	var b strings.Builder
	for _, k := range slices.SortedFunc(maps.Keys(c.mits), compareKeys) {
		fmt.Fprintf(&b, "%+v\n%+v\n", *c.mits[k], c.report(c.mits[k]))
	}
	for _, l := range c.sortedLegs() {
		fmt.Fprintf(&b, "%+v\n", *l)
	}
	for _, n := range slices.Sorted(maps.Keys(c.names)) {
		fmt.Fprintf(&b, "%+v\n", *c.names[n])
	}
	for _, n := range slices.SortedFunc(maps.Keys(c.cuids), cuidName.compare) {
		fmt.Fprintf(&b, "%+v\n", *c.cuids[n])
	}
	for _, n := range slices.Sorted(maps.Keys(c.paces)) {
		fmt.Fprintf(&b, "%s %+v\n", n, *c.paces[n])
	}
	fmt.Fprintf(&b, "%v %v %v %v %v %v %+v\n", c.liveOf, c.liveIn, c.spareOf, c.asksOf, c.dirty, c.index.Len(), c.counts)
	fmt.Fprintf(&b, "%d asks, %d deadlines, next %v, %d flights, seq %d, durable %d", len(c.asks), len(c.due.h), c.Deadline(), len(c.flights), c.seq, c.durable)
	return b.String()
}

// TestExplain explains requests of every outcome, and holds that the core is as before each time.
//
// RFC 9132, Section 4.4.1: the same rules as for a request.
func TestExplain(t *testing.T) {
	cfg := testCoreConfig(t)
	cfg.Policy = testPolicyFor(t, func(c *policy.Config) {
		c.Domains[0].Limits.RequestsPerMinute = dots.Some(2)
		c.Domains[0].Limits.NewCUIDsPerHour = dots.Some(1)
		c.Domains[0].OnOverlap = policy.OverlapRejectNew
	})
	r := newRig(t, CoreConfig{Policy: cfg.Policy})
	r.step(LinkUp{"up"})
	r.step(Mitigate{r.ticket("put"), dots.Ask{Client: me, Request: put(1, "192.0.2.1/32"), HopLimit: 9}})
	r.step(Mitigate{r.ticket("put"), dots.Ask{Client: me, Request: dots.Request{MID: 2, Target: dots.Target{FQDNs: []string{"slow.example.com"}}}, HopLimit: 9}})
	b := dots.Client{Name: "b", CUID: "cuid-b"}
	named := dots.Request{Target: dots.Target{FQDNs: []string{"www.example.com"}}}
	for _, tt := range []struct {
		name string
		ask  policy.Ask
		want string // the last line
		also string
	}{
		{"allowed", policy.Ask{Client: b, Request: put(0, "192.0.2.9/32")}, "allowed", "new requests per minute"},
		{"a new cuid", policy.Ask{Client: b, Request: put(0, "192.0.2.9/32")}, "allowed", "new cuids per hour"},
		{"an own one is superseded", policy.Ask{Client: me, Request: put(0, "192.0.2.1/32")}, "allowed", "next in 30s"},
		{"a refresh", policy.Ask{Client: me, Request: put(1, "192.0.2.1/32")}, "allowed: a refresh", ""},
		{"known with another target", policy.Ask{Client: me, Request: put(1, "192.0.2.2/32")}, "refused: 4.00", ""},
		{"foreign", policy.Ask{Client: me, Request: put(0, "198.51.100.1/32")}, "refused: 4.00", "not yours"},
		{"overlap", policy.Ask{Client: b, Request: put(0, "192.0.2.1/32")}, "refused: 4.09", "a"},
		{"somebody's cuid", policy.Ask{Client: dots.Client{Name: "b", CUID: "cuid-a"}, Request: put(0, "192.0.2.9/32")}, "refused: 4.09", "cuid"},
		{"a guest", policy.Ask{Client: dots.Client{Name: "guest"}, Request: put(0, "192.0.2.1/32")}, "refused: 4.01", ""},
		{"nobody", policy.Ask{Client: dots.Client{Name: "nobody"}, Request: put(0, "192.0.2.1/32")}, "refused: 4.01", ""},
		{"a name", policy.Ask{Client: b, Request: named}, "not decided", "www.example.com"},
	} {
		before := r.core.all()
		e := r.core.Explain(tt.ask)
		if after := r.core.all(); after != before {
			t.Fatalf("%s: the core went from\n%s\nto\n%s", tt.name, before, after)
		}
		lines := strings.Split(strings.TrimSpace(e.String()), "\n")
		if last := lines[len(lines)-1]; !strings.HasPrefix(last, tt.want) || !strings.Contains(e.String(), tt.also) {
			t.Errorf("%s: want %q and %q in\n%s", tt.name, tt.want, tt.also, e)
		}
	}
	if e := r.core.Explain(policy.Ask{Client: me, Request: put(1, "192.0.2.1/32")}); slices.ContainsFunc(e.Steps, func(s policy.Step) bool { return s.Rule == "rate" }) {
		t.Errorf("a refresh is not counted, but:\n%s", e)
	}
	out := r.core.Step(r.now, Tick{})
	if !out.empty() || len(out.Questions)+len(out.Notes) > 0 {
		t.Errorf("an explanation wants something done: %+v", out)
	}
}

// TestExplainNames resolves the names that an explanation needs, outside of the core.
func TestExplainNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.NewMemory(), nil)
		asked := 0
		w.names = func(n string) ([]netip.Addr, time.Duration, error) {
			asked++
			if n == "gone.example.com" {
				return nil, 0, fmt.Errorf("no such name")
			}
			return []netip.Addr{netip.MustParseAddr("192.0.2.200")}, time.Hour, nil
		}
		for name, want := range map[string]string{"www.example.com": "allowed", "gone.example.com": "refused: 5.03"} {
			e, err := w.gate.Explain(t.Context(), policy.Ask{Client: me, Request: dots.Request{Target: dots.Target{FQDNs: []string{name}}}})
			if err != nil || !strings.Contains(e.String(), want) {
				t.Errorf("%s: %v, want %q in\n%s", name, err, want, e)
			}
		}
		if asked != 2 {
			t.Errorf("the resolver was asked %d times", asked)
		}
		if err := w.gate.Look(t.Context(), func(c *Core) {
			if len(c.names) != 0 || len(c.asks) != 0 {
				t.Errorf("left: %v, %v", c.names, c.asks)
			}
		}); err != nil {
			t.Fatal(err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		w.stop()
		if _, err := w.gate.Explain(ended, policy.Ask{Client: me, Request: put(0, "192.0.2.1/32")}); err == nil {
			t.Error("explained by a gateway that stopped")
		}
	})
}
