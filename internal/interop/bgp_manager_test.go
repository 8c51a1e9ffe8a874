//go:build interop

package interop

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/upstream"
	"github.com/dotsgate/dotsgate/upstream/bgp"
)

// told are the events of a Manager that matter here: the status of each mid.
type told struct {
	mu     sync.Mutex
	status map[uint32]dots.Status
	grown  chan struct{}
}

func (*told) Answered(dots.LegAnswer) {}

func (e *told) Reported(_, _ string, _ bool, reports []dots.Report) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range reports {
		e.status[r.MID] = r.Status
	}
	close(e.grown)
	e.grown = make(chan struct{})
}

func (*told) LinkUp(string) {}

func (*told) LinkDown(string, string) {}

// waitFor waits until a mid has a status.
func (e *told) waitFor(t *testing.T, mid uint32, want dots.Status) {
	t.Helper()
	enough := time.After(bgpPatience)
	for {
		e.mu.Lock()
		got, grown := e.status[mid], e.grown
		e.mu.Unlock()
		if got == want {
			return
		}
		select {
		case <-grown:
		case <-enough:
			t.Fatalf("the status of %d is %v, want %v", mid, got, want)
		}
	}
}

// manage runs a Manager over the pair's speaker, which wants a host route for each mid, until the function it returns is called.
func (p *pair) manage(mids ...uint32) (events *told, end func()) {
	p.t.Helper()
	m, err := bgp.New(bgp.Config{
		Name: "edge", Node: "gw.interop.example", Address: p.socket("speaker"), Mode: bgp.ModeFlowspec,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	events = &told{status: map[uint32]dots.Status{}, grown: make(chan struct{})}
	manager, err := upstream.New(upstream.Config{
		Events: events, Links: []upstream.LinkConfig{{Name: "edge", Mitigator: m, StatusInterval: time.Second}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	var legs []dots.Leg
	for _, mid := range mids {
		target := prefixes("192.0.2.0/32")
		target.Protocols = []uint8{uint8(mid)}
		request := dots.Request{MID: mid, Target: target, Lifetime: dots.Some(dots.DefaultLifetime)}
		legs = append(legs, dots.Leg{Key: bgpKey(mid), Request: request, Revision: 1})
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = manager.Run(ctx) }) // it ends with ctx
	manager.Want("edge", legs)
	manager.Stated()
	end = func() {
		cancel()
		running.Wait()
	}
	p.t.Cleanup(end)
	return events, end
}

// TestInteropBGPManager has the whole client side before gobgpd: what is wanted is announced and told, over restarts of either.
func TestInteropBGPManager(t *testing.T) {
	eachGeneration(t, func(p *pair) {
		udp, tcp := []string{"192.0.2.0/32", "==udp"}, []string{"192.0.2.0/32", "==tcp"}
		events, end := p.manage(6, 17)
		p.hears("ipv4-flowspec", udp, tcp)
		events.waitFor(p.t, 17, dots.StatusMitigated)
		end()
		p.hears("ipv4-flowspec", udp, tcp)

		events, _ = p.manage(17)
		p.hears("ipv4-flowspec", udp)
		events.waitFor(p.t, 17, dots.StatusMitigated)

		p.restart()
		p.hears("ipv4-flowspec", udp)
	})
}
