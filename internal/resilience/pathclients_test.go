package resilience

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/ctl"
	"github.com/dotsgate/dotsgate/wire"
)

// pathClient is a client on a path: it has one session, and one mitigation.
type pathClient struct {
	n     int
	conn  *ctl.Conn
	mu    sync.Mutex
	heard time.Time // when a status last came
	tale  clientTale
}

// clientTale is what became of a client.
type clientTale struct {
	Prefix   netip.Prefix
	Asked    time.Time
	Answered time.Time // zero: never
	Statuses int
	Ages     []float64 // of the newest status known, in seconds, each second while it was measured
	Heard    float64   // seconds since anything came, at the end
	Ended    string    // why its session ended; empty: it lives
}

// playClients keeps clients, and does what it is told: "ask" asks for the mitigations, "watch" also waits for all to be mitigated and observes
// them, "measure" begins to note how old the statuses are, "end" tells the tale.
func playClients(ctx context.Context, t *testing.T, o order, words <-chan string) {
	all := make([]*pathClient, o.Clients)
	var living, ready sync.WaitGroup
	for i := range all {
		c := &pathClient{n: i, tale: clientTale{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(2 * i)}), 16)}}
		all[i] = c
		ready.Add(1)
		living.Go(func() { c.live(ctx, t, o, ready.Done) })
		if i%8 == 7 {
			ready.Wait()
		}
	}
	ready.Wait()
	fmt.Println("@ready")
	stop := func() {}
	for {
		var word string
		select {
		case word = <-words:
		case <-ctx.Done():
			living.Wait()
			return
		}
		switch word {
		case "ask":
			for _, c := range all {
				living.Go(func() { c.ask(ctx) })
			}
		case "watch":
			var each sync.WaitGroup
			for _, c := range all {
				each.Go(func() { c.watch(ctx, t) })
			}
			each.Wait()
			fmt.Println("@watching")
		case "measure":
			stop()
			stop = measureAll(ctx, all, &living)
		case "end":
			stop()
			tell(t, all)
		}
	}
}

// measureAll begins to note how old the statuses are, until it is told to stop.
func measureAll(ctx context.Context, all []*pathClient, living *sync.WaitGroup) (stop context.CancelFunc) {
	ctx, stop = context.WithCancel(ctx)
	for _, c := range all {
		living.Go(func() { c.measure(ctx) })
	}
	return stop
}

func tell(t *testing.T, all []*pathClient) {
	t.Helper()
	tales := make([]clientTale, len(all))
	for i, c := range all {
		c.mu.Lock()
		tales[i] = c.tale
		c.mu.Unlock()
		tales[i].Heard = time.Since(c.conn.Session().LastHeard()).Seconds()
		if err := c.conn.Session().Err(); err != nil {
			tales[i].Ended = err.Error()
		}
	}
	text, err := json.Marshal(tales)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("@tale%s\n", text)
}

// live has a session, with heartbeats, until ctx ends. Heartbeats without an answer are no reason to end it.
func (c *pathClient) live(ctx context.Context, t *testing.T, o order, ready func()) {
	var once sync.Once
	defer once.Do(ready)
	err := ctl.Open(ctx, ctl.Config{
		Server: o.Server, ServerName: "localhost", Cert: filepath.Join(o.Dir, "client.pem"), Key: filepath.Join(o.Dir, "client.key"),
		CA: filepath.Join(o.Dir, "ca.pem"), Transport: ctl.TransportDTLS, CUID: fmt.Sprintf("client-%d", c.n),
	}, time.Minute, func(ctx context.Context, conn *ctl.Conn) error {
		c.conn = conn
		once.Do(ready)
		beat := time.NewTicker(heartbeatEvery)
		defer beat.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-conn.Session().Done():
				<-ctx.Done() // the tale says so
				return nil
			case <-beat.C:
			}
			waiting, cancel := context.WithTimeout(ctx, 2*time.Second) // before it is sent again
			_ = conn.Heartbeat(waiting, true)
			cancel()
		}
	})
	if err != nil {
		t.Errorf("client %d: %v", c.n, err)
	}
}

// heartbeatEvery is the least interval that RFC 9132, Section 4.5.2 allows.
const heartbeatEvery = 15 * time.Second

// ask asks for the mitigation until it is answered.
func (c *pathClient) ask(ctx context.Context) {
	c.mu.Lock()
	c.tale.Asked = time.Now()
	c.mu.Unlock()
	_, err := c.conn.Mitigate(ctx, dots.Request{
		MID: 1, Target: dots.Target{Prefixes: []netip.Prefix{c.tale.Prefix}}, Lifetime: dots.Some(dots.Lifetime(7200)),
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.tale.Answered = time.Now()
	}
}

// watch asks for the mitigation, and observes it until it is mitigated at least.
func (c *pathClient) watch(ctx context.Context, t *testing.T) {
	c.ask(ctx)
	mitigated := make(chan struct{})
	var once sync.Once
	_, err := c.conn.Observe(ctx, dots.Some[uint32](1), func(r wire.Response, err error) {
		if err != nil || len(r.Reports) != 1 {
			return
		}
		c.mu.Lock()
		c.heard = time.Now()
		c.tale.Statuses++
		c.mu.Unlock()
		if r.Reports[0].Status == dots.StatusMitigated {
			once.Do(func() { close(mitigated) })
		}
	})
	if err != nil {
		t.Errorf("client %d: observing: %v", c.n, err)
		return
	}
	select {
	case <-mitigated:
	case <-ctx.Done():
	case <-time.After(time.Minute):
		t.Errorf("client %d: not mitigated within a minute", c.n)
	}
}

// measure notes each second how old the newest status is.
func (c *pathClient) measure(ctx context.Context) {
	c.mu.Lock()
	c.heard, c.tale.Statuses, c.tale.Ages = time.Now(), 0, nil
	c.mu.Unlock()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.mu.Lock()
		c.tale.Ages = append(c.tale.Ages, time.Since(c.heard).Seconds())
		c.mu.Unlock()
	}
}
