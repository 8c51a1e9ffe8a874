package aaa

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// countingMeter notes what it is told.
type countingMeter struct {
	mu                  sync.Mutex
	asked               int
	unanswered          int
	from                map[Source]int
	allowed, denied     int
	failed              int
	dropped             map[Fault]int
	longestQuestionTook time.Duration
}

func newMeter() *countingMeter {
	return &countingMeter{from: make(map[Source]int), dropped: make(map[Fault]int)}
}

func (m *countingMeter) Decided(from Source, d Decision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.from[from]++
	switch {
	case d.Failed:
		m.failed++
	case d.Allow:
		m.allowed++
	default:
		m.denied++
	}
}

func (m *countingMeter) Asked(took time.Duration, answered bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if !answered {
		m.unanswered++
	}
	m.longestQuestionTook = max(m.longestQuestionTook, took)
}

func (m *countingMeter) Dropped(why Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropped[why]++
}

// drops are the answers dropped so far, by fault: "authenticator:1 garbage:2".
func (m *countingMeter) drops() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []string
	for fault, n := range m.dropped {
		list = append(list, fmt.Sprintf("%s:%d", fault, n))
	}
	slices.Sort(list)
	return fmt.Sprint(list)
}

// secretFile writes a shared secret as an operator does.
func secretFile(t *testing.T, secret string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// request is a request for tests.
func request() Request {
	return Request{
		Client: "client1", CUID: "dz6pHjaADkaFTbjr0JGBpw", Domain: "customer-a",
		Targets: []string{"192.0.2.0/24", "www.example.com"}, Protocols: []string{"6", "17"}, Ports: []string{"80", "8000-8080"},
		Lifetime: 3600, MID: 7,
	}
}

// fakeNet is the network between a client and RADIUS servers in memory, for virtual time.
type fakeNet struct {
	mu      sync.Mutex
	servers map[string]func(packet []byte) (answers [][]byte)
	opened  map[string]int
	sent    []sentPacket
}

// sentPacket is a packet of the client.
type sentPacket struct {
	to     string
	at     time.Time
	packet []byte
}

func newFakeNet() *fakeNet {
	return &fakeNet{servers: make(map[string]func([]byte) [][]byte), opened: make(map[string]int)}
}

// serve makes a server of an address; nil is one that is silent.
func (n *fakeNet) serve(address string, answer func(packet []byte) [][]byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers[address] = answer
}

// packets are those that went to a server.
func (n *fakeNet) packets(address string) (list []sentPacket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.sent {
		if p.to == address {
			list = append(list, p)
		}
	}
	return list
}

// opens is how often the socket to a server was opened.
func (n *fakeNet) opens(address string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.opened[address]
}

func (n *fakeNet) dial(_ context.Context, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.servers[address]; !ok {
		return nil, errors.New("no such host")
	}
	n.opened[address]++
	return &fakeConn{net: n, address: address, in: make(chan []byte, 1024), closed: make(chan struct{})}, nil
}

// fakeConn is a socket.
type fakeConn struct {
	net.Conn // the rest is not used
	net      *fakeNet
	address  string
	in       chan []byte
	closed   chan struct{}
	once     sync.Once
}

func (c *fakeConn) Read(b []byte) (int, error) {
	select {
	case p := <-c.in:
		return copy(b, p), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *fakeConn) Write(b []byte) (int, error) {
	packet := slices.Clone(b)
	c.net.mu.Lock()
	c.net.sent = append(c.net.sent, sentPacket{c.address, time.Now(), packet})
	answer := c.net.servers[c.address]
	c.net.mu.Unlock()
	if answer != nil {
		for _, p := range answer(packet) {
			c.in <- p
		}
	}
	return len(b), nil
}

func (c *fakeConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// filesOf writes a leaf's certificate and key, and the authority to trust.
func filesOf(t *testing.T, trust *testpki.Authority, leaf *testpki.Leaf) (cfg HTTPConfig) {
	t.Helper()
	cfg.CAFile, cfg.CertFile, cfg.KeyFile = testpki.Files(t, t.TempDir(), trust, leaf)
	return cfg
}

// discardLog is for servers that would write what a test provokes.
func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }
