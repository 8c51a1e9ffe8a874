package resilience

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/record"
	"github.com/dotsgate/dotsgate/internal/testdtls"
	"github.com/dotsgate/dotsgate/internal/udp"
	"github.com/pion/dtls/v3"
)

// fleet is many clients behind one socket: each has an address of its own in 127.0.0.0/8, by which the gateway and the
// socket's reader tell it from the others. None has a goroutine.
type fleet struct {
	t       *testing.T
	server  netip.AddrPort
	sockets *udp.Sockets
	queue   *udp.Queue
	options []dtls.ClientOption
	export  record.Exporter

	mu      sync.RWMutex
	members map[netip.Addr]*member

	alerts  atomic.Int64 // authenticated alerts of the gateway
	strange atomic.Int64 // datagrams to members that are no record of their session
	answers atomic.Int64 // to requests, also those that came late

	times sync.Mutex
	took  []time.Duration // of answers
}

// member is one client.
type member struct {
	fleet *fleet
	path  udp.Path

	mu      sync.Mutex
	shaking *testdtls.Handshake // while its handshake lasts
	layer   *record.Layer
	last    uint32    // the number of its last request, and its token
	sent    time.Time // when that was; zero: answered
	missed  int       // requests in a row without an answer
	ended   bool      // by an alert
	out     []byte
	heard   map[uint32]int // if not nil: how often each request was answered
}

// newFleet opens the socket; it is closed with the test.
func newFleet(t *testing.T, server netip.AddrPort, k keys) *fleet {
	t.Helper()
	sockets, err := udp.Listen(udp.Config{Address: "0.0.0.0:0", Plain: true, Outbox: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{
		t: t, server: server, sockets: sockets, queue: sockets.Queues()[0], members: map[netip.Addr]*member{},
		options: []dtls.ClientOption{
			dtls.WithRootCAs(k.roots), dtls.WithServerName("localhost"), dtls.WithCertificates(k.client),
			dtls.WithCipherSuites(dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
			dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		sockets.Run(f.input)
	}()
	t.Cleanup(func() {
		if err := sockets.Close(); err != nil {
			t.Errorf("closing the fleet's socket: %v", err)
		}
		<-done
	})
	return f
}

// at is the n-th client address of a network 127.x.0.0/16 or longer.
func at(network byte, n int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, network + byte(n>>16), byte(n >> 8), byte(n)})
}

// join makes a client at an address known, so that what comes for it is its own.
func (f *fleet) join(local netip.Addr) *member {
	m := &member{fleet: f, path: udp.Path{Peer: f.server, Local: local}}
	f.mu.Lock()
	f.members[local] = m
	f.mu.Unlock()
	return m
}

// leave forgets a client without a word to the gateway.
func (f *fleet) leave(m *member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.members[m.path.Local] == m {
		delete(f.members, m.path.Local)
	}
}

// establish makes so many sessions, several at a time, and returns them.
func (f *fleet) establish(network byte, n, atOnce int) []*member {
	f.t.Helper()
	all := make([]*member, n)
	errs := make([]error, n)
	var each sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range all {
		slots <- struct{}{}
		each.Go(func() {
			defer func() { <-slots }()
			all[i] = f.join(at(network, i))
			if errs[i] = all[i].shake(establishWait); errs[i] == nil {
				all[i].beat() // a client does not come for nothing
			}
		})
	}
	each.Wait()
	for i, err := range errs {
		if err != nil {
			f.t.Fatalf("establishing session %d of %d: %v", i, n, err)
		}
	}
	return all
}

// establishWait is for a handshake while nothing else goes on.
const establishWait = 60 * time.Second

// input takes a datagram to the client it is for.
func (f *fleet) input(_ *udp.Queue, b []byte, from udp.Path) {
	f.mu.RLock()
	m := f.members[from.Local]
	f.mu.RUnlock()
	if m == nil || from.Peer != f.server {
		return
	}
	m.input(b)
}

// forget begins new times, and returns those so far in order.
func (f *fleet) forget() []time.Duration {
	f.times.Lock()
	defer f.times.Unlock()
	all := f.took
	f.took = nil
	slices.Sort(all)
	return all
}

// input opens the records of a datagram.
func (m *member) input(b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shaking != nil {
		m.shaking.Put(b)
		return
	}
	for m.layer != nil && len(b) > 0 {
		var one []byte
		if one, b = record.Next(b, 0); one == nil {
			m.fleet.strange.Add(1)
			return
		}
		kind, plain, _, err := m.layer.Open(one)
		switch {
		case err != nil && record.Epoch(one) == 0: // of a handshake that is over
		case err != nil:
			m.fleet.strange.Add(1)
		case kind == record.Alert:
			m.fleet.alerts.Add(1)
			m.ended = true
		case kind == record.ApplicationData:
			m.message(plain)
		}
	}
}

// message takes a CoAP message: the answer to the last request, or a request, which is answered.
func (m *member) message(b []byte) {
	if len(b) < coapHeader {
		return
	}
	code, token := b[1], b[coapHeader:]
	token = token[:min(int(b[0]&0xf), len(token))]
	if code >= 32 {
		m.fleet.answers.Add(1)
		if m.heard != nil && len(token) == 4 {
			m.heard[binary.BigEndian.Uint32(token)]++
		}
	}
	switch {
	case code == 0: // empty
	case code < 32:
		m.send(answerTo(b, token))
	case len(token) == 4 && binary.BigEndian.Uint32(token) == m.last && !m.sent.IsZero():
		took := time.Since(m.sent)
		m.sent, m.missed = time.Time{}, 0
		m.fleet.times.Lock()
		m.fleet.took = append(m.fleet.took, took)
		m.fleet.times.Unlock()
	}
}

// send seals a message and sends it. The lock is held.
func (m *member) send(message []byte) {
	if m.layer == nil {
		return
	}
	out, err := m.layer.Seal(m.out[:0], record.ApplicationData, message)
	if err != nil {
		m.fleet.t.Errorf("sealing: %v", err)
		return
	}
	m.out = out
	m.fleet.queue.Send(out, m.path)
}

// beat sends a heartbeat, and counts the one before as missed when its answer has not come.
func (m *member) beat() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.sent.IsZero() {
		m.missed++
	}
	m.last++
	m.sent = time.Now()
	m.send(heartbeat(m.last))
}

// state is how many answers in a row are missing, and whether the gateway has ended the session.
func (m *member) state() (missed int, ended bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sent.IsZero() {
		return 0, m.ended
	}
	return m.missed + 1, m.ended
}

// load is heartbeats of many clients, each once in a while, spread evenly.
type load struct {
	stop, done chan struct{}
	sent       int
}

// beating begins the heartbeats.
func beating(all []*member, every time.Duration) *load {
	l := &load{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		const step = 2 * time.Millisecond
		tick := time.NewTicker(step)
		defer tick.Stop()
		begin := time.Now()
		for {
			select {
			case <-l.stop:
				return
			case <-tick.C:
			}
			due := int(int64(time.Since(begin)) * int64(len(all)) / int64(every))
			for ; l.sent < due; l.sent++ {
				all[l.sent%len(all)].beat()
			}
		}
	}()
	return l
}

// end ends the heartbeats and returns how many there were.
func (l *load) end() int {
	close(l.stop)
	<-l.done
	return l.sent
}

// survivors asks every client for a last sign of life, again and again for a while, and returns how many have none.
func survivors(all []*member) (lost int) {
	for range 10 {
		lost = 0
		for i, m := range all {
			if missed, _ := m.state(); missed > 0 {
				lost++
				m.beat()
			}
			if i%100 == 99 {
				time.Sleep(5 * time.Millisecond) // so that our own socket takes the answers
			}
		}
		if lost == 0 {
			break
		}
		time.Sleep(time.Second)
	}
	for _, m := range all {
		if _, ended := m.state(); ended {
			lost++
		}
	}
	return lost
}

// quantiles are the middle, the 99th of a hundred and the last of sorted times.
func quantiles(sorted []time.Duration) string {
	if len(sorted) == 0 {
		return "no answer"
	}
	n := len(sorted)
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)) }
	return fmt.Sprintf("p50 %s, p99 %s, max %s ms", ms(sorted[n/2]), ms(sorted[n*99/100]), ms(sorted[n-1]))
}
