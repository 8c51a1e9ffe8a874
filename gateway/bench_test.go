package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
	"github.com/dotsgate/dotsgate/store"
)

// benchCore holds n mitigations of n/100 clients, each placed and reported on.
func benchCore(b *testing.B, n int) (*Core, []dots.Leg, time.Time) {
	b.Helper()
	cfg := testCoreConfig(b)
	cfg.Policy = benchPolicy(b, n/100+1)
	c, err := NewCore(cfg)
	if err != nil {
		b.Fatal(err)
	}
	now := time.Unix(1000000, 0)
	c.Step(now, LinkUp{"up"})
	legs := make([]dots.Leg, n)
	for i := range n {
		legs[i] = benchPut(b, c, now, i)
	}
	return c, legs, now
}

func benchPolicy(b *testing.B, clients int) *policy.Policy {
	b.Helper()
	d := policy.Domain{Name: "lab", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for i := range clients {
		d.Clients = append(d.Clients, policy.ClientEntry{Name: fmt.Sprint("c", i), CertNames: []string{fmt.Sprint("c", i)}})
	}
	p, err := policy.New(policy.Config{Uplinks: []policy.Uplink{{Name: "up"}}, Domains: []policy.Domain{d}})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func benchAsk(i int) dots.Ask {
	name := fmt.Sprint("c", i/100)
	p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
	return dots.Ask{Client: dots.Client{Name: name, CUID: "cuid-of-" + name}, HopLimit: 15, Request: dots.Request{
		MID: uint32(i), Lifetime: dots.Some[dots.Lifetime](3600),
		Target: dots.Target{Prefixes: []netip.Prefix{p}, Ports: []dots.PortRange{{Lower: 80, Upper: 80}}, Protocols: []uint8{6}},
	}}
}

// benchPut lets a request through to its answer.
func benchPut(b *testing.B, c *Core, now time.Time, i int) dots.Leg {
	r := c.Step(now, Mitigate{1, benchAsk(i)})
	c.Step(now, Committed{r.Seq})
	if len(r.Wants) != 1 {
		b.Fatalf("a PUT gave %+v", r)
	}
	c.Step(now, Answered{dots.LegAnswer{Key: r.Wants[0].Key, Revision: r.Wants[0].Revision, Code: dots.CodeCreated}})
	return r.Wants[0]
}

// BenchmarkCore is the cost of one event; it must not grow with the table.
func BenchmarkCore(b *testing.B) {
	for _, n := range []int{1000, 10000, 50000} {
		c, legs, now := benchCore(b, n)
		run := func(what string, f func(i int)) {
			b.Run(fmt.Sprintf("%s/table=%d", what, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					f(i)
					c.Deadline()
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
		run("refresh", func(i int) {
			k := i * 7919 % n
			r := c.Step(now, Mitigate{1, benchAsk(k)})
			c.Step(now, Committed{r.Seq})
			legs[k] = r.Wants[0]
			c.Step(now, Answered{dots.LegAnswer{Key: legs[k].Key, Revision: legs[k].Revision, Code: dots.CodeChanged}})
		})
		run("get", func(i int) {
			k := i * 7919 % n
			ask := benchAsk(k)
			c.Step(now, Inspect{Ticket: 1, Client: ask.Client, MID: dots.Some(ask.Request.MID)})
		})
		run("report", func(i int) {
			l := legs[i*7919%n]
			rep := dots.Report{MID: l.Key.MID, Status: dots.StatusMitigated, Lifetime: 3000}
			rep.Counters.BytesDropped = dots.Some(uint64(i))
			c.Step(now, Reported{Uplink: "up", CUID: l.Key.CUID, Reports: []dots.Report{rep}})
		})
		run("put-delete", func(i int) {
			k := n + i%(100-n%100) // one more of the last client
			l := benchPut(b, c, now, k)
			ask := benchAsk(k)
			r := c.Step(now, Withdraw{1, dots.MitigationKey{Client: ask.Client, MID: ask.Request.MID}})
			c.Step(now, Committed{r.Seq})
			r = c.Step(now, Answered{dots.LegAnswer{Key: l.Key, Revision: l.Revision + 1, Withdraw: true, Code: dots.CodeNotFound}})
			c.Step(now, Committed{r.Seq})
		})
	}
}

// BenchmarkRecords is the cost of writing a mitigation and its leg down.
func BenchmarkRecords(b *testing.B) {
	c, legs, _ := benchCore(b, 100)
	l := c.leg(legs[0].Key)
	m := l.members[0]
	b.ReportMetric(float64(len(m.record().Value)+len(l.record().Value)), "bytes")
	for _, f := range []struct {
		what string
		do   func()
	}{{"mitigation", func() { m.record() }}, {"leg", func() { l.record() }}} {
		b.Run(f.what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f.do()
			}
		})
	}
	b.Logf("mitigation: %s\nleg: %s", m.record().Value, l.record().Value)
}

// echo is an uplink that answers at once.
type echo struct{ g *Gateway }

func (e echo) Want(_ string, legs []dots.Leg) {
	for _, l := range legs {
		code := dots.CodeCreated
		if l.Withdraw {
			code = dots.CodeDeleted
		}
		go e.g.Answered(dots.LegAnswer{Key: l.Key, Revision: l.Revision, Withdraw: l.Withdraw, Code: code})
	}
}
func (echo) Forget(string, []dots.LegKey) {}
func (echo) Stated()                      {}
func (echo) Changed(dots.MitigationKey)   {}
func (echo) Mitigating(string, bool)      {}

// counted counts commits.
type counted struct {
	noMeter
	mu              sync.Mutex
	commits, merged int
}

func (m *counted) Committed(_ time.Duration, batches int, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commits++
	m.merged += batches
}

// slowStore takes as long for a commit as a disk does that is told to flush.
type slowStore struct{ store.Store }

func (s slowStore) Commit(ctx context.Context, b store.Batch) error {
	time.Sleep(300 * time.Microsecond)
	return s.Store.Commit(ctx, b)
}

// BenchmarkGroupCommit lets 64 callers refresh through a disk that takes its time.
func BenchmarkGroupCommit(b *testing.B) {
	meter := &counted{}
	cfg := Config{Core: testCoreConfig(b), Store: slowStore{store.NewMemory()}, Meter: meter}
	cfg.Core.Policy = benchPolicy(b, 64)
	g, err := New(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	g.Connect(echo{g}, echo{g})
	stop, done := runGateway(b, g)
	g.LinkUp("up")
	work := make(chan int)
	var callers sync.WaitGroup
	for i := range 64 {
		callers.Go(func() {
			for range work {
				answered := make(chan error, 1)
				g.Mitigate(benchAsk(i*100), func(_ dots.Answer, err error) { answered <- err })
				if err := <-answered; err != nil {
					b.Error(err)
				}
			}
		})
	}
	for b.Loop() {
		work <- 0
	}
	close(work)
	callers.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric(float64(meter.commits)/b.Elapsed().Seconds(), "commits/s")
	b.ReportMetric(float64(meter.merged)/float64(meter.commits), "batches/commit")
	stop()
	<-done
}

func runGateway(b *testing.B, g *Gateway) (stop func(), done <-chan error) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	return cancel, ended
}
