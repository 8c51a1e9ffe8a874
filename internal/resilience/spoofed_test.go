package resilience

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// What a flood of strangers may cost.
const (
	heapGrowth      = 5 << 20 // bytes
	goroutineGrowth = 100
	freshWait       = 5 * time.Second
)

// spoofedAtFullSpeed: spoofed hellos from 200,000 sources, as fast as this machine sends.
func spoofedAtFullSpeed(t *testing.T) {
	hellos := counts.hellos.get(t)
	spoofed(t, flood{count: hellos, sources: 200_000}, 0)
}

// spoofedSteadily: 50,000 hellos a second for a minute, and at least 200 fresh handshakes beside them.
func spoofedSteadily(t *testing.T) {
	seconds, rate := counts.seconds.get(t), counts.rate.get(t)
	spoofed(t, flood{count: seconds * rate, rate: rate, sources: 200_000}, time.Duration(seconds)*time.Second/220)
}

// spoofed plays a flood beside established sessions, and beside a fresh handshake every so often; 0: none.
func spoofed(t *testing.T, f flood, freshEvery time.Duration) {
	g := startGateway(t, collecting)
	clients := newFleet(t, g.address, g.keys)
	all := clients.establish(1, counts.sessions.get(t), 32)
	f.to, f.datagram = g.address, clients.hello()
	if f.rate > 0 {
		remembered(clients, all)
	}
	calm := calmly(g, clients, all)

	stop := make(chan struct{})
	watch, beats := g.watching(), beating(all, time.Second)
	var fresh *fresh
	if freshEvery > 0 {
		fresh = clients.freshly(freshEvery)
	}
	cpu := g.figures().cpu
	sent, took := f.run(t, stop)
	cpu = g.figures().cpu - cpu
	if fresh != nil {
		fresh.end()
	}
	asked, during := beats.end(), watch.end()
	lost := survivors(all)
	times := clients.forget()

	say("%d hellos of %d bytes in %.1f s (%.0f a second); the gateway used %.1f s of processor", sent, len(f.datagram), took.Seconds(),
		float64(sent)/took.Seconds(), cpu.Seconds())
	say("%d established: %d heartbeats, %d answered at once, %s", len(all), asked, len(times), quantiles(times))
	must(t, lost == 0, "%d of %d established sessions lost", lost, len(all))
	calm.grown(t, during)
	if fresh != nil {
		fresh.report(t)
	}
}

// remembered lets each session say so much that the table in which the gateway remembers it for minutes, to know repetitions, has
// grown to its end, 512 places: what the sessions say during a long attack is no cost of the attack.
func remembered(clients *fleet, all []*member) {
	const each, times = 30 * time.Millisecond, 300
	beats := beating(all, each)
	time.Sleep(times * each)
	beats.end()
	if lost := survivors(all); lost > 0 {
		clients.t.Fatalf("%d sessions lost before the attack", lost)
	}
	clients.forget()
}

// calm is how the gateway was before an attack.
type calm struct{ heap, stacks, goroutines, resident float64 }

// calmly looks at the gateway while its sessions beat for a while, and says how they fare then.
func calmly(g *gateway, clients *fleet, all []*member) calm {
	g.t.Helper()
	beats := beating(all, time.Second)
	time.Sleep(3 * time.Second / 2) // a first request may change how a session is served
	watch := g.watching()
	time.Sleep(2 * time.Second)
	asked, seen := beats.end(), watch.end()
	if lost := survivors(all); lost > 0 {
		g.t.Fatalf("%d sessions lost before the attack; the gateway said: %s", lost, g.said())
	}
	times := clients.forget()
	say("calm: %d established: %d heartbeats, %d answered at once, %s", len(all), asked, len(times), quantiles(times))
	return calm{lowest(seen, heap), highest(seen, stacks), highest(seen, goroutines), highest(seen, resident)}
}

// grown asserts that the gateway keeps no more than before. Its heap is what is left after collections; in half of a flood
// there are some.
func (c calm) grown(t *testing.T, during []figures) {
	t.Helper()
	if len(during) < 4 {
		t.Fatalf("the attack was seen %d times only", len(during))
	}
	held := lowest(during[len(during)/2:], heap)
	must(t, held-c.heap <= heapGrowth, "heap held: %.1f MB, before %.1f MB (resident %.0f MB at most, before %.0f MB)",
		held/1e6, c.heap/1e6, highest(during, resident)/1e6, c.resident/1e6)
	most := highest(during, goroutines)
	must(t, most-c.goroutines <= goroutineGrowth, "goroutines: %.0f at most, before %.0f", most, c.goroutines)
}

// fresh is handshakes of new clients beside an attack, one every so often, each with one request.
type fresh struct {
	fleet      *fleet
	stop, done chan struct{}

	mu    sync.Mutex
	took  []time.Duration
	late  int // longer than freshWait
	first error
}

// freshNetwork is the network that fresh clients have.
const freshNetwork = 32

// freshly begins the handshakes.
func (f *fleet) freshly(every time.Duration) *fresh {
	r := &fresh{fleet: f, stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		var all sync.WaitGroup
		defer all.Wait()
		tick := time.NewTicker(every)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-r.stop:
				return
			case <-tick.C:
				all.Go(func() { r.one(n) })
			}
		}
	}()
	return r
}

// one is a client that comes, asks, and goes without a word.
func (r *fresh) one(n int) {
	m := r.fleet.join(at(freshNetwork, n))
	defer r.fleet.leave(m)
	begin := time.Now()
	err := m.shake(4 * freshWait)
	if err == nil {
		err = m.served(begin.Add(4 * freshWait))
	}
	took := time.Since(begin)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.took = append(r.took, took)
	if err != nil || took > freshWait {
		r.late++
	}
	if err != nil && r.first == nil {
		r.first = err
	}
}

// served asks until there is an answer.
func (m *member) served(until time.Time) error {
	for time.Now().Before(until) {
		m.beat()
		for range 50 {
			time.Sleep(10 * time.Millisecond)
			if missed, _ := m.state(); missed == 0 {
				return nil
			}
		}
	}
	return errors.New("no answer on a fresh session")
}

func (r *fresh) end() {
	close(r.stop)
	<-r.done
}

// report asserts that 99 of 100 were served in time.
func (r *fresh) report(t *testing.T) {
	t.Helper()
	slices.Sort(r.took)
	must(t, r.late*100 <= len(r.took), "%d fresh handshakes, %d not within %v (first error: %v); %s", len(r.took), r.late, freshWait, r.first, quantiles(r.took))
}
