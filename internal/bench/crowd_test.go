package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/record"
	"github.com/dotsgate/dotsgate/internal/testdtls"
	"github.com/dotsgate/dotsgate/internal/udp"
)

// crowd is many clients over UDP that cost this machine as little as it can be, so that the server is what is measured: some sockets, each
// with one goroutine that reads and writes in batches; a client is an address in 127.0.0.0/8 with a record layer of ours.
type crowd struct {
	server
	t       *testing.T
	peer    netip.AddrPort
	options []dtls.ClientOption
	export  record.Exporter
	lanes   []*lane
	members []*member
	born    atomic.Int64 // members ever, for their addresses
}

// lane is one socket and its clients.
type lane struct {
	sockets *udp.Sockets
	queue   *udp.Queue

	mu      sync.RWMutex
	members map[netip.Addr]*member

	work sync.Mutex // around the load
	load load
}

// member is one client. What it does is guarded by its lane's lock for the load.
type member struct {
	lane  *lane
	path  udp.Path
	mid   uint16
	slots []*slot
	out   []byte

	mu      sync.Mutex
	shaking *testdtls.Handshake // while its handshake lasts
	layer   *record.Layer       // nil: in the clear
}

// newCrowd opens the sockets; they are closed with the test.
func newCrowd(t *testing.T, to server) *crowd {
	t.Helper()
	addr, err := netip.ParseAddrPort(to.address)
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{server: to, t: t, peer: addr, lanes: make([]*lane, min(runtime.GOMAXPROCS(0), 3))}
	if to.keys.dir != "" {
		c.options = to.keys.client(t)
	}
	for i := range c.lanes {
		c.lanes[i] = openLane(t)
	}
	return c
}

func openLane(t *testing.T) *lane {
	t.Helper()
	// Clients are many machines: what they send comes one by one.
	sockets, err := udp.Listen(udp.Config{Address: "0.0.0.0:0", Plain: true, Outbox: 1 << 16, Singly: true})
	if err != nil {
		t.Fatal(err)
	}
	l := &lane{sockets: sockets, queue: sockets.Queues()[0], members: map[netip.Addr]*member{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		sockets.Run(l.input)
	}()
	t.Cleanup(func() {
		if err := sockets.Close(); err != nil {
			t.Errorf("closing the load's socket: %v", err)
		}
		<-done
	})
	return l
}

// join makes a client at an address of its own, known, so that what comes for it is its own.
func (c *crowd) join() *member {
	n := int(c.born.Add(1))
	l := c.lanes[n%len(c.lanes)]
	local := netip.AddrFrom4([4]byte{127, 1 + byte(n>>16), byte(n >> 8), byte(n)})
	m := &member{lane: l, path: udp.Path{Peer: c.peer, Local: local}}
	l.mu.Lock()
	l.members[local] = m
	l.mu.Unlock()
	return m
}

// leave forgets a client, and tells the server.
func (m *member) leave() {
	m.lane.mu.Lock()
	delete(m.lane.members, m.path.Local)
	m.lane.mu.Unlock()
	out, err := m.layer.Seal(nil, record.Alert, []byte{1, 0}) // close_notify
	if err == nil {
		m.lane.queue.Send(out, m.path)
	}
}

// dial makes so many sessions more.
func (c *crowd) dial(n int) {
	c.t.Helper()
	errs := make([]error, n)
	var all sync.WaitGroup
	slots := make(chan struct{}, max(c.atOnce, 1))
	first := len(c.members)
	for i := range n {
		m := c.join()
		c.members = append(c.members, m)
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			errs[i] = c.shake(m)
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		c.t.Fatalf("making session %d and more: %.500s; the server said: %s", first, err, c.said())
	}
}

// shakeTime is what one handshake may take; the machine may be busy.
const shakeTime = 30 * time.Second

// shake makes the client's handshake by the library, and takes the keys over.
func (c *crowd) shake(m *member) error {
	port := m.lane.sockets.Addr().(*net.UDPAddr).Port
	local := net.UDPAddrFromAddrPort(netip.AddrPortFrom(m.path.Local, uint16(port)))
	h := testdtls.New(local, net.UDPAddrFromAddrPort(c.peer), func(b []byte) { m.lane.queue.Send(b, m.path) })
	m.mu.Lock()
	m.shaking = h
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.t.Context(), shakeTime)
	defer cancel()
	layer, err := h.Run(ctx, &c.export, c.options)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shaking, m.layer = nil, layer
	return err
}

// input takes a datagram to the client it is for.
func (l *lane) input(_ *udp.Queue, b []byte, from udp.Path) {
	l.mu.RLock()
	m := l.members[from.Local]
	l.mu.RUnlock()
	if m == nil || from.Peer != m.path.Peer {
		return
	}
	m.mu.Lock()
	h, layer := m.shaking, m.layer
	m.mu.Unlock()
	if h != nil {
		h.Put(b)
		return
	}
	l.work.Lock()
	defer l.work.Unlock()
	if layer == nil {
		m.message(b)
		return
	}
	for len(b) > 0 {
		var one []byte
		if one, b = record.Next(b, 0); one == nil {
			return
		}
		kind, plain, _, err := layer.Open(one)
		switch {
		case err != nil: // of the handshake, which is over
		case kind == record.Alert:
			l.load.fail(fmt.Errorf("the server has ended a session: alert % x", plain))
		case kind == record.ApplicationData:
			m.message(plain)
		}
	}
}

// send seals a message and puts it on its way. The load's lock is held.
func (m *member) send(message []byte) {
	if m.layer == nil {
		m.lane.queue.Send(message, m.path)
		return
	}
	out, err := m.layer.Seal(m.out[:0], record.ApplicationData, message)
	if err != nil {
		m.lane.load.fail(err)
		return
	}
	m.out = out
	m.lane.queue.Send(out, m.path)
}

// once makes one request for so many slots of every client from the given one on, and waits for all answers.
func (c *crowd) once(from, slots int, ask asker, want ...coap.Code) {
	c.t.Helper()
	c.prepare(from, slots, ask, want)
	for _, l := range c.lanes {
		l.work.Lock()
		l.load.once = true
		l.work.Unlock()
	}
	c.begin(sessions * inFlight)
	defer c.end()
	wanted := (len(c.members) - from) * slots
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		done, _, err := c.progress()
		if err != nil || time.Now().After(deadline) {
			c.t.Fatalf("%d of %d answered, then %v; the server said: %s", done, wanted, err, c.said())
		}
		if done == wanted {
			return
		}
	}
}

// shakeAgain makes sessions and ends them, so many clients at a time, and measures again and again.
func (c *crowd) shakeAgain(atOnce int) []result {
	c.t.Helper()
	all := make([]asking, atOnce)
	stop := make(chan struct{})
	var workers sync.WaitGroup
	defer workers.Wait()
	defer close(stop)
	for i := range all {
		workers.Go(func() { c.shaking(&all[i], stop) })
	}
	return windows(c.t, c.process, func() (int, []time.Duration) { return c.look(all) })
}

// shaking makes a session after the other.
func (c *crowd) shaking(a *asking, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		begin, m := time.Now(), c.join()
		err := c.shake(m)
		a.got(time.Since(begin), err)
		if err != nil {
			return
		}
		m.leave()
	}
}
