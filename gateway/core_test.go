package gateway

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// testPolicy has two clients of one domain, a client of another one, and one uplink.
func testPolicy(t testing.TB) *policy.Policy {
	t.Helper()
	return testPolicyOver(t, policy.Uplink{Name: "up"})
}

// testPolicyOver has these uplinks; the last is that of the domains.
func testPolicyOver(t testing.TB, uplinks ...policy.Uplink) *policy.Policy {
	t.Helper()
	return testPolicyFor(t, func(c *policy.Config) {
		c.Uplinks = uplinks
		for i := range c.Domains {
			c.Domains[i].Uplinks = []string{uplinks[len(uplinks)-1].Name}
		}
	})
}

// testPolicyFor is testPolicy with a change; an indefinite lifetime is granted in any case.
func testPolicyFor(t testing.TB, change func(*policy.Config)) *policy.Policy {
	t.Helper()
	c := policy.Config{
		Uplinks: []policy.Uplink{{Name: "up"}},
		Domains: []policy.Domain{
			{
				Name: "lab", Uplinks: []string{"up"}, OnOverlap: policy.OverlapRejectNew, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")},
				Names: []string{"example.com"},
				Aliases: map[string]dots.Target{
					"web":  {Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.16/28")}},
					"site": {FQDNs: []string{"site.example.com"}},
				},
				Clients: []policy.ClientEntry{
					{Name: "a", CertNames: []string{"a"}},
					{Name: "b", CertNames: []string{"b"}},
					{Name: "guest", CertNames: []string{"guest"}, Guest: true},
				},
			},
			{
				Name: "other", Uplinks: []string{"up"}, Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
				Aliases: map[string]dots.Target{"theirs": {Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/28")}}},
				Clients: []policy.ClientEntry{{Name: "o", CertNames: []string{"o"}}},
			},
		},
	}
	change(&c)
	c.Defaults.AllowIndefinite = true
	p, err := policy.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func testCoreConfig(t testing.TB) CoreConfig {
	t.Helper()
	return CoreConfig{
		Policy: testPolicy(t), NodeID: "gw", NewCUID: func() string { return "new-cuid" },
		Identities: map[string][sha256.Size]byte{"up": sha256.Sum256([]byte("gateway"))},
	}
}

func testCore(t testing.TB) *Core {
	t.Helper()
	c, err := NewCore(testCoreConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func put(mid uint32, prefix string) dots.Request {
	return dots.Request{MID: mid, Target: dots.Target{Prefixes: []netip.Prefix{netip.MustParsePrefix(prefix)}}, Lifetime: dots.Some[dots.Lifetime](3600)}
}

// TestWayThrough walks one mitigation in, up, and its status back: accepted durably, wanted, answered, mitigated,
// withdrawn, terminated, forgotten.
func TestWayThrough(t *testing.T) {
	c := testCore(t)
	now := time.Unix(1000, 0)
	me := dots.Client{Name: "a", CUID: "cuid-a"}
	c.Step(now, LinkUp{"up"})

	r := c.Step(now, Mitigate{1, dots.Ask{Client: me, Request: put(7, "192.0.2.1/32"), HopLimit: 15}})
	if r.Seq == 0 || r.After != r.Seq || len(r.Wants) != 1 || len(r.Replies) != 0 {
		t.Fatalf("a PUT gave %+v", r)
	}
	c.Step(now, Committed{r.Seq})
	leg := r.Wants[0]
	r = c.Step(now, Answered{dots.LegAnswer{Key: leg.Key, Revision: leg.Revision, Code: dots.CodeCreated, Lifetime: dots.Some[dots.Lifetime](3600)}})
	if len(r.Replies) != 1 || r.Replies[0].Err != nil || r.Replies[0].Answer.Code != dots.CodeCreated || r.Replies[0].Answer.Lifetime != 3600 {
		t.Fatalf("the uplink's 2.01 gave %+v", r)
	}
	c.Step(now, Reported{Uplink: "up", CUID: leg.Key.CUID, Reports: []dots.Report{{MID: leg.Key.MID, Status: dots.StatusMitigated}}})
	if got := status(t, c, now, me, 7); got != dots.StatusMitigated {
		t.Fatalf("status %v, want mitigated", got)
	}

	r = c.Step(now, Withdraw{2, dots.MitigationKey{Client: me, MID: 7}})
	if len(r.Replies) != 1 || r.Replies[0].Err != nil || len(r.Wants) != 1 || !r.Wants[0].Withdraw || !r.Reserve {
		t.Fatalf("a DELETE gave %+v", r)
	}
	c.Step(now, Committed{r.Seq})
	if got := status(t, c, now, me, 7); got != dots.StatusClientWithdrawn {
		t.Fatalf("status %v, want client-withdrawn", got)
	}
	leg = r.Wants[0]
	r = c.Step(now, Answered{dots.LegAnswer{Key: leg.Key, Revision: leg.Revision, Withdraw: true, Code: dots.CodeDeleted}})
	c.Step(now, Committed{r.Seq})
	c.Step(now, Reported{Uplink: "up", CUID: leg.Key.CUID, Reports: []dots.Report{{MID: leg.Key.MID, Status: dots.StatusTerminated}}})
	if got := status(t, c, now, me, 7); got != dots.StatusTerminated {
		t.Fatalf("status %v, want terminated", got)
	}
	now = now.Add(endedVisible)
	if d := c.Deadline(); !d.Equal(now) {
		t.Fatalf("deadline %v, want %v", d, now)
	}
	c.Step(now, Tick{})
	if got := status(t, c, now, me, 7); got != 0 {
		t.Fatalf("status %v, want none", got)
	}
	if len(c.mits)+len(c.legs)+len(c.byClient)+c.index.Len() != 0 {
		t.Fatalf("left over: %d mitigations, %d scopes, %d in the index", len(c.mits), len(c.legs), c.index.Len())
	}
}

// status asks for one mitigation; 0: there is none.
func status(t *testing.T, c *Core, now time.Time, cl dots.Client, mid uint32) dots.Status {
	t.Helper()
	r := c.Step(now, Inspect{Ticket: 99, Client: cl, MID: dots.Some(mid)})
	if len(r.Replies) != 1 {
		t.Fatalf("a GET gave %+v", r)
	}
	if r.Replies[0].Err != nil {
		return 0
	}
	return r.Replies[0].Reports[0].Status
}

// TestRecords brings a mitigation and its leg back from what they were written down as.
func TestRecords(t *testing.T) {
	r := newRig(t, CoreConfig{})
	r.step(LinkUp{"up"})
	full := put(7, "192.0.2.1/32")
	full.Target.Ports = []dots.PortRange{{Lower: 80, Upper: 443}}
	full.Target.Protocols = []uint8{6, 17}
	full.ACLs = []dots.ACLControl{{Name: "acl", Activation: dots.ActivateImmediate}}
	full.Source = dots.Source{Prefixes: []string{"203.0.113.0/24"}, ICMPTypes: []dots.ICMPTypeRange{{Lower: 3, Upper: 4}}}
	full.Optional = []dots.Raw{{Key: 130, Value: []byte{1}}} // does not travel on, so that the grant differs
	client := dots.Client{Name: "a", CUID: "cuid-a", CDID: "cdid"}
	for _, req := range []dots.Request{full, put(8, "2001:db8::/64")} {
		r.lines = nil
		r.step(Mitigate{r.ticket("put"), dots.Ask{Client: client, Request: req, HopLimit: 9}})
		if told := slices.Contains(r.lines, "note INFO: optional attributes dropped count=1"); told != (len(req.Optional) > 0) {
			t.Errorf("mid %d: told of dropped attributes: %v", req.MID, told)
		}
		key := dots.MitigationKey{Client: client, MID: req.MID}
		m := r.core.mits[key]
		l := r.core.leg(m.legs[0])
		asked, grant, want := m.asked, m.grant, l.want
		grant.DroppedOptional = 0
		r.boot()
		again := r.core.mits[key]
		opts := []cmp.Option{cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmpopts.EquateEmpty()}
		if d := cmp.Diff(asked, again.asked, opts...) + cmp.Diff(grant, again.grant, opts...) + cmp.Diff(want, r.core.leg(again.legs[0]).want, opts...); d != "" {
			t.Errorf("restored (-was +is):\n%s", d)
		}
	}
}
