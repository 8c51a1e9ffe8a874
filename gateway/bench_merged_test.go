package gateway

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// crowd is a core whose clients ask for the same targets, with an uplink that answers at once, in a time of its own.
type crowd struct {
	*Core
	tb   testing.TB
	time time.Time
	// wants and changed count what the uplink was asked and the observers were told.
	wants, changed int
}

// newCrowd makes a core of so many clients of one domain.
func newCrowd(tb testing.TB, clients int) *crowd {
	tb.Helper()
	d := policy.Domain{Name: "lab", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	d.Limits.AllowIndefinite = dots.Some(true)
	for i := range clients {
		d.Clients = append(d.Clients, policy.ClientEntry{Name: fmt.Sprint("c", i), CertNames: []string{fmt.Sprint("c", i)}})
	}
	p, err := policy.New(policy.Config{Uplinks: []policy.Uplink{{Name: "up"}}, Domains: []policy.Domain{d}})
	if err != nil {
		tb.Fatal(err)
	}
	cfg := testCoreConfig(tb)
	cfg.Policy = p
	core, err := NewCore(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	c := &crowd{Core: core, tb: tb, time: time.Unix(1000000, 0)}
	c.do(LinkUp{"up"})
	return c
}

// do takes an event in and all that follows at once: what is to be durable is, and the uplink answers what it is asked.
func (c *crowd) do(ev Event) []Reply {
	var replies []Reply
	for events := []Event{ev}; len(events) > 0; events = events[1:] {
		r := c.Step(c.time, events[0])
		if r.Seq != 0 {
			events = append(events, Committed{r.Seq})
		}
		for _, w := range r.Wants {
			code := dots.CodeChanged
			if w.Withdraw {
				code = dots.CodeDeleted
			}
			events = append(events, Answered{dots.LegAnswer{Key: w.Key, Revision: w.Revision, Withdraw: w.Withdraw, Code: code}})
		}
		c.wants += len(r.Wants)
		c.changed += len(r.Changed)
		replies = append(replies, r.Replies...)
	}
	return replies
}

// wait lets a span of time pass, and everything due in it happen.
func (c *crowd) wait(d time.Duration) {
	end := c.time.Add(d)
	for at := c.Deadline(); !at.IsZero() && !at.After(end); at = c.Deadline() {
		c.time = at
		c.do(Tick{})
	}
	c.time = end
}

// ask is the request of a client for targets, for good.
func (c *crowd) ask(client int, mid uint32, port uint16, list ...netip.Prefix) dots.Ask {
	name := fmt.Sprint("c", client)
	return dots.Ask{Client: dots.Client{Name: name, CUID: "cuid-of-" + name}, HopLimit: 15, Request: dots.Request{
		MID: mid, Lifetime: dots.Some[dots.Lifetime](dots.Indefinite),
		Target: dots.Target{Prefixes: list, Ports: []dots.PortRange{{Lower: port, Upper: port}}, Protocols: []uint8{6}},
	}}
}

// put lets a request through to its answer, which must be a grant.
func (c *crowd) put(a dots.Ask) {
	if r := c.do(Mitigate{1, a}); len(r) != 1 || r[0].Err != nil {
		c.tb.Fatalf("a PUT gave %+v", r)
	}
}

// drop withdraws what was asked for.
func (c *crowd) drop(a dots.Ask) {
	if r := c.do(Withdraw{1, dots.MitigationKey{Client: a.Client, MID: a.Request.MID}}); len(r) != 1 || r[0].Err != nil {
		c.tb.Fatalf("a DELETE gave %+v", r)
	}
}

// common is the target that the crowd has in common, and target one of the many beside it.
var common = netip.MustParsePrefix("10.255.0.1/32")

func target(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
}

// gather lets clients ask for the shared target.
func (c *crowd) gather(n int) {
	for i := range n {
		c.put(c.ask(i, 1, 80, common))
	}
}

// current counts the legs that carry something.
func (c *crowd) current() int {
	n := 0
	for _, h := range c.legs {
		for _, l := range h.legs {
			if l.current {
				n++
			}
		}
	}
	return n
}

// BenchmarkMergedTable builds a table of 10,000 mitigations: 1,000 clients ask for ten targets each, every target is ten clients'.
func BenchmarkMergedTable(b *testing.B) {
	const clients, each = 1000, 10
	var c *crowd
	var before, after runtime.MemStats
	for b.Loop() {
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&before)
		c = newCrowd(b, clients)
		b.StartTimer()
		for k := range each {
			for i := range clients {
				c.put(c.ask(i, uint32(k), 80, target(i%(clients/10)*each+k)))
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := c.current(); n != clients*each/10 {
		b.Fatalf("%d legs", n)
	}
	n := float64(clients * each)
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "heap-B/mitigation")
	b.ReportMetric(float64(c.wants)/n, "wants/request")
	runtime.KeepAlive(c)
}

// joinAndLeave measures one client that joins the shared leg and leaves it for good, again and again.
func joinAndLeave(b *testing.B, c *crowd, a dots.Ask) {
	var join, leave time.Duration
	before := c.wants
	for b.Loop() {
		begin := time.Now()
		c.put(a)
		middle := time.Now()
		c.drop(a)
		leave += time.Since(middle)
		join += middle.Sub(begin)
		c.wait(2 * DefaultTerminating)
	}
	b.ReportMetric(float64(join.Nanoseconds())/float64(b.N), "ns/join")
	b.ReportMetric(float64(leave.Nanoseconds())/float64(b.N), "ns/leave")
	b.ReportMetric(float64(c.wants-before)/float64(b.N), "wants/op")
}

// BenchmarkJoinBesideTable is the cost of a change of a leg that ten share, beside tables of other mitigations: it must not grow with the table.
// "same" asks for what the leg has already, "more" for another port, so that a new leg takes its place.
func BenchmarkJoinBesideTable(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		c := newCrowd(b, n/10+11)
		c.gather(10)
		for i := range n {
			c.put(c.ask(11+i/10, uint32(2+i%10), 80, target(i)))
		}
		for what, port := range ports {
			b.Run(fmt.Sprintf("%s/table=%d", what, n), func(b *testing.B) { joinAndLeave(b, c, c.ask(10, 1, port, common)) })
		}
	}
}

// ports are those of a newcomer that needs nothing new, and of one that does.
var ports = map[string]uint16{"same": 80, "more": 443}

// BenchmarkJoinCrowd is the cost of a change of a leg that many share: it grows with them, and not with their square.
func BenchmarkJoinCrowd(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		c := newCrowd(b, n+1)
		c.gather(n)
		for what, port := range ports {
			b.Run(fmt.Sprintf("%s/members=%d", what, n), func(b *testing.B) { joinAndLeave(b, c, c.ask(n, 1, port, common)) })
		}
	}
}

// BenchmarkRefreshCrowd refreshes one mitigation of a leg that many share, with an end that no other one's is later than.
func BenchmarkRefreshCrowd(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			c := newCrowd(b, n)
			var asks []dots.Ask
			for i := range n {
				a := c.ask(i, 1, 80, common)
				a.Request.Lifetime = dots.Some[dots.Lifetime](1 << 30)
				asks = append(asks, a)
				c.put(a)
			}
			for i := 0; b.Loop(); i++ {
				c.time = c.time.Add(time.Second)
				c.put(asks[i%n])
			}
		})
	}
}

// BenchmarkCrowd lets clients ask for one target, one after the other, and withdraw, one after the other: what an attack does at its begin
// and its end.
func BenchmarkCrowd(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
			var join, leave, end time.Duration
			for b.Loop() {
				c := newCrowd(b, n)
				begin := time.Now()
				c.gather(n)
				join += time.Since(begin)
				begin = time.Now()
				for i := range n {
					c.drop(c.ask(i, 1, 80, common))
				}
				leave += time.Since(begin)
				begin = time.Now()
				c.wait(time.Hour)
				end += time.Since(begin)
				if len(c.mits)+len(c.legs) != 0 {
					b.Fatalf("%d mitigations, %d scopes left", len(c.mits), len(c.legs))
				}
			}
			all := float64(b.N * n)
			b.ReportMetric(float64(join.Nanoseconds())/all, "ns/join")
			b.ReportMetric(float64(leave.Nanoseconds())/all, "ns/leave")
			b.ReportMetric(float64(end.Nanoseconds())/all, "ns/end")
		})
	}
}

// BenchmarkFanOut is what the core does with a notification of an uplink whose leg many share: with new counters, and with another status.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{1, 100, 10000} {
		c := newCrowd(b, n)
		c.gather(n)
		l := c.sortedLegs()[0].want.Key
		status := []dots.Status{dots.StatusMitigated, dots.StatusStopped}
		for what, every := range map[string]int{"counters": 1 << 62, "status": 1} {
			b.Run(fmt.Sprintf("%s/members=%d", what, n), func(b *testing.B) {
				before := c.changed
				for i := 0; b.Loop(); i++ {
					r := dots.Report{MID: l.MID, Status: status[i/every%2], Lifetime: 3000}
					r.Counters.BytesDropped = dots.Some(uint64(i))
					c.do(Reported{Uplink: l.Uplink, CUID: l.CUID, Reports: []dots.Report{r}})
				}
				told := c.changed - before
				if told < (b.N-1)*n {
					b.Fatalf("%d told of %d notifications to %d", told, b.N, n)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(told), "ns/observer")
			})
		}
	}
}

// BenchmarkListCrowd lists the mitigations of a crowd for the operator.
func BenchmarkListCrowd(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			c := newCrowd(b, n)
			c.gather(n)
			b.ReportAllocs()
			for b.Loop() {
				if got := c.Mitigations(c.time); len(got) != n || len(got[0].Legs) != 1 || len(got[0].Legs[0].Members) != n {
					b.Fatal(len(got))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/mitigation")
		})
	}
}

// BenchmarkWide joins and leaves legs where one mitigation takes in many others' targets.
func BenchmarkWide(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("covers=%d", n), func(b *testing.B) {
			c := newCrowd(b, n+1)
			for i := range n {
				c.put(c.ask(i, 1, 80, target(i*2)))
			}
			c.wait(time.Minute)
			joinAndLeave(b, c, c.ask(n, 1, 80, slices.Concat([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")})...))
		})
	}
}
